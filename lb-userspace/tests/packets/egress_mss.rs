//! The MSS that SYN-ACKs offer is lowered to what fits the way in.

use lb_common::Verdict::EgressReply;

use crate::{
    case::{Case, check_all, leaves},
    expect::{from_vip, reply},
    machine::{MSS, WITH_FLOWS},
    packet::{ACK, SYN, frame},
    services::LOCAL,
    world::{KINDS, Kind, LEAVING, pod},
};

/// What a Pod sends, and what is made of it.
struct MssRow {
    name: &'static str,
    flags: u8,
    options: Vec<u8>,
    becomes: Vec<u8>,
}

fn mss(value: u16) -> Vec<u8> {
    [&[2, 4], &value.to_be_bytes()[..]].concat()
}

fn table() -> Vec<MssRow> {
    let timestamps = [8, 10, 0, 0, 0, 1, 0, 0, 0, 2];
    let (nop, sack_permitted, window_scale) = ([1], [4, 2], [3, 3, 7]);
    let row = |name, flags, before: &[u8], value: u16, after: &[u8], lowered: u16| {
        let around = |value| [before, &mss(value), after].concat();
        MssRow { name, flags, options: around(value), becomes: around(lowered) }
    };
    let kept = |name, options: &[u8]| MssRow {
        name,
        flags: SYN | ACK,
        options: options.to_vec(),
        becomes: options.to_vec(),
    };
    let high = mss(1460);
    vec![
        row("more", SYN | ACK, &[], 1460, &[], MSS),
        row("much more", SYN | ACK, &[], 8960, &[], MSS),
        row("one more", SYN | ACK, &[], MSS + 1, &[], MSS),
        row("just as much", SYN | ACK, &[], MSS, &[], MSS),
        row("less", SYN | ACK, &[], 536, &[], 536),
        row(
            "as Linux sends it",
            SYN | ACK,
            &[],
            1460,
            &[&sack_permitted[..], &timestamps, &nop, &window_scale].concat(),
            MSS,
        ),
        row("at an odd place", SYN | ACK, &nop, 1460, &[1, 1, 1], MSS),
        row("at an odd place after others", SYN | ACK, &window_scale, 1460, &nop, MSS),
        row("after others", SYN | ACK, &[&sack_permitted[..], &timestamps].concat(), 1460, &[], MSS),
        row("after many that do nothing", SYN | ACK, &[1; 15], 1460, &[1], MSS),
        row("with ECE", SYN | ACK | 0x40, &[], 1460, &[], MSS),
        row("in a SYN", SYN, &[], 1460, &[], 1460),
        row("in an ACK", ACK, &[], 1460, &[], 1460),
        kept("no options", &[]),
        kept("nothing but what does nothing", &[1; 40]),
        kept("after the end of options", &[&[0, 0, 0, 0], &high[..]].concat()),
        kept("of a wrong length", &[2, 3, 5, 180, 1, 1, 1, 1]),
        kept("beyond the options", &[&[1, 1, 1, 1, 1], &[2, 4, 5][..]].concat()),
        kept("after an option of length zero", &[&[9, 0, 1, 1], &high[..]].concat()),
        kept("within an option", &[&[9, 8, 0, 0][..], &high].concat()),
    ]
}

pub fn cases() -> Vec<Case> {
    KINDS.into_iter().filter(|kind| kind.is_tcp).flat_map(cases_of_kind).collect()
}

fn cases_of_kind(kind: Kind) -> Vec<Case> {
    let request = kind.request(LOCAL);
    let sent = |flags, options: &[u8]| {
        let mut ip = reply(&request, pod(1)).ip;
        let transport = ip.transport();
        transport.set_tcp_flags(flags);
        transport.data.clear();
        transport.options = options.to_vec();
        ip
    };
    table()
        .into_iter()
        .map(|row| {
            let name = format!("an offer of {kind}: {}", row.name);
            let output = from_vip(&request, &sent(row.flags, &row.becomes));
            leaves(name, WITH_FLOWS, frame(LEAVING, &sent(row.flags, &row.options)))
                .becomes(EgressReply, frame(LEAVING, &output))
        })
        .collect()
}

#[test]
fn offers_are_lowered_to_what_fits() {
    check_all(&cases());
}
