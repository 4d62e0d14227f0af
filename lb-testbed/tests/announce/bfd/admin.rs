//! A router that wants no BFD for a while has not failed (RFC 5882, 3.2).

use std::{thread, time::Duration};

use anyhow::{Result, bail, ensure};

use super::{FRR, INTERVAL, OBJECTS, PEERS, seen, settle};
use crate::lab::{Lab, Router, small};

/// Longer than what BFD waits for a packet.
const LONG_ENOUGH: Duration = Duration::from_secs(3);

fn want_bfd(lab: &Lab, wanted: bool) -> Result<()> {
    let Router::Frr(frr) = &lab.router else { bail!("BIRD does not tell that it wants no BFD") };
    let no = if wanted { "no " } else { "" };
    frr.configure(&format!("bfd\n profile fast\n  {no}shutdown\n exit\nexit\n"))
}

fn costs_no_session(lab: &Lab) -> Result<()> {
    settle(lab, PEERS, INTERVAL)?;
    let before = seen::established(&lab.router)?;
    for _ in 0..2 {
        want_bfd(lab, false)?;
        for peer in PEERS {
            lab.wait_peer("director1", peer, "BFD down", |told| told["bfd"] == "down")?;
        }
        thread::sleep(LONG_ENOUGH);
        let without = seen::established(&lab.router)?;
        ensure!(without.is_same(&before), "sessions fell when BFD went: {before:?}, {without:?}");
        want_bfd(lab, true)?;
        settle(lab, PEERS, INTERVAL)?;
        let again = seen::established(&lab.router)?;
        ensure!(again.is_same(&before), "sessions fell when BFD came back: {before:?}, {again:?}");
    }
    Ok(())
}

#[test]
fn bfd_shut_down_by_frr_for_a_while_costs_no_session() -> Result<()> {
    Lab::frr(small(), FRR, OBJECTS)?.told(|lab| costs_no_session(lab))
}
