//! The router is killed and restarts: it forwards meanwhile, and waits for us to say that all is
//! told again (End-of-RIB) before it drops what was not.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::{BIRD, FRR, OBJECTS, none_lost, streams};
use crate::{
    common::within,
    lab::{Lab, Router, SOON, small},
};

/// Longer than the router needs to be back.
const STREAM: Duration = Duration::from_secs(8);
const PEERS: [&str; 2] = ["v4", "v6"];

fn announced_and_forwarding(lab: &Lab) -> Result<()> {
    PEERS.iter().try_for_each(|peer| lab.wait_established("director1", peer))?;
    lab.wait_announced()?;
    lab.wait_forwarding()
}

/// The router has heard of both sessions that this is all.
fn is_told_all(lab: &Lab) -> Result<bool> {
    match &lab.router {
        // It would give up only after minutes.
        Router::Bird(bird) => ensure!(bird.log().contains("Graceful restart done"), "{}", bird.log()),
        Router::Frr(frr) => {
            for (peer, family) in [("10.77.1.2", "ipv4Unicast"), ("fd77:1::2", "ipv6Unicast")] {
                let told = frr.ask_json(&format!("show bgp neighbors {peer} json"))?;
                let restart = &told[peer]["gracefulRestartInfo"];
                ensure!(restart["endOfRibRecv"][family] == true, "{restart}");
            }
        }
    }
    Ok(true)
}

fn comes_back_and_is_told_all(lab: &mut Lab) -> Result<()> {
    let before: Vec<_> =
        PEERS.iter().map(|peer| lab.established("director1", peer)).collect::<Result<_>>()?;
    lab.router.kill()?;
    for peer in PEERS {
        lab.wait_peer("director1", peer, "down", |told| told["state"] != "Established")?;
    }
    match &mut lab.router {
        Router::Bird(bird) => bird.recover()?,
        Router::Frr(frr) => frr.revive()?,
    }
    for (peer, before) in PEERS.iter().zip(before) {
        lab.wait_peer("director1", peer, "Established again", |told| {
            let times = told["established"].as_u64();
            told["state"] == "Established" && times.is_some_and(|times| times > before)
        })?;
    }
    lab.wait_announced()?;
    within(SOON, "the router knows that all is told", || is_told_all(lab)).map(drop)
}

#[test]
fn bird_restarts_and_no_packet_is_lost() -> Result<()> {
    let bird = BIRD
        .replace("protocol kernel {", "protocol kernel { persist; graceful restart on;")
        .replace("as 64512;\n", "as 64512;\n  graceful restart on;\n");
    Lab::bird(small(), &bird, OBJECTS)?.told(|lab| {
        announced_and_forwarding(lab)?;
        let streams = streams(lab, STREAM)?;
        comes_back_and_is_told_all(lab)?;
        none_lost(streams)
    })
}

/// Its zebra has no way to replace an IPv6 route without a gap: packets are not counted.
#[test]
fn frr_restarts_and_is_told_all() -> Result<()> {
    Lab::frr(small(), FRR, OBJECTS)?.told(|lab| {
        announced_and_forwarding(lab)?;
        comes_back_and_is_told_all(lab)?;
        lab.wait_forwarding()
    })
}
