//! Delivery in an outer IP header, all four combinations of families.

use lb_common::Verdict::{DropNoRoom, ForwardIpip, RedirectIpip, TellTooBig};

use super::DIRECTORS;
use crate::{
    case::{Case, arrives, check_all},
    expect::{self, in_tunnel},
    machine::{AS_DIRECTOR, WITHOUT_HEADROOM},
    packet::{ACK, FIN, Ip, RST},
    services::{IPIP4, IPIP4_ELSEWHERE, IPIP6, IPIP6_ELSEWHERE, MTU},
    world::{FAMILIES, Family, KINDS, Kind, Request},
};

pub fn cases() -> Vec<Case> {
    KINDS
        .into_iter()
        .flat_map(|kind| FAMILIES.into_iter().flat_map(move |outer| cases_of_kind(kind, outer)))
        .collect()
}

fn cases_of_kind(kind: Kind, outer: Family) -> Vec<Case> {
    let name = |what: &str| format!("{kind} in an outer {outer:?} header: {what}");
    let (here, elsewhere, overhead) = match outer {
        Family::V4 => (IPIP4, IPIP4_ELSEWHERE, 20),
        Family::V6 => (IPIP6, IPIP6_ELSEWHERE, 40),
    };
    let request = kind.request(here);
    let with = |change: fn(Ip) -> Ip| Request { ip: change(request.ip.clone()), ..request.clone() };
    let mut cases = Vec::new();
    for setup in DIRECTORS {
        for (port, verdict) in [(here, ForwardIpip), (elsewhere, RedirectIpip)] {
            let request = kind.request(port);
            let given = arrives(name(&format!("{verdict:?} on {setup}")), setup, request.frame());
            cases.push(given.becomes(verdict, in_tunnel(outer, &request)).for_its_backend(&request));
        }
    }
    cases.extend([
        forwarded(name("ECT(0) is copied"), outer, with(|ip| Ip { tos: 0x02, ..ip })),
        forwarded(name("congestion experienced is copied"), outer, with(|ip| Ip { tos: 0xff, ..ip })),
        forwarded(name("no traffic class at all"), outer, with(|ip| Ip { tos: 0, ..ip })),
        forwarded(name("a tunnel is no hop of the packet"), outer, with(|ip| Ip { ttl: 1, ..ip })),
        forwarded(name("the inner packet may be fragmented"), outer, with(|ip| Ip { fragment: 0, ..ip })),
        forwarded(name("another flow, another label"), outer, kind.request(here).with_client_port(40_002)),
        forwarded(name("just the MTU"), outer, kind.request(here).with_len(MTU - overhead)),
        too_big(name("one byte too long"), outer, kind.request(here).with_len(MTU - overhead + 1)),
        too_big(name("so long that it would fit no frame"), outer, kind.request(here).with_len(3000)),
        padded(name("a padded frame"), outer, kind.request(here)),
        no_room(name("no headroom"), kind.request(here)),
    ]);
    if kind.is_tcp {
        cases.extend([ACK, ACK | FIN, RST].map(|flags| {
            let request = kind.request(here).with_tcp_flags(flags);
            forwarded(name(&format!("flags {flags:#04x}")), outer, request)
        }));
    } else if kind.family == Family::V4 {
        let without = kind.request(here).without_checksum();
        cases.push(forwarded(name("no checksum"), outer, without));
    }
    cases
}

fn forwarded(name: String, outer: Family, request: Request) -> Case {
    let output = in_tunnel(outer, &request);
    arrives(name, AS_DIRECTOR, request.frame()).becomes(ForwardIpip, output).for_its_backend(&request)
}

/// Told to the client, with what fits if it has to be handed on.
fn too_big(name: String, outer: Family, request: Request) -> Case {
    let fits = MTU - Kind { family: outer, ..request.kind }.header_len() - 8 - 20;
    let output = expect::too_big_frame(&request, fits);
    arrives(name, AS_DIRECTOR, request.frame()).becomes(TellTooBig, output).for_its_backend(&request)
}

fn no_room(name: String, request: Request) -> Case {
    arrives(name, WITHOUT_HEADROOM, request.frame()).dropped(DropNoRoom).for_its_backend(&request)
}

/// The outer header does not count the padding, which stays behind it.
fn padded(name: String, outer: Family, request: Request) -> Case {
    let padding = [0xee; 18];
    let output = [in_tunnel(outer, &request), padding.to_vec()].concat();
    let input = [request.frame(), padding.to_vec()].concat();
    arrives(name, AS_DIRECTOR, input).becomes(ForwardIpip, output).for_its_backend(&request)
}

#[test]
fn packets_leave_for_a_backend_in_an_outer_header() {
    check_all(&cases());
}
