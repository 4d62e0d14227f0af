//! A router behind another one: BFD on port 4784, with a TTL that has counted it.

use anyhow::Result;
use lb_testbed::{Bird, Frr};

use super::{PEERS, fall_with_the_link_and_come_back};
use crate::lab::{Lab, Router, small};

const BIRD: &str = include_str!("bird.conf");
const FRR: &str = include_str!("frr.conf");
const OBJECTS: &str = include_str!("objects.yaml");

/// At the client's place.
fn behind(objects: &str, start: impl FnOnce(&Lab) -> Result<Router>) -> Result<Lab> {
    let mut lab = Lab::bird(small(), "protocol device { }", objects)?;
    lab.router = start(&lab)?;
    Ok(lab)
}

#[test]
fn bird_several_hops_away_falls_with_the_link() -> Result<()> {
    let bird = |lab: &Lab| {
        let testbed = &lab.triangle.testbed;
        Ok(Router::Bird(Bird::start(testbed, testbed.client(), BIRD)?))
    };
    // It sends with the usual TTL of 64.
    let objects = OBJECTS.replace("detectMultiplier: 3", "detectMultiplier: 3, minimumTtl: 63");
    behind(&objects, bird)?.told(|lab| fall_with_the_link_and_come_back(lab, PEERS))
}

#[test]
fn frr_several_hops_away_falls_with_the_link() -> Result<()> {
    let frr = |lab: &Lab| {
        let testbed = &lab.triangle.testbed;
        Ok(Router::Frr(Frr::start(testbed, testbed.client(), FRR)?))
    };
    behind(OBJECTS, frr)?.told(|lab| fall_with_the_link_and_come_back(lab, PEERS))
}
