//! Routes of both families over one session, of either family.

use std::net::IpAddr;

use anyhow::{Result, ensure};

use super::{
    common::round::Round,
    lab::{Lab, small_config, vip_prefixes},
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
fn bird_learns_both_families_over_ipv4() -> Result<()> {
    Lab::start_bird(small_config(), V4_BIRD, V4)?.run_with_diagnostics(check_next_hops_of_own_family)
}

#[test]
fn frr_learns_both_families_over_ipv4() -> Result<()> {
    Lab::start_frr(small_config(), V4_FRR, V4)?.run_with_diagnostics(check_next_hops_of_own_family)
}

#[test]
fn bird_learns_both_families_over_ipv6() -> Result<()> {
    Lab::start_bird(small_config(), V6_BIRD, V6)?.run_with_diagnostics(check_ipv6_next_hops)
}

#[test]
fn frr_learns_both_families_over_ipv6() -> Result<()> {
    Lab::start_frr(small_config(), V6_FRR, V6)?.run_with_diagnostics(check_ipv6_next_hops)
}

/// A router that takes no IPv6 next hops for IPv4 gets our IPv4 address on the same link.
#[test]
fn bird_without_extended_next_hops_gets_ipv4_ones_over_ipv6() -> Result<()> {
    let plain = V6_BIRD.replace("extended next hop on; ", "");
    Lab::start_bird(small_config(), &plain, V6)?.run_with_diagnostics(check_next_hops_of_own_family)
}

#[test]
fn frr_without_extended_next_hops_gets_ipv4_ones_over_ipv6() -> Result<()> {
    let plain = V6_FRR.replace(" neighbor fd77:1::2 capability extended-nexthop\n", "");
    Lab::start_frr(small_config(), &plain, V6)?.run_with_diagnostics(check_next_hops_of_own_family)
}
