//! Delivery on the same link.

use lb_common::Verdict::{DropHopLimit, ForwardL2, RedirectL2, TellTooBig};

use super::DIRECTORS;
use crate::{
    case::{Case, arrives, check_all},
    expect::{self, by_mac},
    machine::{AS_DIRECTOR, Machine},
    packet::{Ip, frame},
    services::{L2, L2_ELSEWHERE, MTU, TO_BACKEND},
    world::{ARRIVING, Family, KINDS, Kind, Request},
};

pub fn cases() -> Vec<Case> {
    let mut cases: Vec<_> = KINDS.into_iter().flat_map(cases_of_kind).collect();
    cases.extend(KINDS.into_iter().filter(|kind| !kind.is_tcp).flat_map(of_udp));
    cases
}

fn cases_of_kind(kind: Kind) -> Vec<Case> {
    let mut cases = Vec::new();
    for setup in DIRECTORS {
        for (port, verdict) in [(L2, ForwardL2), (L2_ELSEWHERE, RedirectL2)] {
            let request = kind.request(port);
            let name = format!("{kind} leaves by {verdict:?} on {setup}");
            let case = arrives(name, setup, request.frame());
            cases.push(case.becomes(verdict, by_mac(TO_BACKEND, &request)).for_its_backend(&request));
        }
    }
    cases.extend([
        forwarded(format!("{kind} with a TTL of 2"), with_ttl(kind, 2)),
        hop_limit(format!("{kind} with a TTL of 1"), with_ttl(kind, 1)),
        hop_limit(format!("{kind} with a TTL of 0"), with_ttl(kind, 0)),
        forwarded(format!("{kind} of just the MTU"), kind.request(L2).with_len(MTU)),
        too_big(format!("{kind} one byte longer than the MTU"), kind.request(L2).with_len(MTU + 1)),
        padded(format!("{kind} in a padded frame"), kind.request(L2)),
    ]);
    cases
}

fn of_udp(kind: Kind) -> Vec<Case> {
    let mut empty = kind.request(L2);
    empty.ip.transport().data.clear();
    let mut cases = vec![forwarded(format!("{kind} without data"), empty)];
    if kind.family == Family::V4 {
        let without = kind.request(L2).without_checksum();
        cases.push(forwarded(format!("{kind} without checksum"), without));
    }
    cases
}

fn with_ttl(kind: Kind, ttl: u8) -> Request {
    let request = kind.request(L2);
    Request { ip: Ip { ttl, ..request.ip.clone() }, ..request }
}

fn forwarded(name: String, request: Request) -> Case {
    let output = by_mac(TO_BACKEND, &request);
    arrives(name, AS_DIRECTOR, request.frame()).becomes(ForwardL2, output).for_its_backend(&request)
}

fn hop_limit(name: String, request: Request) -> Case {
    arrives(name, AS_DIRECTOR, request.frame()).dropped(DropHopLimit).for_its_backend(&request)
}

fn too_big(name: String, request: Request) -> Case {
    // A node may have to hand it on, in IPv4.
    let output = expect::too_big_frame(&request, MTU - 20 - 8 - 20);
    arrives(name, AS_DIRECTOR, request.frame()).becomes(TellTooBig, output).for_its_backend(&request)
}

/// What a driver puts behind a short packet stays, and does not count.
fn padded(name: String, request: Request) -> Case {
    let padding = [0xee; 18];
    let output = [by_mac(TO_BACKEND, &request), padding.to_vec()].concat();
    let input = [request.frame(), padding.to_vec()].concat();
    arrives(name, AS_DIRECTOR, input).becomes(ForwardL2, output).for_its_backend(&request)
}

#[test]
fn packets_leave_for_a_backend_on_the_same_link() {
    check_all(&cases());
}

/// All identifications, and so all values that the header's checksum takes.
#[test]
fn one_hop_less_leaves_any_header_checksum_right() {
    let machine = Machine::new(AS_DIRECTOR);
    for id in 0..=u16::MAX {
        let request = Kind { family: Family::V4, is_tcp: false }.request(L2);
        let before = Ip { id, ..request.ip };
        let after = Ip { ttl: before.ttl - 1, ..before.clone() };
        let output = machine.run_xdp(&frame(ARRIVING, &before)).output;
        assert_eq!(output, frame(TO_BACKEND, &after), "identification {id:#x}");
    }
}
