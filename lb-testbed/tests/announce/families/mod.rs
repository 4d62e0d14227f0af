//! Routes of both families over one session, of either family.

use std::net::IpAddr;

use anyhow::{Result, ensure};

use super::{
    common::round::Round,
    lab::{Lab, run_with_both, vip_prefixes},
};

const V4: &str = include_str!("over_v4.yaml");
const V6: &str = include_str!("over_v6.yaml");
const V4_BIRD: &str = include_str!("over_v4.bird.conf");
const V6_BIRD: &str = include_str!("over_v6.bird.conf");
const V4_FRR: &str = include_str!("over_v4.frr.conf");
const V6_FRR: &str = include_str!("over_v6.frr.conf");

/// Checks that the routes have these next hops, and that traffic takes them.
fn check_next_hops_and_traffic(lab: &Lab, hops: [&str; 2]) -> Result<()> {
    lab.wait_announced()?;
    for (prefix, hop) in vip_prefixes().iter().zip(hops) {
        let routes = lab.router.routes(prefix)?;
        println!("{prefix}: {routes:?}");
        ensure!(routes[0].next_hops.contains(&hop.parse::<IpAddr>()?), "{prefix} by {hop}: {routes:?}");
    }
    let told = lab.peer_status("director1", "both")?;
    ensure!(told["families"] == serde_json::json!(["ipv4", "ipv6"]), "{told}");
    lab.wait_forwarding()?;
    Round::of_all_pods(&lab.triangle).run(&lab.triangle)
}

/// Each with next hops of its own family.
fn check_next_hops_of_own_family(lab: &mut Lab) -> Result<()> {
    check_next_hops_and_traffic(lab, ["10.77.1.2", "fd77:1::2"])
}

/// IPv4 with IPv6 next hops (RFC 8950).
fn check_ipv6_next_hops(lab: &mut Lab) -> Result<()> {
    check_next_hops_and_traffic(lab, ["fd77:1::2", "fd77:1::2"])
}

#[test]
fn routers_learn_both_families_over_ipv4() -> Result<()> {
    run_with_both(V4_BIRD, V4_FRR, V4, check_next_hops_of_own_family)
}

#[test]
fn routers_learn_both_families_over_ipv6() -> Result<()> {
    run_with_both(V6_BIRD, V6_FRR, V6, check_ipv6_next_hops)
}

/// Routers that take no IPv6 next hops for IPv4 get our IPv4 address on the same link.
#[test]
fn routers_without_extended_next_hops_get_ipv4_ones_over_ipv6() -> Result<()> {
    let bird = V6_BIRD.replace("extended next hop on; ", "");
    let frr = V6_FRR.replace(" neighbor fd77:1::2 capability extended-nexthop\n", "");
    run_with_both(&bird, &frr, V6, check_next_hops_of_own_family)
}
