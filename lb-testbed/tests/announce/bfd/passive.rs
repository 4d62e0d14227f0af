//! We wait for the router's first BFD packet.

use anyhow::Result;

use super::{BIRD, FRR, INTERVAL, OBJECTS, PEERS, settle};
use crate::lab::{Lab, small};

fn we_wait() -> String {
    OBJECTS.replace("detectMultiplier: 3", "detectMultiplier: 3, passiveMode: true")
}

#[test]
fn bird_begins_where_we_wait() -> Result<()> {
    Lab::bird(small(), BIRD, &we_wait())?.told(|lab| settle(lab, PEERS, INTERVAL))
}

#[test]
fn frr_begins_where_we_wait() -> Result<()> {
    Lab::frr(small(), FRR, &we_wait())?.told(|lab| settle(lab, PEERS, INTERVAL))
}
