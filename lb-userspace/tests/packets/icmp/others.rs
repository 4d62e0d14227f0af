//! All other ICMP to a VIP: dropped under its name, but for what the kernel
//! needs to find its neighbours.

use lb_common::Verdict::{DropIcmp, DropTruncated, Pass, PassForeignTunnel};

use super::{icmp_protocol, icmp_to_vip};
use crate::{
    case::{Case, arrives, check_all},
    expect::from_director,
    machine::{AS_BOTH, AS_DIRECTOR, AS_NODE},
    packet::{ETH_LEN, Icmp, Ip, frame},
    world::{ARRIVING, FAMILIES, Family},
};

pub fn cases() -> Vec<Case> {
    FAMILIES.into_iter().flat_map(cases_of_family).collect()
}

/// Types that are neither echo requests, nor errors, nor of neighbours.
fn unwanted(family: Family) -> &'static [u8] {
    match family {
        Family::V4 => &[0, 1, 2, 4, 5, 9, 10, 13, 14, 15, 17, 42, 255],
        Family::V6 => &[0, 5, 100, 127, 129, 130, 131, 132, 138, 143, 200, 255],
    }
}

fn cases_of_family(family: Family) -> Vec<Case> {
    let of_type = |kind| icmp_to_vip(family, Icmp::echo(icmp_protocol(family), kind, 0, &[0x45; 64]));
    let name = |kind: u8, whom: &str| format!("ICMP type {kind} over {family:?} {whom}");
    let mut cases = Vec::new();
    for setup in [AS_DIRECTOR, AS_NODE, AS_BOTH] {
        let on = format!("on {setup}");
        let arrives = |kind| arrives(name(kind, &on), setup, frame(ARRIVING, &of_type(kind)));
        cases.extend(unwanted(family).iter().map(|kind| arrives(*kind).dropped(DropIcmp)));
        if family == Family::V6 {
            cases.extend((133..=137).map(|kind| arrives(kind).untouched(Pass)));
        }
    }
    let tunnelled = |kind| {
        let frame = from_director(family, &of_type(kind));
        arrives(name(kind, "in a director's tunnel"), AS_NODE, frame)
    };
    let echo = if family == Family::V4 { 8 } else { 128 };
    cases.extend([echo, unwanted(family)[0]].map(|kind| tunnelled(kind).dropped(DropIcmp)));
    if family == Family::V6 {
        cases.push(tunnelled(135).untouched(PassForeignTunnel));
    }
    cases.extend(cut_anywhere(family, &of_type(echo)));
    cases
}

fn cut_anywhere(family: Family, ip: &Ip) -> impl Iterator<Item = Case> {
    let (whole, header_end) = (frame(ARRIVING, ip), ETH_LEN + ip.header_len());
    (ETH_LEN..whole.len()).map(move |len| {
        let name = format!("an echo request over {family:?} cut to {len} bytes");
        let given = arrives(name, AS_DIRECTOR, whole[..len].to_vec());
        if len < header_end { given.untouched(Pass) } else { given.dropped(DropTruncated) }
    })
}

#[test]
fn other_icmp_is_dropped_by_name() {
    check_all(&cases());
}
