//! Frames to a group of stations, in which an IP packet to one address has no business. A host discards it
//! (RFC 1122 section 3.3.6), and a router forwards none (RFC 1812 section 5.3.4): it is left to the kernel.

use lb_common::Verdict::Pass;

use crate::{
    case::{Case, arrives, check_all},
    expect::from_director,
    machine::{AS_BOTH, AS_DIRECTOR, AS_NODE},
    packet::tagged,
    services::{L2, LOCAL},
    world::{KINDS, Kind},
};

/// To all, and to groups of IPv4 and of IPv6.
const GROUPS: [[u8; 6]; 3] = [[0xff; 6], [1, 0, 0x5e, 0, 0, 1], [0x33, 0x33, 0, 0, 0, 1]];

pub fn cases() -> Vec<Case> {
    KINDS.into_iter().flat_map(cases_of_kind).collect()
}

fn cases_of_kind(kind: Kind) -> Vec<Case> {
    let request = kind.request(LOCAL);
    let frames = [
        ("to a VIP", request.frame()),
        ("to a VIP with a tag", tagged(&[(0x8100, 42)], &request.frame())),
        ("to a VIP of others", kind.request(L2).frame()),
        ("in a tunnel", from_director(kind.family, &request.ip)),
    ];
    let mut cases = Vec::new();
    for setup in [AS_DIRECTOR, AS_NODE, AS_BOTH] {
        for (what, frame) in &frames {
            cases.extend(GROUPS.map(|group| {
                let name = format!("{kind} {what}, to {group:02x?} on {setup}");
                arrives(name, setup, [&group[..], &frame[6..]].concat()).untouched(Pass)
            }));
        }
    }
    cases
}

#[test]
fn frames_to_groups_are_left_alone() {
    check_all(&cases());
}
