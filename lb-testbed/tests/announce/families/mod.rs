//! Routes of both families over one session, of either family.

use std::net::IpAddr;

use anyhow::{Result, ensure};

use super::{
    common::round::Round,
    lab::{Lab, prefixes, small},
};

const V4: &str = include_str!("over_v4.yaml");
const V6: &str = include_str!("over_v6.yaml");
const V4_BIRD: &str = include_str!("over_v4.bird.conf");
const V6_BIRD: &str = include_str!("over_v6.bird.conf");
const V4_FRR: &str = include_str!("over_v4.frr.conf");
const V6_FRR: &str = include_str!("over_v6.frr.conf");

/// Routes have these next hops, and traffic takes them.
fn carry_both(lab: &Lab, hops: [&str; 2]) -> Result<()> {
    lab.wait_announced()?;
    for (prefix, hop) in prefixes().iter().zip(hops) {
        let routes = lab.router.routes(prefix)?;
        println!("{prefix}: {routes:?}");
        ensure!(routes[0].next_hops.contains(&hop.parse::<IpAddr>()?), "{prefix} by {hop}: {routes:?}");
    }
    let told = lab.peer("director1", "both")?;
    ensure!(told["families"] == serde_json::json!(["ipv4", "ipv6"]), "{told}");
    lab.wait_forwarding()?;
    Round::of(&lab.triangle).run(&lab.triangle)
}

/// Each with next hops of its own family.
fn own_hops(lab: &mut Lab) -> Result<()> {
    carry_both(lab, ["10.77.1.2", "fd77:1::2"])
}

/// IPv4 with IPv6 next hops (RFC 8950).
fn ipv6_hops(lab: &mut Lab) -> Result<()> {
    carry_both(lab, ["fd77:1::2", "fd77:1::2"])
}

#[test]
fn bird_learns_both_families_over_ipv4() -> Result<()> {
    Lab::bird(small(), V4_BIRD, V4)?.told(own_hops)
}

#[test]
fn frr_learns_both_families_over_ipv4() -> Result<()> {
    Lab::frr(small(), V4_FRR, V4)?.told(own_hops)
}

#[test]
fn bird_learns_both_families_over_ipv6() -> Result<()> {
    Lab::bird(small(), V6_BIRD, V6)?.told(ipv6_hops)
}

#[test]
fn frr_learns_both_families_over_ipv6() -> Result<()> {
    Lab::frr(small(), V6_FRR, V6)?.told(ipv6_hops)
}

/// Whoever takes no IPv6 next hops for IPv4 is told our IPv4 address on the same link.
#[test]
fn bird_without_extended_next_hops_gets_ipv4_ones_over_ipv6() -> Result<()> {
    let plain = V6_BIRD.replace("extended next hop on; ", "");
    Lab::bird(small(), &plain, V6)?.told(own_hops)
}

#[test]
fn frr_without_extended_next_hops_gets_ipv4_ones_over_ipv6() -> Result<()> {
    let plain = V6_FRR.replace(" neighbor fd77:1::2 capability extended-nexthop\n", "");
    Lab::frr(small(), &plain, V6)?.told(own_hops)
}
