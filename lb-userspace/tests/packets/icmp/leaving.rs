//! Errors on their way out, of endpoints and of the node: they leave as the VIP's, about what the client has sent.

use lb_common::{
    Verdict::{EgressPass, EgressReply, EgressReturn},
    maps::{Reply, ReplyKey, names},
};

use super::{
    errors::{fragment, quoted_lengths},
    icmp_protocol,
};
use crate::{
    case::{Case, check_all, leaves},
    expect::{at_endpoint, hidden_at_endpoint, reply, with_zero_checksum},
    machine::{AS_NODE, Hook, Machine, Setup, WITH_FLOWS, WITH_INSIDE_FLOWS, reply_entry},
    packet::{ETH_LEN, Icmp, Ip, Payload, frame, tagged},
    services::LOCAL,
    world::{ARRIVING, Family, Host, KINDS, Kind, LEAVING, NODE, Request, STRANGER, VIP, pod},
};

/// Type and code of the errors that an endpoint or a node sends: ports and hosts out of reach, packets too big,
/// time exceeded, faulty headers.
fn error_types(family: Family) -> &'static [(u8, u8)] {
    match family {
        Family::V4 => &[(3, 3), (3, 1), (3, 4), (11, 0), (11, 1), (12, 0)],
        Family::V6 => &[(1, 4), (1, 0), (2, 0), (3, 0), (3, 1), (4, 1)],
    }
}

/// Port unreachable: what most of them are.
fn port_unreachable(family: Family) -> (u8, u8) {
    error_types(family)[0]
}

/// An error to whoever sent what it quotes.
fn error(sender: Host, (kind, code): (u8, u8), about: &Ip, len: usize) -> Ip {
    let family = if about.is_v4() { Family::V4 } else { Family::V6 };
    let icmp = Icmp::error(kind, code, 1400, about, len);
    let ip = Ip::new(sender.ip(family), about.src, Payload::Icmp(icmp));
    Ip { tos: 0xc0, id: 0x77, label: 0x7_1828, ..ip }
}

/// What the endpoint got, from a director.
fn seen_by_endpoint(request: &Request) -> Ip {
    Ip { ttl: 55, ..at_endpoint(request, pod(1)).ip }
}

/// The same as the client sent it.
fn sent_by_client(request: &Request, seen: &Ip) -> Ip {
    let mut sent = Ip { src: request.ip.src, dst: request.ip.dst, ..seen.clone() };
    let transport = sent.transport();
    (transport.src_port, transport.dst_port) = (request.client_port(), request.port);
    sent
}

/// An error about a request to `LOCAL`, and what leaves for it; both made by the same means, about what the endpoint
/// got and what the client sent.
fn case(name: &str, kind: Kind, sender: Host, make: impl Fn(Host, &Request, &Ip) -> Ip) -> Case {
    let request = kind.request(LOCAL);
    let seen = seen_by_endpoint(&request);
    let input = make(sender, &request, &seen);
    let output = make(VIP, &request, &sent_by_client(&request, &seen));
    leaves(format!("an error leaves about {kind}, {name}"), WITH_FLOWS, frame(LEAVING, &input))
        .becomes(EgressReply, frame(LEAVING, &output))
}

pub fn cases() -> Vec<Case> {
    let mut cases: Vec<_> = KINDS.into_iter().flat_map(of_vip).collect();
    cases.extend(KINDS.into_iter().flat_map(around));
    cases.extend(KINDS.into_iter().flat_map(inside));
    cases.extend(KINDS.into_iter().flat_map(not_ours));
    cases.extend(KINDS.into_iter().flat_map(cut_anywhere));
    cases
}

fn of_vip(kind: Kind) -> Vec<Case> {
    let request = kind.request(LOCAL);
    let what = port_unreachable(kind.family);
    let mut cases = Vec::new();
    for what in error_types(kind.family) {
        for (whose, sender) in [("the Pod", pod(1)), ("the node", NODE)] {
            let name = format!("{what:?} of {whose}");
            cases.push(case(&name, kind, sender, |sender, _, about| error(sender, *what, about, usize::MAX)));
        }
    }
    for (how_much, len) in quoted_lengths(&request) {
        let name = format!("{how_much} quoted");
        cases.push(case(&name, kind, pod(1), |sender, _, about| error(sender, what, about, len)));
    }
    cases.push(case("a first fragment quoted", kind, pod(1), |sender, _, about| {
        error(sender, what, &fragment(about, 0, true), kind.header_len() + 16)
    }));
    if kind.family == Family::V4 {
        cases.push(case("options quoted", kind, pod(1), |sender, _, about| {
            let about = Ip { options: vec![1, 1, 1, 0, 0x94, 4, 0, 0], ..about.clone() };
            error(sender, what, &about, 20 + 8 + 8)
        }));
        cases.push(case("with options", kind, pod(1), |sender, _, about| Ip {
            options: vec![0x94, 4, 0, 0],
            ..error(sender, what, about, usize::MAX)
        }));
    }
    if kind.family == Family::V4 && !kind.is_tcp {
        cases.push(case("no checksum quoted", kind, pod(1), |sender, _, about| {
            let mut about = about.clone();
            about.transport().remove_checksum();
            error(sender, what, &about, usize::MAX)
        }));
    }
    cases.push(case("a checksum quoted that comes out as zero", kind, pod(1), |sender, request, about| {
        let about = with_zero_checksum(about.clone(), |ip| sent_by_client(request, ip));
        error(sender, what, &about, usize::MAX)
    }));
    cases
}

/// In frames that have more than the packet.
fn around(kind: Kind) -> Vec<Case> {
    let request = kind.request(LOCAL);
    let seen = seen_by_endpoint(&request);
    // Where a checksum of TCP would be is padding.
    let make =
        |sender, about: &Ip| error(sender, port_unreachable(kind.family), about, kind.header_len() + 8);
    let input = frame(LEAVING, &make(pod(1), &seen));
    let output = frame(LEAVING, &make(VIP, &sent_by_client(&request, &seen)));
    let padded = |frame: &[u8]| [frame, &[0xee; 18]].concat();
    let tagged = |frame: &[u8]| tagged(&[(0x88a8, 7), (0x8100, 42)], frame);
    let leaves =
        |what: &str, frame: Vec<u8>| leaves(format!("a {what} error leaves about {kind}"), WITH_FLOWS, frame);
    vec![
        leaves("padded", padded(&input)).becomes(EgressReply, padded(&output)),
        leaves("tagged", tagged(&input)).becomes(EgressReply, tagged(&output)),
    ]
}

/// To a client on this node, which is the VIP to the endpoint.
fn inside(kind: Kind) -> Vec<Case> {
    let request = kind.request(LOCAL);
    let seen = Ip { ttl: 55, ..hidden_at_endpoint(&request, pod(1), request.client_port()).ip };
    let what = port_unreachable(kind.family);
    let case = |(how_much, len): (&str, usize)| {
        let input = error(pod(1), what, &seen, len);
        let output = error(VIP, what, &sent_by_client(&request, &seen), len);
        let name = format!("an error to a client inside about {kind}, {how_much} quoted");
        leaves(name, WITH_INSIDE_FLOWS, frame(LEAVING, &input))
            .becomes(EgressReturn, frame(ARRIVING, &output))
    };
    quoted_lengths(&request).map(case).into()
}

/// What looks like an error about a flow, and is none.
fn not_ours(kind: Kind) -> Vec<Case> {
    let request = kind.request(LOCAL);
    let seen = seen_by_endpoint(&request);
    let what = port_unreachable(kind.family);
    let header = kind.header_len();
    let about = |ip: &Ip, len| error(pod(1), what, ip, len);
    let whole = about(&seen, usize::MAX);
    let with_protocol = |protocol| {
        let bytes = seen.bytes()[header..].to_vec();
        about(&Ip { payload: Payload::Other { protocol, bytes }, ..seen.clone() }, usize::MAX)
    };
    let at = |request: Request, host| at_endpoint(&request, host).ip;
    let echo = Icmp::echo(icmp_protocol(kind.family), if header == 20 { 0 } else { 129 }, 0, &[0x45; 64]);
    let table = [
        ("to somebody else", WITH_FLOWS, Ip { dst: STRANGER.ip(kind.family), ..whole.clone() }),
        ("about a reply", WITH_FLOWS, about(&reply(&request, pod(1)).ip, usize::MAX)),
        ("about a request to the VIP", WITH_FLOWS, about(&request.ip, usize::MAX)),
        (
            "about another client's",
            WITH_FLOWS,
            about(&at(request.clone().with_client(STRANGER), pod(1)), usize::MAX),
        ),
        (
            "about another port's",
            WITH_FLOWS,
            about(&at(request.clone().with_client_port(40_002), pod(1)), usize::MAX),
        ),
        ("about what another Pod got", WITH_FLOWS, about(&at(request.clone(), pod(2)), usize::MAX)),
        ("nothing quoted", WITH_FLOWS, about(&seen, 0)),
        ("half a header quoted", WITH_FLOWS, about(&seen, header - 1)),
        ("no ports quoted", WITH_FLOWS, about(&seen, header)),
        ("not all ports quoted", WITH_FLOWS, about(&seen, header + 7)),
        ("ICMP quoted", WITH_FLOWS, with_protocol(icmp_protocol(kind.family))),
        ("GRE quoted", WITH_FLOWS, with_protocol(47)),
        ("a later fragment quoted", WITH_FLOWS, about(&fragment(&seen, 185, true), usize::MAX)),
        ("no error", WITH_FLOWS, Ip { payload: Payload::Icmp(echo), ..whole.clone() }),
        ("where no flow is open", AS_NODE, whole.clone()),
    ];
    let leaving = |(what, setup, ip): (&str, Setup, Ip)| {
        leaves(format!("no error of ours about {kind}: {what}"), setup, frame(LEAVING, &ip))
            .untouched(EgressPass)
    };
    table.map(leaving).into()
}

/// An error cut short at every byte after its IP header. Where it quotes ports, it is the VIP's; so that nothing of
/// the endpoint is told.
fn cut_anywhere(kind: Kind) -> Vec<Case> {
    let request = kind.request(LOCAL);
    let seen = seen_by_endpoint(&request);
    let make = |sender, about: &Ip| error(sender, port_unreachable(kind.family), about, usize::MAX);
    let whole = frame(LEAVING, &make(pod(1), &seen));
    let rewritten = frame(LEAVING, &make(VIP, &sent_by_client(&request, &seen)));
    let l4 = ETH_LEN + kind.header_len();
    let quoted_l4 = l4 + 8 + kind.header_len();
    let check_end = quoted_l4 + if kind.is_tcp { 18 } else { 8 };
    (l4..quoted_l4 + 8)
        .chain(check_end..whole.len())
        .map(|len| {
            let given = leaves(
                format!("an error that leaves cut to {len} bytes, {kind}"),
                WITH_FLOWS,
                whole[..len].to_vec(),
            );
            if len < check_end {
                given.untouched(EgressPass)
            } else {
                given.becomes_with_wrong_checksums(EgressReply, rewritten[..len].to_vec())
            }
        })
        .collect()
}

#[test]
fn errors_leave_as_the_vips() {
    check_all(&cases());
}

/// A client that is shown to the endpoint by another port is told of its own.
#[test]
fn an_error_quotes_the_port_that_the_client_has() {
    for kind in KINDS {
        let mut machine = Machine::new(AS_NODE);
        let request = kind.request(LOCAL);
        let shown = request.clone().with_client_port(50_123);
        let (_, reply) = reply_entry(&request, pod(1));
        let (key, _) = reply_entry(&shown, pod(1));
        machine.map::<ReplyKey, Reply>(names::NODE_REPLIES).insert(key, reply, 0).unwrap();
        let seen = seen_by_endpoint(&shown);
        let make = |sender, about: &Ip| {
            frame(LEAVING, &error(sender, port_unreachable(kind.family), about, usize::MAX))
        };
        leaves(format!("{kind}"), AS_NODE, make(pod(1), &seen))
            .becomes(EgressReply, make(VIP, &sent_by_client(&request, &seen)))
            .assert_on(&machine);
    }
}

/// Many data, and so many values of all checksums.
#[test]
fn an_error_that_leaves_has_any_checksum_right() {
    let machine = Machine::new(WITH_FLOWS);
    for kind in KINDS {
        let request = kind.request(LOCAL);
        for data in (0..=u16::MAX).step_by(13) {
            let mut seen = seen_by_endpoint(&request);
            seen.transport().data = data.to_be_bytes().into();
            let make = |sender, about: &Ip| {
                frame(LEAVING, &error(sender, port_unreachable(kind.family), about, usize::MAX))
            };
            let output = machine.run(Hook::Egress, &make(pod(1), &seen)).output;
            assert!(output == make(VIP, &sent_by_client(&request, &seen)), "{kind}, data {data:#06x}");
        }
    }
}
