//! Packets from a director: out of their tunnel, and on to the endpoint.

use lb_common::Verdict::Deliver;

use super::{NODES, kinds_in_tunnels};
use crate::{
    case::{Case, arrives, check_all},
    expect::{at_endpoint, from_director, ip_in_ip_packet, with_zero_checksum},
    machine::{AS_NODE, Machine},
    packet::{ACK, FIN, Ip, RST, frame},
    services::LOCAL,
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
            let given = arrives(name(&format!("a director's tunnel ends on {setup}")), setup, input);
            given.becomes(Deliver, output.clone()).for_service(&request)
        })
        .into();
    let from_node = frame(ARRIVING, &ip_in_ip_packet(&request.ip, OTHER_NODE.ip(outer), NODE.ip(outer)));
    let given = arrives(name("another node's tunnel ends"), AS_NODE, from_node);
    cases.push(given.becomes(Deliver, output.clone()).for_service(&request));
    let padding = [0xee; 18];
    let input = [&from_director(outer, &request.ip)[..], &padding].concat();
    let given = arrives(name("padding stays behind the packet"), AS_NODE, input);
    cases.push(given.becomes(Deliver, [&output[..], &padding].concat()).for_service(&request));
    cases
}

/// Of a packet as it is, in a tunnel of its own family.
fn delivered_case(name: String, request: &Request) -> Case {
    let output = at_endpoint(request, pod(1)).frame();
    let input = from_director(request.kind.family, &request.ip);
    arrives(name, AS_NODE, input).becomes(Deliver, output).for_service(request)
}

fn rewrites(kind: Kind) -> Vec<Case> {
    let request = kind.request(LOCAL);
    let mut cases = vec![
        delivered_case(format!("{kind} as long as may be"), &request.clone().with_len(1480)),
        delivered_case(format!("{kind} of an odd length"), &request.clone().with_len(99)),
        delivered_case(
            format!("{kind} with its last hop"),
            &with_changed_ip(&request, |ip| Ip { ttl: 1, ..ip }),
        ),
        delivered_case(
            format!("{kind} whose checksum comes out as zero"),
            &request_whose_checksum_becomes_zero(kind),
        ),
        delivered_case(format!("{kind} whose checksum was zero"), &request_with_zero_checksum(kind)),
    ];
    if kind.is_tcp {
        cases.extend([ACK, ACK | FIN, RST].map(|flags| {
            let request = request.clone().with_tcp_flags(flags);
            delivered_case(format!("{kind}, flags {flags:#04x}"), &request)
        }));
    } else if kind.family == Family::V4 {
        let without = kind.request(LOCAL).without_checksum();
        cases.push(delivered_case(format!("{kind} without checksum has none afterwards"), &without));
    }
    cases
}

/// What a director on the same link sends.
fn by_mac(kind: Kind) -> [Case; 2] {
    let request = kind.request(LOCAL);
    NODES.map(|setup| {
        let name = format!("{kind} by its MAC address on {setup}");
        let output = at_endpoint(&request, pod(1)).frame();
        arrives(name, setup, request.frame()).becomes(Deliver, output).for_service(&request)
    })
}

fn with_changed_ip(request: &Request, change: fn(Ip) -> Ip) -> Request {
    Request { ip: change(request.ip.clone()), ..request.clone() }
}

fn request_with_zero_checksum(kind: Kind) -> Request {
    let request = kind.request(LOCAL);
    Request { ip: with_zero_checksum(request.ip.clone(), Ip::clone), ..request }
}

fn request_whose_checksum_becomes_zero(kind: Kind) -> Request {
    let request = kind.request(LOCAL);
    let at_endpoint = |ip: &Ip| at_endpoint(&Request { ip: ip.clone(), ..request.clone() }, pod(1)).ip;
    Request { ip: with_zero_checksum(request.ip.clone(), at_endpoint), ..request.clone() }
}

#[test]
fn packets_are_rewritten_to_the_endpoint() {
    check_all(&cases());
}

/// Many source ports, and so many values of the transport's checksum.
#[test]
fn a_rewrite_leaves_any_transport_checksum_right() {
    let machine = Machine::new(AS_NODE);
    for kind in KINDS {
        for port in (1..=u16::MAX).step_by(3) {
            let request = kind.request(LOCAL).with_client_port(port);
            let output = machine.run_xdp(&request.frame()).output;
            assert!(output == at_endpoint(&request, pod(1)).frame(), "{kind} from port {port}");
        }
    }
}
