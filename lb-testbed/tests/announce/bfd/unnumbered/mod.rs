//! BFD with whoever is found on the interface, by link-local addresses.

use anyhow::Result;

use super::fall_with_the_link_and_come_back;
use crate::lab::{Lab, small};

const BIRD: &str = include_str!("bird.conf");
const FRR: &str = include_str!("frr.conf");
const OBJECTS: &str = include_str!("objects.yaml");

#[test]
fn bird_found_on_the_interface_falls_with_the_link() -> Result<()> {
    Lab::bird(small(), BIRD, OBJECTS)?.told(|lab| fall_with_the_link_and_come_back(lab, &["neighbour"]))
}

#[test]
fn frr_found_on_the_interface_falls_with_the_link() -> Result<()> {
    Lab::frr(small(), FRR, OBJECTS)?.told(|lab| fall_with_the_link_and_come_back(lab, &["neighbour"]))
}
