//! Sessions of every kind come up, and carry routes.

use anyhow::{Result, ensure};
use lb_testbed::VIP;

use super::{
    common::round::Round,
    lab::{Lab, run_with_both, vip_prefixes},
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
fn routers_learn_vips_over_both_families() -> Result<()> {
    run_with_both(BIRD, FRR, OBJECTS, check_routes_and_traffic)
}
