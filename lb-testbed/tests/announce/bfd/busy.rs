//! An agent that has much to do lets no session die: BFD has a thread of its own.

use anyhow::{Result, ensure};

use super::{BIRD, INTERVAL, OBJECTS, PEERS, seen, wait_settled};
use crate::{
    lab::{Lab, small_config},
    scale,
};

#[test]
fn no_session_falls_while_5000_vips_are_programmed() -> Result<()> {
    Lab::start_bird(small_config(), BIRD, OBJECTS)?.run_with_diagnostics(|lab| {
        wait_settled(lab, PEERS, INTERVAL)?;
        let before = seen::bgp_establishments(&lab.router)?;
        scale::announce_many(lab)?;
        wait_settled(lab, PEERS, INTERVAL)?;
        let after = seen::bgp_establishments(&lab.router)?;
        ensure!(before.is_same(&after), "sessions fell: {before:?}, {after:?}");
        Ok(())
    })
}
