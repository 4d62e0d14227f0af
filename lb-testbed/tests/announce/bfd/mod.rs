//! BGP sessions go down with their BFD session (RFC 5880 to 5883), and come back with it.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::{
    common::wait_at_most,
    lab::{Lab, SOON, small_config, vip_prefixes},
};

mod admin;
mod busy;
mod drained;
mod held;
mod hops;
mod passive;
mod seen;
mod timers;
mod unnumbered;

const BIRD: &str = include_str!("bird.conf");
const FRR: &str = include_str!("frr.conf");
const OBJECTS: &str = include_str!("objects.yaml");

/// Between BFD packets, unless a test sets another; the detect multiplier is three.
const INTERVAL: Duration = Duration::from_millis(200);
/// The longest time from the cut until the routes are gone: three intervals, and what the
/// router's daemons need to act on it and a test to read the routes, on a machine that is busy.
const CEILING: Duration = INTERVAL.saturating_mul(3).saturating_add(Duration::from_millis(900));

const PEERS: &[&str] = &["v4", "v6"];

/// Waits until all sessions are established with BFD up, the router's detection time is three
/// intervals, and the VIPs are announced.
fn wait_settled(lab: &Lab, peers: &[&str], interval: Duration) -> Result<()> {
    wait_at_most(SOON, "sessions with BFD", || {
        let seen = seen::bfd_sessions(&lab.router)?;
        let good = seen.iter().filter(|session| session.is_up && session.detection == interval * 3);
        ensure!(good.count() == peers.len() && seen.len() == peers.len(), "the router has {seen:?}");
        for peer in peers {
            let told = lab.peer_status("director1", peer)?;
            ensure!(told["state"] == "Established" && told["bfd"] == "up", "{told}");
        }
        Ok(true)
    })?;
    lab.wait_announced()
}

/// Cuts the director's link; returns how long the router has kept its routes after that.
fn cut_link_until_routes_drop(lab: &Lab) -> Result<Duration> {
    let testbed = &lab.triangle.testbed;
    testbed.set_link(testbed.machine("director1")?, false)?;
    let start = Instant::now();
    for prefix in vip_prefixes() {
        while !lab.router.routes(&prefix)?.is_empty() {
            ensure!(start.elapsed() < SOON, "{prefix} is still there");
        }
    }
    Ok(start.elapsed())
}

/// Waits until BFD holds a session down, and `trigon bgp` says so. BIRD may have
/// closed it first, by a Cease that gives no reason.
fn wait_held_down(lab: &Lab, peer: &str) -> Result<()> {
    lab.wait_peer("director1", peer, "held down by BFD", |told| {
        let name = told["last_error"]["name"].as_str();
        let is_said = matches!(name, Some("Cease: BFD Down" | "Cease"));
        told["state"] == "Idle" && told["bfd"] != "up" && is_said
    })
    .map(drop)
}

fn check_sessions_fall_with_the_link_and_return(lab: &Lab, peers: &[&str]) -> Result<()> {
    wait_settled(lab, peers, INTERVAL)?;
    let before = times_established(lab, peers)?;
    let gone = cut_link_until_routes_drop(lab)?;
    println!("the routes are gone {gone:?} after the cut");
    ensure!(gone <= CEILING, "{gone:?}");
    peers.iter().try_for_each(|peer| wait_held_down(lab, peer))?;
    let testbed = &lab.triangle.testbed;
    testbed.set_link(testbed.machine("director1")?, true)?;
    wait_settled(lab, peers, INTERVAL).context("after the link was mended")?;
    check_established_again(lab, peers, &before)
}

/// How often sessions were established.
fn times_established(lab: &Lab, peers: &[&str]) -> Result<Vec<u64>> {
    peers.iter().map(|peer| lab.times_established("director1", peer)).collect()
}

/// Checks that each session was established again, if more than once: FRR may close a session
/// that came back before its BFD did.
fn check_established_again(lab: &Lab, peers: &[&str], before: &[u64]) -> Result<()> {
    let after = times_established(lab, peers)?;
    ensure!(after.iter().zip(before).all(|(after, before)| after > before), "{before:?}, {after:?}");
    Ok(())
}

#[test]
fn bird_drops_routes_within_three_intervals_of_a_cut() -> Result<()> {
    Lab::start_bird(small_config(), BIRD, OBJECTS)?
        .run_with_diagnostics(|lab| check_sessions_fall_with_the_link_and_return(lab, PEERS))
}

#[test]
fn frr_drops_routes_within_three_intervals_of_a_cut() -> Result<()> {
    Lab::start_frr(small_config(), FRR, OBJECTS)?
        .run_with_diagnostics(|lab| check_sessions_fall_with_the_link_and_return(lab, PEERS))
}
