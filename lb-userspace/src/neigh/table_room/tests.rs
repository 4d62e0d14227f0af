use std::net::IpAddr;

use super::*;

const DEFAULT: Limits = Limits { soft: 512, hard: 1024 };

fn neighbours(count: u32, nudged: Nudged) -> impl Iterator<Item = (NeighbourKey, Nudged)> {
    let address = |n: u32| IpAddr::from((0x0a00_0000 + n).to_be_bytes());
    (0..count).map(move |n| (NeighbourKey { ifindex: 7, address: address(n) }, nudged))
}

/// What is said of so many neighbours.
fn told(count: u32, limits: Limits) -> Vec<String> {
    let faults = TableFault::among(neighbours(count, Nudged::Resolved), |_| Some(limits));
    faults.iter().map(|fault| format!("{}: {fault}; {}", fault.table(), fault.remedy())).collect()
}

#[test]
fn a_table_that_is_too_small_is_named_with_what_is_enough() {
    assert_eq!(told(511, DEFAULT), [""; 0]);
    assert_eq!(
        told(1000, DEFAULT),
        [
            "IPv4 neighbours: net.ipv4.neigh.default.gc_thresh2 is 512: the kernel forgets some of the next hops of this machine again and again; `sysctl -w net.ipv4.neigh.default.gc_thresh2=2048 net.ipv4.neigh.default.gc_thresh3=4096`, and the same in /etc/sysctl.d"
        ]
    );
    let full = told(1024, DEFAULT);
    assert!(full[0].contains("gc_thresh3 is 1024: the kernel has no room for all of"), "{full:?}");
    assert_eq!(told(1024, Limits { soft: 2048, hard: 4096 }), [""; 0], "what was advised is enough");
    assert!(told(1000, Limits { soft: 512, hard: 9999 })[0].contains("gc_thresh3=9999"), "it is not lowered");
    assert_eq!(told(1000, DEFAULT), told(600, DEFAULT), "the words do not change with each neighbour");
}

#[test]
fn each_family_has_a_table_and_what_others_tend_has_room() {
    let mixed = || {
        let of_ipv6 = (0..600).map(|n: u32| {
            let address = IpAddr::from(u128::from(n).to_be_bytes());
            (NeighbourKey { ifindex: 7, address }, Nudged::Unresolved)
        });
        neighbours(400, Nudged::Resolved).chain(neighbours(9000, Nudged::Tended)).chain(of_ipv6)
    };
    let tables = |limits: fn(Family) -> Option<Limits>| {
        TableFault::among(mixed(), limits).iter().map(TableFault::table).collect::<Vec<_>>()
    };
    assert_eq!(tables(|_| Some(DEFAULT)), ["IPv6 neighbours"]);
    assert_eq!(tables(|_| None), [""; 0], "not known in this network namespace");
    assert_eq!(tables(|_| Some(Limits { soft: 0, hard: 0 })), ["IPv4 neighbours", "IPv6 neighbours"]);
}
