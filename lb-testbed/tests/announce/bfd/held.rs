//! Only BFD fails: BGP could still connect, but is held down.

use std::{thread, time::Duration};

use anyhow::Result;

use super::{
    BIRD, FRR, INTERVAL, OBJECTS, PEERS, check_established_again, times_established, wait_held_down,
    wait_settled,
};
use crate::lab::{Lab, small_config, vip_prefixes};

/// Routers try to connect every second.
const LONG_ENOUGH: Duration = Duration::from_secs(2);

/// Drops the BFD packets that the router gets (`input`) or sends (`output`).
fn drop_bfd_packets(lab: &Lab, hook: &str) -> Result<()> {
    let chain = format!("chain {hook} {{\ntype filter hook {hook} priority 0\nudp dport 3784 drop\n}}\n");
    lab.triangle.testbed.router().load_nft_rules(&format!("table inet deaf {{\n{chain}}}\n"))
}

fn check_sessions_are_held_down(lab: &Lab, hook: &str) -> Result<()> {
    wait_settled(lab, PEERS, INTERVAL)?;
    let before = times_established(lab, PEERS)?;
    drop_bfd_packets(lab, hook)?;
    PEERS.iter().try_for_each(|peer| wait_held_down(lab, peer))?;
    vip_prefixes().iter().try_for_each(|prefix| lab.wait_routes(prefix, <[_]>::is_empty).map(drop))?;
    thread::sleep(LONG_ENOUGH);
    PEERS.iter().try_for_each(|peer| wait_held_down(lab, peer))?;
    lab.triangle.testbed.router().load_nft_rules("delete table inet deaf\n")?;
    wait_settled(lab, PEERS, INTERVAL)?;
    check_established_again(lab, PEERS, &before)
}

#[test]
fn sessions_are_held_down_while_bird_hears_no_bfd() -> Result<()> {
    Lab::start_bird(small_config(), BIRD, OBJECTS)?
        .run_with_diagnostics(|lab| check_sessions_are_held_down(lab, "input"))
}

#[test]
fn sessions_are_held_down_while_frr_says_no_bfd() -> Result<()> {
    Lab::start_frr(small_config(), FRR, OBJECTS)?
        .run_with_diagnostics(|lab| check_sessions_are_held_down(lab, "output"))
}
