//! Passive mode (RFC 5880, 6.1): we send nothing before the router's first BFD packet.

use anyhow::Result;

use super::{BIRD, FRR, INTERVAL, OBJECTS, PEERS, wait_settled};
use crate::lab::{Lab, small_config};

fn passive_objects() -> String {
    OBJECTS.replace("detectMultiplier: 3", "detectMultiplier: 3, passiveMode: true")
}

#[test]
fn bird_starts_bfd_where_we_are_passive() -> Result<()> {
    Lab::start_bird(small_config(), BIRD, &passive_objects())?
        .run_with_diagnostics(|lab| wait_settled(lab, PEERS, INTERVAL))
}

#[test]
fn frr_starts_bfd_where_we_are_passive() -> Result<()> {
    Lab::start_frr(small_config(), FRR, &passive_objects())?
        .run_with_diagnostics(|lab| wait_settled(lab, PEERS, INTERVAL))
}
