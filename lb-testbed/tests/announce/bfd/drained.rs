//! A drain ends the BGP sessions, with which routers may end BFD. When it is undone, both come back.

use std::{thread, time::Duration};

use anyhow::Result;
use lb_testbed::Config;

use super::{BIRD, FRR, INTERVAL, OBJECTS, PEERS, wait_settled};
use crate::{
    lab::{Lab, small_config},
    shutdown::drain_director,
};

/// Longer than BFD's detection time: a router that has ended BFD is silent then.
const LONG_ENOUGH: Duration = Duration::from_secs(2);

fn quick_drain_config() -> Config {
    let agent_args = ["--drain-time", "0s", "--settle-time", "0s"].map(str::to_owned).into();
    Config { agent_args, ..small_config() }
}

fn check_sessions_come_back(lab: &Lab) -> Result<()> {
    wait_settled(lab, PEERS, INTERVAL)?;
    drain_director(lab, "--no-wait")?;
    for peer in PEERS {
        lab.wait_peer("director1", peer, "closed", |told| told["state"] == "Idle")?;
    }
    thread::sleep(LONG_ENOUGH);
    drain_director(lab, "--undo")?;
    wait_settled(lab, PEERS, INTERVAL)
}

#[test]
fn sessions_with_bird_come_back_after_a_drain() -> Result<()> {
    Lab::start_bird(quick_drain_config(), BIRD, OBJECTS)?
        .run_with_diagnostics(|lab| check_sessions_come_back(lab))
}

#[test]
fn sessions_with_frr_come_back_after_a_drain() -> Result<()> {
    Lab::start_frr(quick_drain_config(), FRR, OBJECTS)?
        .run_with_diagnostics(|lab| check_sessions_come_back(lab))
}
