//! Replies to clients on this node: the endpoint has sent them to the VIP. They come in again, as
//! the VIP's to the client.

use lb_common::Verdict::{EgressDropRewrite, EgressPass, EgressReturn};

use crate::{
    case::{Case, check_all, leaves},
    expect::{reply, reply_to_vip, returned, with_zero_checksum},
    machine::{MSS, Machine, WITH_INSIDE_FLOWS},
    packet::{ACK, ETH_LEN, Ip, RST, SYN, Transport, frame, tagged},
    services::LOCAL,
    world::{ARRIVING, Family, KINDS, Kind, LEAVING, Request, pod},
};

pub fn cases() -> Vec<Case> {
    let mut cases: Vec<_> = KINDS.into_iter().flat_map(replies).collect();
    cases.extend(KINDS.into_iter().flat_map(non_replies));
    cases.extend(KINDS.into_iter().flat_map(cut_anywhere));
    cases
}

fn reply_of(request: &Request) -> Ip {
    reply_to_vip(request, pod(1), request.client_port())
}

/// As if the next hop had sent it.
fn coming_back(ip: &Ip) -> Vec<u8> {
    frame(ARRIVING, ip)
}

/// A reply that `change` has made special.
fn reply_case(what: &str, kind: Kind, change: impl Fn(Ip) -> Ip) -> Case {
    let request = kind.request(LOCAL);
    let ip = change(reply_of(&request));
    let given = leaves(format!("a reply inside{what}, {kind}"), WITH_INSIDE_FLOWS, frame(LEAVING, &ip));
    given.becomes(EgressReturn, coming_back(&returned(&request, &ip)))
}

fn with_transport(mut ip: Ip, change: impl Fn(&mut Transport)) -> Ip {
    change(ip.transport());
    ip
}

fn replies(kind: Kind) -> Vec<Case> {
    let request = kind.request(LOCAL);
    let with_len = |ip, len| with_transport(ip, |transport| transport.data = vec![7; len]);
    let mut cases = vec![
        reply_case("", kind, |ip| ip),
        reply_case(" of an odd length", kind, |ip| with_len(ip, 33)),
        reply_case(", a long one", kind, |ip| with_len(ip, 1400)),
        reply_case(" without data", kind, |ip| with_len(ip, 0)),
        reply_case(" whose checksum comes out as zero", kind, |ip| {
            with_zero_checksum(ip, |ip| returned(&request, ip))
        }),
    ];
    for tags in [&[(0x8100, 7)][..], &[(0x88a8, 7), (0x8100, 42)]] {
        let ip = reply_of(&request);
        let output = tagged(tags, &coming_back(&returned(&request, &ip)));
        let name = format!("a reply inside with tags {tags:x?}, {kind}");
        let given = leaves(name, WITH_INSIDE_FLOWS, tagged(tags, &frame(LEAVING, &ip)));
        cases.push(given.becomes(EgressReturn, output));
    }
    if kind.is_tcp {
        cases.push(reply_case(" with RST", kind, |ip| with_transport(ip, |t| t.set_tcp_flags(RST))));
        cases.push(syn_ack(kind));
    } else if kind.family == Family::V4 {
        cases
            .push(reply_case(" without checksum", kind, |ip| with_transport(ip, Transport::remove_checksum)));
    }
    cases
}

/// Requests come by the tunnel, whoever sends them.
fn syn_ack(kind: Kind) -> Case {
    let request = kind.request(LOCAL);
    let offering = |mss: u16| {
        with_transport(reply_of(&request), |transport| {
            transport.set_tcp_flags(SYN | ACK);
            transport.options = [&[2, 4], &mss.to_be_bytes()[..]].concat();
            transport.data.clear();
        })
    };
    let given =
        leaves(format!("a SYN-ACK inside, {kind}"), WITH_INSIDE_FLOWS, frame(LEAVING, &offering(1460)));
    given.becomes(EgressReturn, coming_back(&returned(&request, &offering(MSS))))
}

/// They depend on each other: the first one comes first.
fn fragments(kind: Kind) -> Vec<Case> {
    let request = kind.request(LOCAL).with_len(300);
    let ip = reply_of(&request);
    let id = 0x311 + u16::from(kind.protocol());
    let parts = |ip: &Ip| ip.fragments(id, &[64, 80, 72]);
    let all = parts(&ip).into_iter().zip(parts(&returned(&request, &ip))).enumerate();
    all.map(|(n, (part, expected))| {
        let name = format!("fragment {n} of a reply inside, {kind}");
        let given = leaves(name, WITH_INSIDE_FLOWS, frame(LEAVING, &part));
        given.becomes(EgressReturn, coming_back(&expected))
    })
    .collect()
}

/// What looks like a reply inside, and is none.
fn non_replies(kind: Kind) -> Vec<Case> {
    let request = kind.request(LOCAL);
    let table = [
        ("to the client itself", reply(&request, pod(1)).ip),
        ("to another port", reply_to_vip(&request, pod(1), 40_002)),
        ("from another Pod", reply_to_vip(&request, pod(2), request.client_port())),
        ("from another port", with_transport(reply_of(&request), |transport| transport.src_port += 1)),
        ("that has come back", returned(&request, &reply_of(&request))),
    ];
    let leaving = |(what, ip): (&str, Ip)| {
        let name = format!("no reply inside: {what}, {kind}");
        leaves(name, WITH_INSIDE_FLOWS, frame(LEAVING, &ip)).untouched(EgressPass)
    };
    table.map(leaving).into()
}

/// A reply cut short at every byte after its IP header: a checksum that is not there cannot be
/// rewritten.
fn cut_anywhere(kind: Kind) -> Vec<Case> {
    let request = kind.request(LOCAL);
    let ip = reply_of(&request);
    let (whole, expected) = (frame(LEAVING, &ip), coming_back(&returned(&request, &ip)));
    let l4 = ETH_LEN + kind.header_len();
    let checksum_end = l4 + if kind.is_tcp { 18 } else { 8 };
    let cut = |len: usize| {
        let name = format!("a reply inside cut to {len} bytes, {kind}");
        let given = leaves(name, WITH_INSIDE_FLOWS, whole[..len].to_vec());
        match len {
            _ if len < l4 + 8 => given.untouched(EgressPass),
            _ if len < checksum_end => given.dropped(EgressDropRewrite),
            _ => given.becomes_with_wrong_checksums(EgressReturn, expected[..len].to_vec()),
        }
    };
    (l4..whole.len()).map(cut).collect()
}

#[test]
fn replies_to_clients_on_this_node_come_back() {
    check_all(&cases());
}

#[test]
fn fragments_of_replies_come_back_too() {
    check_all(&KINDS.into_iter().flat_map(fragments).collect::<Vec<_>>());
}

/// Many ports, and so many values of the transport's checksum.
#[test]
fn a_return_leaves_any_transport_checksum_right() {
    for kind in KINDS {
        let machine = Machine::new(WITH_INSIDE_FLOWS);
        let request = kind.request(LOCAL);
        for length in 0..2000u16 {
            let ip = with_transport(reply_of(&request), |t| t.data = length.to_be_bytes().into());
            let given = leaves(format!("{length}"), WITH_INSIDE_FLOWS, frame(LEAVING, &ip));
            given.becomes(EgressReturn, coming_back(&returned(&request, &ip))).assert_on(&machine);
        }
    }
}
