//! A changed profile changes timers by Poll Sequences (RFC 5880, 6.8.3), and resets no session.

use anyhow::{Result, ensure};

use super::{BIRD, FRR, INTERVAL, OBJECTS, PEERS, seen, wait_settled};
use crate::lab::{Lab, small_config};

fn check_timers_change_without_a_reset(lab: &Lab) -> Result<()> {
    wait_settled(lab, PEERS, INTERVAL)?;
    let before = seen::bgp_establishments(&lab.router)?;
    for interval in [2 * INTERVAL, INTERVAL] {
        lab.write_objects(
            &OBJECTS.replace("transmitInterval: 200", &format!("transmitInterval: {}", interval.as_millis())),
        )?;
        wait_settled(lab, PEERS, interval)?;
    }
    let after = seen::bgp_establishments(&lab.router)?;
    ensure!(before.is_same(&after), "sessions fell: {before:?}, {after:?}");
    Ok(())
}

#[test]
fn bird_follows_a_changed_profile_without_a_reset() -> Result<()> {
    Lab::start_bird(small_config(), BIRD, OBJECTS)?
        .run_with_diagnostics(|lab| check_timers_change_without_a_reset(lab))
}

#[test]
fn frr_follows_a_changed_profile_without_a_reset() -> Result<()> {
    Lab::start_frr(small_config(), FRR, OBJECTS)?
        .run_with_diagnostics(|lab| check_timers_change_without_a_reset(lab))
}
