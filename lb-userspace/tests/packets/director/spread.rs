//! Tunnels to bare servers whose source address is from the flow hash.

use std::{collections::BTreeSet, net::IpAddr};

use lb_common::{
    Addr,
    Verdict::ForwardIpip,
    maps::{Backend, backend_flags, delivery},
};

use crate::{
    case::arrives,
    expect::ip_in_ip_packet,
    machine::{Machine, SPREAD, SPREADING},
    packet::{Ip, frame},
    services::{BARE, BARE_SERVERS, LOOPBACK_IFINDEX, MTU, TO_BACKEND},
    world::{FAMILIES, Family, KINDS, OTHER_NODE, Request},
};

/// The first address of the prefix.
fn prefix(family: Family) -> IpAddr {
    match family {
        Family::V4 => IpAddr::from([100, 64, 7, 0]),
        Family::V6 => "2001:db8:64::7:0".parse().unwrap(),
    }
}

fn server(outer: Family) -> Backend {
    let (outer_src, outer_dst) = (Addr::from(prefix(outer)), OTHER_NODE.addr(outer));
    Backend {
        macs: TO_BACKEND,
        ifindex: LOOPBACK_IFINDEX,
        outer_src,
        outer_dst,
        delivery: if outer == Family::V4 { delivery::IPIP4 } else { delivery::IPIP6 },
        flags: backend_flags::RESOLVED | backend_flags::BARE,
        mtu: MTU as u16,
        outer_sum: Backend::outer_sum(&outer_src, &outer_dst),
        ..Backend::default()
    }
}

/// The prefix, and behind it bits of the flow's hash.
fn spread_source(outer: Family, request: &Request) -> IpAddr {
    // As the programs have it: the hash's first bytes in memory.
    let hash = u32::from_be_bytes((request.hash() as u32).to_ne_bytes());
    match prefix(outer) {
        IpAddr::V4(prefix) => (u32::from(prefix) | (hash & SPREAD[0])).to_be_bytes().into(),
        IpAddr::V6(prefix) => (u128::from(prefix) | u128::from(hash & SPREAD[1])).to_be_bytes().into(),
    }
}

#[test]
fn sources_towards_bare_servers_are_spread_by_flow() {
    for (kind, outer) in KINDS.into_iter().flat_map(|kind| FAMILIES.map(|outer| (kind, outer))) {
        let mut machine = Machine::new(SPREADING);
        machine.set_backend(BARE_SERVERS[0], server(outer));
        let mut seen = BTreeSet::new();
        for port in 40_000..40_100 {
            let request = kind.request(BARE).with_client_port(port);
            let source = spread_source(outer, &request);
            seen.insert(source);
            let label = if outer == Family::V6 { request.hash() as u32 & 0xf_ffff } else { 0 };
            let output = Ip { label, ..ip_in_ip_packet(&request.ip, source, OTHER_NODE.ip(outer)) };
            arrives(format!("{kind} from {port} in {outer:?}"), SPREADING, request.frame())
                .becomes(ForwardIpip, frame(TO_BACKEND, &output))
                .for_backend(&request, BARE_SERVERS[0])
                .assert_on(&machine);
        }
        assert!(seen.len() > 50, "{kind}: {} sources", seen.len());
    }
}
