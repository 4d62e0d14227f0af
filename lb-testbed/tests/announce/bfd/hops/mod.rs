//! A router behind another one: BFD on port 4784 (RFC 5883), with a TTL that the first has decremented.

use anyhow::Result;
use lb_testbed::{Bird, Frr};

use super::{PEERS, check_sessions_fall_with_the_link_and_return};
use crate::lab::{Lab, Router, small_config};

const BIRD: &str = include_str!("bird.conf");
const FRR: &str = include_str!("frr.conf");
const OBJECTS: &str = include_str!("objects.yaml");

/// A lab whose BGP router is one hop away: `start` starts it where the client is.
fn start_lab_behind_router(objects: &str, start: impl FnOnce(&Lab) -> Result<Router>) -> Result<Lab> {
    let mut lab = Lab::start_bird(small_config(), "protocol device { }", objects)?;
    lab.router = start(&lab)?;
    Ok(lab)
}

#[test]
fn bird_several_hops_away_falls_with_the_link() -> Result<()> {
    let bird = |lab: &Lab| {
        let testbed = &lab.triangle.testbed;
        Ok(Router::Bird(Bird::start(testbed, testbed.client(), BIRD)?))
    };
    // BIRD sends with a TTL of 64, which is 63 behind one router.
    let objects = OBJECTS.replace("detectMultiplier: 3", "detectMultiplier: 3, minimumTtl: 63");
    start_lab_behind_router(&objects, bird)?
        .run_with_diagnostics(|lab| check_sessions_fall_with_the_link_and_return(lab, PEERS))
}

#[test]
fn frr_several_hops_away_falls_with_the_link() -> Result<()> {
    let frr = |lab: &Lab| {
        let testbed = &lab.triangle.testbed;
        Ok(Router::Frr(Frr::start(testbed, testbed.client(), FRR)?))
    };
    start_lab_behind_router(OBJECTS, frr)?
        .run_with_diagnostics(|lab| check_sessions_fall_with_the_link_and_return(lab, PEERS))
}
