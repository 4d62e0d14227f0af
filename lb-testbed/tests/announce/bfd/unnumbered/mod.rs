//! BFD with a router that is discovered on the interface, by link-local addresses.

use anyhow::Result;

use super::check_sessions_fall_with_the_link_and_return;
use crate::lab::{Lab, small_config};

const BIRD: &str = include_str!("bird.conf");
const FRR: &str = include_str!("frr.conf");
const OBJECTS: &str = include_str!("objects.yaml");

#[test]
fn bird_found_on_the_interface_falls_with_the_link() -> Result<()> {
    Lab::start_bird(small_config(), BIRD, OBJECTS)?
        .run_with_diagnostics(|lab| check_sessions_fall_with_the_link_and_return(lab, &["neighbour"]))
}

#[test]
fn frr_found_on_the_interface_falls_with_the_link() -> Result<()> {
    Lab::start_frr(small_config(), FRR, OBJECTS)?
        .run_with_diagnostics(|lab| check_sessions_fall_with_the_link_and_return(lab, &["neighbour"]))
}
