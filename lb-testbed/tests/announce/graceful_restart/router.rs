//! The router is killed and restarts: its kernel forwards meanwhile, and it waits for our
//! End-of-RIB before it drops what was not announced again.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::{BIRD, FRR, OBJECTS, check_none_lost, start_streams};
use crate::{
    common::wait_at_most,
    lab::{Lab, Router, SOON, small_config},
};

/// Longer than the router needs to be back.
const STREAM: Duration = Duration::from_secs(8);
const PEERS: [&str; 2] = ["v4", "v6"];

fn wait_announced_and_forwarding(lab: &Lab) -> Result<()> {
    PEERS.iter().try_for_each(|peer| lab.wait_established("director1", peer))?;
    lab.wait_announced()?;
    lab.wait_forwarding()
}

/// The router has got End-of-RIB on both sessions.
fn has_end_of_rib(lab: &Lab) -> Result<bool> {
    match &lab.router {
        // Without End-of-RIB, BIRD would be done only after minutes.
        Router::Bird(bird) => ensure!(bird.log().contains("Graceful restart done"), "{}", bird.log()),
        Router::Frr(frr) => {
            for (peer, family) in [("10.77.1.2", "ipv4Unicast"), ("fd77:1::2", "ipv6Unicast")] {
                let told = frr.run_vtysh_json(&format!("show bgp neighbors {peer} json"))?;
                let restart = &told[peer]["gracefulRestartInfo"];
                ensure!(restart["endOfRibRecv"][family] == true, "{restart}");
            }
        }
    }
    Ok(true)
}

fn check_router_restarts_and_gets_all_routes(lab: &mut Lab) -> Result<()> {
    let before: Vec<_> =
        PEERS.iter().map(|peer| lab.times_established("director1", peer)).collect::<Result<_>>()?;
    lab.router.kill()?;
    for peer in PEERS {
        lab.wait_peer("director1", peer, "down", |told| told["state"] != "Established")?;
    }
    match &mut lab.router {
        Router::Bird(bird) => bird.restart_gracefully()?,
        Router::Frr(frr) => frr.restart_bgpd()?,
    }
    for (peer, before) in PEERS.iter().zip(before) {
        lab.wait_peer("director1", peer, "Established again", |told| {
            let times = told["established"].as_u64();
            told["state"] == "Established" && times.is_some_and(|times| times > before)
        })?;
    }
    lab.wait_announced()?;
    wait_at_most(SOON, "the router knows that all is told", || has_end_of_rib(lab)).map(drop)
}

#[test]
fn bird_restarts_and_no_packet_is_lost() -> Result<()> {
    let bird = BIRD
        .replace("protocol kernel {", "protocol kernel { persist; graceful restart on;")
        .replace("as 64512;\n", "as 64512;\n  graceful restart on;\n");
    Lab::start_bird(small_config(), &bird, OBJECTS)?.run_with_diagnostics(|lab| {
        wait_announced_and_forwarding(lab)?;
        let streams = start_streams(lab, STREAM)?;
        check_router_restarts_and_gets_all_routes(lab)?;
        check_none_lost(streams)
    })
}

/// FRR's zebra cannot replace an IPv6 route without a gap, so lost packets are not counted.
#[test]
fn frr_restarts_and_gets_all_routes() -> Result<()> {
    Lab::start_frr(small_config(), FRR, OBJECTS)?.run_with_diagnostics(|lab| {
        wait_announced_and_forwarding(lab)?;
        check_router_restarts_and_gets_all_routes(lab)?;
        lab.wait_forwarding()
    })
}
