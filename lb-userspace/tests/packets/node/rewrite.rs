//! Packets from a director: out of their tunnel, and on to the endpoint.

use lb_common::Verdict::Deliver;

use super::{NODES, kinds_in_tunnels};
use crate::{
    case::{Case, arrives, check_all},
    expect::{at_endpoint, from_director, tunnel},
    machine::{AS_NODE, Setup},
    packet::{ACK, FIN, Ip, RST, frame},
    services::{LOCAL, TARGET_PORT},
    world::{ARRIVING, Family, KINDS, Kind, NODE, OTHER_NODE, Request, pod},
};

pub fn cases() -> Vec<Case> {
    let tunnelled = kinds_in_tunnels().flat_map(|(kind, outer)| in_tunnel(kind, outer));
    tunnelled.chain(KINDS.into_iter().flat_map(rewrites)).chain(KINDS.into_iter().flat_map(by_mac)).collect()
}

fn in_tunnel(kind: Kind, outer: Family) -> Vec<Case> {
    let request = kind.request(LOCAL);
    let name = |what: &str| format!("{kind} in {outer:?}: {what}");
    let output = at_endpoint(&request, pod(1)).frame();
    let mut cases: Vec<_> = NODES
        .map(|setup| {
            let input = from_director(outer, &request.ip);
            let given =
                arrives(name(&format!("a director's tunnel ends on {:?}", setup.roles)), setup, input);
            given.becomes(Deliver, output.clone()).for_service(&request)
        })
        .into();
    let from_node = frame(ARRIVING, &tunnel(&request.ip, OTHER_NODE.ip(outer), NODE.ip(outer)));
    let given = arrives(name("another node's tunnel ends"), AS_NODE, from_node);
    cases.push(given.becomes(Deliver, output.clone()).for_service(&request));
    let padding = [0xee; 18];
    let input = [&from_director(outer, &request.ip)[..], &padding].concat();
    let given = arrives(name("padding stays behind the packet"), AS_NODE, input);
    cases.push(given.becomes(Deliver, [&output[..], &padding].concat()).for_service(&request));
    cases
}

/// Of a packet as it is, in a tunnel of its own family.
fn delivered(name: String, setup: Setup, request: &Request) -> Case {
    let output = at_endpoint(request, pod(1)).frame();
    let input = from_director(request.kind.family, &request.ip);
    arrives(name, setup, input).becomes(Deliver, output).for_service(request)
}

fn rewrites(kind: Kind) -> Vec<Case> {
    let request = kind.request(LOCAL);
    let mut cases = vec![
        delivered(format!("{kind} as long as may be"), AS_NODE, &request.clone().with_len(1480)),
        delivered(format!("{kind} of an odd length"), AS_NODE, &request.clone().with_len(99)),
        delivered(format!("{kind} with its last hop"), AS_NODE, &with(&request, |ip| Ip { ttl: 1, ..ip })),
        delivered(format!("{kind} whose checksum comes out as zero"), AS_NODE, &sum_becomes_zero(kind)),
        delivered(format!("{kind} whose checksum was zero"), AS_NODE, &sum_is_zero(kind)),
    ];
    if kind.is_tcp {
        cases.extend([ACK, ACK | FIN, RST].map(|flags| {
            let request = request.clone().with_tcp_flags(flags);
            delivered(format!("{kind}, flags {flags:#04x}"), AS_NODE, &request)
        }));
    } else if kind.family == Family::V4 {
        let without = kind.request(LOCAL).without_checksum();
        cases.push(delivered(format!("{kind} without checksum has none afterwards"), AS_NODE, &without));
    }
    cases
}

/// What a director on the same link sends.
fn by_mac(kind: Kind) -> [Case; 2] {
    let request = kind.request(LOCAL);
    NODES.map(|setup| {
        let name = format!("{kind} by its MAC address on {:?}", setup.roles);
        let output = at_endpoint(&request, pod(1)).frame();
        arrives(name, setup, request.frame()).becomes(Deliver, output).for_service(&request)
    })
}

fn with(request: &Request, change: fn(Ip) -> Ip) -> Request {
    Request { ip: change(request.ip.clone()), ..request.clone() }
}

/// A request whose checksum is zero in arithmetic; UDP writes it as all ones.
fn sum_is_zero(kind: Kind) -> Request {
    balance(kind.request(LOCAL), Request::clone)
}

/// A request whose checksum is zero once it is addressed to the endpoint.
fn sum_becomes_zero(kind: Kind) -> Request {
    balance(kind.request(LOCAL), |request| at_endpoint(request, pod(1)))
}

/// Choose the first word of the data so that what `become` makes of the
/// request has a checksum of zero.
fn balance(mut request: Request, become_: fn(&Request) -> Request) -> Request {
    let check = |request: &Request| {
        let at = request.kind.header_len() + if request.kind.is_tcp { 16 } else { 6 };
        let bytes = become_(request).ip.bytes();
        [bytes[at], bytes[at + 1]]
    };
    request.ip.transport().data[..2].fill(0);
    let missing = check(&request);
    request.ip.transport().data[..2].copy_from_slice(&missing);
    let zero = if request.kind.is_tcp { [0, 0] } else { [0xff, 0xff] };
    assert_eq!(check(&request), zero);
    request
}

#[test]
fn packets_are_rewritten_to_the_endpoint() {
    check_all(&cases());
}

/// All source ports, and so all values that the transport's checksum takes.
#[test]
fn a_rewrite_leaves_any_transport_checksum_right() {
    let machine = crate::machine::Machine::new(AS_NODE);
    for kind in KINDS {
        for port in (1..=u16::MAX).step_by(3) {
            let request = kind.request(LOCAL).from_port(port);
            let output = machine.xdp(&request.frame()).output;
            let mut expected = at_endpoint(&request, pod(1));
            assert_eq!(expected.ip.transport().dst_port, TARGET_PORT);
            assert!(output == expected.frame(), "{kind} from port {port}");
        }
    }
}
