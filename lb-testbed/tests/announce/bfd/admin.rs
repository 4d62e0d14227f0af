//! A router that shuts BFD down on purpose (AdminDown) has not failed (RFC 5882, 3.2).

use std::{thread, time::Duration};

use anyhow::{Result, bail, ensure};

use super::{FRR, INTERVAL, OBJECTS, PEERS, seen, wait_settled};
use crate::lab::{Lab, Router, small_config};

/// Longer than BFD's detection time.
const LONG_ENOUGH: Duration = Duration::from_secs(3);

fn set_bfd_enabled(lab: &Lab, wanted: bool) -> Result<()> {
    let Router::Frr(frr) = &lab.router else { bail!("BIRD does not tell that it wants no BFD") };
    let no = if wanted { "no " } else { "" };
    frr.configure(&format!("bfd\n profile fast\n  {no}shutdown\n exit\nexit\n"))
}

fn check_sessions_survive(lab: &Lab) -> Result<()> {
    wait_settled(lab, PEERS, INTERVAL)?;
    let before = seen::bgp_establishments(&lab.router)?;
    for _ in 0..2 {
        set_bfd_enabled(lab, false)?;
        for peer in PEERS {
            lab.wait_peer("director1", peer, "BFD down", |told| told["bfd"] == "down")?;
        }
        thread::sleep(LONG_ENOUGH);
        let without = seen::bgp_establishments(&lab.router)?;
        ensure!(without.is_same(&before), "sessions fell when BFD went: {before:?}, {without:?}");
        set_bfd_enabled(lab, true)?;
        wait_settled(lab, PEERS, INTERVAL)?;
        let again = seen::bgp_establishments(&lab.router)?;
        ensure!(again.is_same(&before), "sessions fell when BFD came back: {before:?}, {again:?}");
    }
    Ok(())
}

#[test]
fn bfd_shut_down_by_frr_for_a_while_costs_no_session() -> Result<()> {
    Lab::start_frr(small_config(), FRR, OBJECTS)?.run_with_diagnostics(|lab| check_sessions_survive(lab))
}
