//! Replies on their way out: they get the VIP back as their source, and
//! everything else leaves as it is.

use lb_common::Verdict::{EgressDropRewrite, EgressPass, EgressReply};

use crate::{
    bystanders,
    case::{Case, check_all, leaves},
    expect::{from_vip, reply, with_zero_checksum},
    machine::{AS_NODE, Machine, WITH_FLOWS, WITH_FORMER_REPLIES},
    packet::{ACK, ETH_LEN, FIN, Ip, RST, SYN, Transport, frame},
    services::LOCAL,
    world::{CLIENT, Family, KINDS, Kind, LEAVING, Request, STRANGER, VIP, pod},
};

pub fn cases() -> Vec<Case> {
    let mut cases: Vec<_> = KINDS.into_iter().flat_map(replies).collect();
    cases.extend(KINDS.into_iter().flat_map(non_replies));
    cases.extend(KINDS.into_iter().flat_map(cut_anywhere));
    cases.extend(
        bystanders::table(CLIENT)
            .into_iter()
            .filter(|row| Machine::can_test_egress(&row.frame))
            .map(|row| leaves(format!("{} leaves", row.name), WITH_FLOWS, row.frame).untouched(EgressPass)),
    );
    cases
}

/// A reply that `change` has made special.
fn reply_case(name: String, kind: Kind, change: impl Fn(Ip) -> Ip) -> Case {
    let request = kind.request(LOCAL);
    let ip = change(reply(&request, pod(1)).ip);
    let output = frame(LEAVING, &from_vip(&request, &ip));
    leaves(name, WITH_FLOWS, frame(LEAVING, &ip)).becomes(EgressReply, output)
}

fn with_transport(ip: Ip, change: impl Fn(&mut Transport)) -> Ip {
    let mut ip = ip;
    change(ip.transport());
    ip
}

fn replies(kind: Kind) -> Vec<Case> {
    let mut cases = vec![
        reply_case(format!("a reply, {kind}"), kind, |ip| ip),
        reply_case(format!("a reply of an odd length, {kind}"), kind, |ip| {
            with_transport(ip, |transport| transport.data = vec![7; 33])
        }),
        reply_case(format!("a long reply, {kind}"), kind, |ip| {
            with_transport(ip, |transport| transport.data = vec![7; 1400])
        }),
        reply_case(format!("a reply without data, {kind}"), kind, |ip| {
            with_transport(ip, |transport| transport.data.clear())
        }),
        reply_case(format!("a reply whose checksum comes out as zero, {kind}"), kind, |ip| {
            with_zero_checksum(ip, |ip| from_vip(&kind.request(LOCAL), ip))
        }),
    ];
    if kind.is_tcp {
        cases.extend([SYN | ACK, ACK | FIN, RST].map(|flags| {
            reply_case(format!("a reply with flags {flags:#04x}, {kind}"), kind, |ip| {
                with_transport(ip, |transport| transport.set_tcp_flags(flags))
            })
        }));
    } else if kind.family == Family::V4 {
        cases.push(reply_case(format!("a reply without checksum has none afterwards, {kind}"), kind, |ip| {
            with_transport(ip, Transport::remove_checksum)
        }));
    }
    cases
}

/// What looks like a reply, and is none.
fn non_replies(kind: Kind) -> Vec<Case> {
    let request = kind.request(LOCAL);
    let reply = |request: &Request| reply(request, pod(1)).ip;
    let table = [
        ("to another client", Ip { dst: STRANGER.ip(kind.family), ..reply(&request) }),
        ("to another port of the client", reply(&request.clone().with_client_port(40_002))),
        ("from another Pod", Ip { src: pod(2).ip(kind.family), ..reply(&request) }),
        ("from another port of the Pod", with_transport(reply(&request), |t| t.src_port += 1)),
        ("the request itself", request.ip.clone()),
        ("from the VIP already", Ip { src: VIP.ip(kind.family), ..reply(&request) }),
    ];
    let leaving = |what: &str, setup, ip: &Ip| leaves(format!("{what}, {kind}"), setup, frame(LEAVING, ip));
    let mut cases: Vec<_> =
        table.iter().map(|(what, ip)| leaving(what, WITH_FLOWS, ip).untouched(EgressPass)).collect();
    cases.push(leaving("where no flow is open", AS_NODE, &reply(&request)).untouched(EgressPass));
    cases
}

/// A reply cut short at every byte after its IP header. Where its ports are,
/// it is a reply still, but a checksum that is not there cannot be rewritten.
fn cut_anywhere(kind: Kind) -> Vec<Case> {
    let request = kind.request(LOCAL);
    let whole = frame(LEAVING, &reply(&request, pod(1)).ip);
    let rewritten = frame(LEAVING, &from_vip(&request, &reply(&request, pod(1)).ip));
    let l4 = ETH_LEN + kind.header_len();
    let checksum_end = l4 + if kind.is_tcp { 18 } else { 8 };
    (l4..whole.len())
        .map(|len| {
            let given =
                leaves(format!("a reply cut to {len} bytes, {kind}"), WITH_FLOWS, whole[..len].to_vec());
            match len {
                _ if len < l4 + 8 => given.untouched(EgressPass),
                _ if len < checksum_end => given.dropped(EgressDropRewrite),
                _ => given.becomes_with_wrong_checksums(EgressReply, rewritten[..len].to_vec()),
            }
        })
        .collect()
}

#[test]
fn replies_that_only_the_former_table_knows_leave_alike() {
    let mut cases: Vec<_> = KINDS.into_iter().flat_map(replies).collect();
    cases.iter_mut().for_each(|case| case.setup = WITH_FORMER_REPLIES);
    check_all(&cases);
}

#[test]
fn replies_leave_with_the_vip_as_their_source() {
    check_all(&cases());
}
