//! Another profile changes timers by Poll Sequences (RFC 5880, 6.8.3), and resets nothing.

use anyhow::{Result, ensure};

use super::{BIRD, FRR, INTERVAL, OBJECTS, PEERS, seen, settle};
use crate::lab::{Lab, small};

fn change_while_sessions_stand(lab: &Lab) -> Result<()> {
    settle(lab, PEERS, INTERVAL)?;
    let before = seen::established(&lab.router)?;
    for interval in [2 * INTERVAL, INTERVAL] {
        lab.write(
            &OBJECTS.replace("transmitInterval: 200", &format!("transmitInterval: {}", interval.as_millis())),
        )?;
        settle(lab, PEERS, interval)?;
    }
    let after = seen::established(&lab.router)?;
    ensure!(before.is_same(&after), "sessions fell: {before:?}, {after:?}");
    Ok(())
}

#[test]
fn bird_follows_a_changed_profile() -> Result<()> {
    Lab::bird(small(), BIRD, OBJECTS)?.told(|lab| change_while_sessions_stand(lab))
}

#[test]
fn frr_follows_a_changed_profile() -> Result<()> {
    Lab::frr(small(), FRR, OBJECTS)?.told(|lab| change_while_sessions_stand(lab))
}
