//! Delivery within UDP, all four combinations of families.

use std::collections::BTreeSet;

use lb_common::Verdict::{DropNoRoom, ForwardGue, RedirectGue, TellTooBig};

use super::DIRECTORS;
use crate::{
    case::{Case, arrives, check_all},
    expect::{self, in_gue, source_port},
    machine::{AS_DIRECTOR, WITHOUT_HEADROOM},
    packet::{ACK, Ip, SYN},
    services::{GUE, GUE_ELSEWHERE, MTU, port_over},
    world::{FAMILIES, Family, KINDS, Kind, Request},
};

pub fn cases() -> Vec<Case> {
    KINDS
        .into_iter()
        .flat_map(|kind| FAMILIES.into_iter().flat_map(move |outer| cases_of_kind(kind, outer)))
        .collect()
}

fn cases_of_kind(kind: Kind, outer: Family) -> Vec<Case> {
    let name = |what: &str| format!("{kind} in GUE over {outer:?}: {what}");
    let (here, elsewhere) = (port_over(outer, GUE), port_over(outer, GUE_ELSEWHERE));
    let overhead = Kind { family: outer, ..kind }.header_len() + 8 + 4;
    let request = kind.request(here);
    let with = |change: fn(Ip) -> Ip| Request { ip: change(request.ip.clone()), ..request.clone() };
    let mut cases = Vec::new();
    for setup in DIRECTORS {
        for (port, verdict) in [(here, ForwardGue), (elsewhere, RedirectGue)] {
            let request = kind.request(port);
            let given = arrives(name(&format!("{verdict:?} on {setup}")), setup, request.frame());
            cases.push(given.becomes(verdict, in_gue(outer, &request)).for_its_backend(&request));
        }
    }
    cases.extend([
        forwarded(name("ECT(0) is copied"), outer, with(|ip| Ip { tos: 0x02, ..ip })),
        forwarded(name("congestion experienced is copied"), outer, with(|ip| Ip { tos: 0xff, ..ip })),
        forwarded(name("no traffic class at all"), outer, with(|ip| Ip { tos: 0, ..ip })),
        forwarded(name("a tunnel is no hop of the packet"), outer, with(|ip| Ip { ttl: 1, ..ip })),
        forwarded(name("the inner packet may be fragmented"), outer, with(|ip| Ip { fragment: 0, ..ip })),
        forwarded(name("just the MTU"), outer, kind.request(here).with_len(MTU - overhead)),
        too_big(name("one byte too long"), outer, kind.request(here).with_len(MTU - overhead + 1)),
        too_big(name("so long that it would fit no frame"), outer, kind.request(here).with_len(3000)),
        padded(name("a padded frame"), outer, kind.request(here)),
        no_room(name("no headroom"), kind.request(here)),
    ]);
    cases.extend((40_002..40_010).map(|port| {
        let request = kind.request(here).with_client_port(port);
        forwarded(name(&format!("another flow, another port: {port}")), outer, request)
    }));
    if kind.is_tcp {
        cases.extend([ACK, ACK | SYN].map(|flags| {
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
    let output = in_gue(outer, &request);
    arrives(name, AS_DIRECTOR, request.frame()).becomes(ForwardGue, output).for_its_backend(&request)
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

/// No length counts the padding, which stays behind the packet.
fn padded(name: String, outer: Family, request: Request) -> Case {
    let padding = [0xee; 18];
    let output = [in_gue(outer, &request), padding.to_vec()].concat();
    let input = [request.frame(), padding.to_vec()].concat();
    arrives(name, AS_DIRECTOR, input).becomes(ForwardGue, output).for_its_backend(&request)
}

#[test]
fn packets_leave_for_a_backend_within_udp() {
    check_all(&cases());
}

/// What the tables expect of source ports is of some variety.
#[test]
fn flows_have_source_ports_of_their_own() {
    let ports = |kind: Kind| (40_000..41_000).map(move |port| kind.request(GUE).with_client_port(port));
    for kind in KINDS {
        let seen: BTreeSet<_> = ports(kind).map(|request| source_port(&request)).collect();
        assert!(seen.len() > 900 && seen.iter().all(|port| *port >= 49_152), "{kind}: {}", seen.len());
    }
}
