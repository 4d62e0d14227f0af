//! Sessions fall with their BFD (RFC 5880, 5881, 5883, 5882), and come back with it.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::{
    common::within,
    lab::{Lab, SOON, prefixes, small},
};

mod admin;
mod held;
mod hops;
mod passive;
mod seen;
mod timers;
mod unnumbered;

const BIRD: &str = include_str!("bird.conf");
const FRR: &str = include_str!("frr.conf");
const OBJECTS: &str = include_str!("objects.yaml");

/// Of all packets, unless a test says otherwise; three may be missing.
const INTERVAL: Duration = Duration::from_millis(200);
/// From the last packet until nobody sees a route any more: three intervals, and what
/// the router's daemons need to act on it and a test to look, on a machine that is busy.
const CEILING: Duration = INTERVAL.saturating_mul(3).saturating_add(Duration::from_millis(900));

const PEERS: &[&str] = &["v4", "v6"];

/// Sessions are established and have their routes; the router watches each as
/// closely as it is to.
fn settle(lab: &Lab, peers: &[&str], interval: Duration) -> Result<()> {
    within(SOON, "sessions with BFD", || {
        let seen = seen::sessions(&lab.router)?;
        let good = seen.iter().filter(|session| session.is_up && session.detection == interval * 3);
        ensure!(good.count() == peers.len() && seen.len() == peers.len(), "the router has {seen:?}");
        for peer in peers {
            let told = lab.peer("director1", peer)?;
            ensure!(told["state"] == "Established" && told["bfd"] == "up", "{told}");
        }
        Ok(true)
    })?;
    lab.wait_announced()
}

/// How long the router keeps routes of a director that falls silent.
fn cut(lab: &Lab) -> Result<Duration> {
    let testbed = &lab.triangle.testbed;
    testbed.set_link(testbed.machine("director1")?, false)?;
    let start = Instant::now();
    for prefix in prefixes() {
        while !lab.router.routes(&prefix)?.is_empty() {
            ensure!(start.elapsed() < SOON, "{prefix} is still there");
        }
    }
    Ok(start.elapsed())
}

/// BFD holds a session down, and `trigon bgp` says so. BIRD may have ended it
/// first, by a Cease that says not why.
fn wait_held(lab: &Lab, peer: &str) -> Result<()> {
    lab.wait_peer("director1", peer, "held down by BFD", |told| {
        let name = told["last_error"]["name"].as_str();
        let is_said = matches!(name, Some("Cease: BFD Down" | "Cease"));
        told["state"] == "Idle" && told["bfd"] != "up" && is_said
    })
    .map(drop)
}

fn fall_with_the_link_and_come_back(lab: &Lab, peers: &[&str]) -> Result<()> {
    settle(lab, peers, INTERVAL)?;
    let before = established(lab, peers)?;
    let gone = cut(lab)?;
    println!("the routes are gone {gone:?} after the cut");
    ensure!(gone <= CEILING, "{gone:?}");
    peers.iter().try_for_each(|peer| wait_held(lab, peer))?;
    let testbed = &lab.triangle.testbed;
    testbed.set_link(testbed.machine("director1")?, true)?;
    settle(lab, peers, INTERVAL).context("after the link was mended")?;
    established_anew(lab, peers, &before)
}

/// How often sessions were established.
fn established(lab: &Lab, peers: &[&str]) -> Result<Vec<u64>> {
    peers.iter().map(|peer| lab.established("director1", peer)).collect()
}

/// Not exactly once: FRR may close a session that came back before its BFD did.
fn established_anew(lab: &Lab, peers: &[&str], before: &[u64]) -> Result<()> {
    let after = established(lab, peers)?;
    ensure!(after.iter().zip(before).all(|(after, before)| after > before), "{before:?}, {after:?}");
    Ok(())
}

#[test]
fn bird_drops_routes_within_three_intervals_of_a_cut() -> Result<()> {
    Lab::bird(small(), BIRD, OBJECTS)?.told(|lab| fall_with_the_link_and_come_back(lab, PEERS))
}

#[test]
fn frr_drops_routes_within_three_intervals_of_a_cut() -> Result<()> {
    Lab::frr(small(), FRR, OBJECTS)?.told(|lab| fall_with_the_link_and_come_back(lab, PEERS))
}
