//! Sessions of every kind come up, and carry routes.

use anyhow::{Result, ensure};
use lb_testbed::VIP;

use super::{
    common::round::Round,
    lab::{Lab, small_config, vip_prefixes},
};

mod collision;
mod far;
mod kinds;

const BIRD: &str = include_str!("bird.conf");
const FRR: &str = include_str!("frr.conf");
const OBJECTS: &str = include_str!("objects.yaml");

/// External sessions over both families, each with routes of its own family;
/// and traffic takes them.
fn check_routes_and_traffic(lab: &mut Lab) -> Result<()> {
    lab.wait_announced()?;
    lab.wait_established("director1", "v4")?;
    lab.wait_established("director1", "v6")?;
    for (prefix, vip) in vip_prefixes().iter().zip(VIP.both()) {
        let routes = lab.router.routes(prefix)?;
        ensure!(routes[0].as_path == [64512], "{vip}: {routes:?}");
    }
    lab.wait_forwarding()?;
    Round::of_all_pods(&lab.triangle).run(&lab.triangle)
}

#[test]
fn bird_learns_vips_over_both_families() -> Result<()> {
    Lab::start_bird(small_config(), BIRD, OBJECTS)?.run_with_diagnostics(check_routes_and_traffic)
}

#[test]
fn frr_learns_vips_over_both_families() -> Result<()> {
    Lab::start_frr(small_config(), FRR, OBJECTS)?.run_with_diagnostics(check_routes_and_traffic)
}
