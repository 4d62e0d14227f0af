//! BFD alone fails: BGP could talk, and is held down.

use std::{thread, time::Duration};

use anyhow::Result;

use super::{BIRD, FRR, INTERVAL, OBJECTS, PEERS, established, established_anew, settle, wait_held};
use crate::lab::{Lab, prefixes, small};

/// Routers try again every second.
const LONG_ENOUGH: Duration = Duration::from_secs(2);

/// The router hears, or says, nothing by BFD.
fn stop_bfd(lab: &Lab, hook: &str) -> Result<()> {
    let chain = format!("chain {hook} {{\ntype filter hook {hook} priority 0\nudp dport 3784 drop\n}}\n");
    lab.triangle.testbed.router().nft(&format!("table inet deaf {{\n{chain}}}\n"))
}

fn holds_sessions_down(lab: &Lab, hook: &str) -> Result<()> {
    settle(lab, PEERS, INTERVAL)?;
    let before = established(lab, PEERS)?;
    stop_bfd(lab, hook)?;
    PEERS.iter().try_for_each(|peer| wait_held(lab, peer))?;
    prefixes().iter().try_for_each(|prefix| lab.wait_routes(prefix, <[_]>::is_empty).map(drop))?;
    thread::sleep(LONG_ENOUGH);
    PEERS.iter().try_for_each(|peer| wait_held(lab, peer))?;
    lab.triangle.testbed.router().nft("delete table inet deaf\n")?;
    settle(lab, PEERS, INTERVAL)?;
    established_anew(lab, PEERS, &before)
}

#[test]
fn sessions_are_held_down_while_bird_hears_no_bfd() -> Result<()> {
    Lab::bird(small(), BIRD, OBJECTS)?.told(|lab| holds_sessions_down(lab, "input"))
}

#[test]
fn sessions_are_held_down_while_frr_says_no_bfd() -> Result<()> {
    Lab::frr(small(), FRR, OBJECTS)?.told(|lab| holds_sessions_down(lab, "output"))
}
