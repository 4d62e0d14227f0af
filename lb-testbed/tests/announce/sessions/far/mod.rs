//! A router behind another one: at the client's place.

use std::{thread, time::Duration};

use anyhow::{Context, Result, ensure};
use lb_testbed::{Bird, Frr};

use crate::{
    lab::{Lab, Router, side_by_side, small_config},
    pair::{PEERS, SessionPair, wait_sessions},
};

/// Time in which a session would come up if it could.
const LONG_ENOUGH: Duration = Duration::from_secs(4);

fn far_pair() -> SessionPair {
    SessionPair::new().replace("10.77.1.1", "198.51.100.10").replace("fd77:1::1", "2001:db8:c::10")
}

/// With both routers: no session until our peers have the second field instead of the first.
fn check_established_only_with(pair: &SessionPair, wrong: &str, right: &str) -> Result<()> {
    let (wrong, right) = (pair.clone().peer_field(wrong).objects, pair.clone().peer_field(right).objects);
    let stands = |lab: &mut Lab| {
        check_never_established(lab)?;
        lab.write_objects(&right)?;
        wait_sessions(lab, 1)
    };
    let with_bird = || {
        let lab = Lab::start(small_config(), &wrong, |testbed| {
            Ok(Router::Bird(Bird::start(testbed, testbed.client(), &pair.bird)?))
        });
        lab?.run_with_diagnostics(stands).context("with BIRD")
    };
    let with_frr = || {
        let lab = Lab::start(small_config(), &wrong, |testbed| {
            Ok(Router::Frr(Frr::start(testbed, testbed.client(), &pair.frr)?))
        });
        lab?.run_with_diagnostics(stands).context("with FRR")
    };
    side_by_side(with_bird, with_frr)
}

fn check_never_established(lab: &Lab) -> Result<()> {
    thread::sleep(LONG_ENOUGH);
    for peer in PEERS {
        let told = lab.peer_status("director1", peer)?;
        ensure!(told["established"] == 0, "{told}");
    }
    Ok(())
}

#[test]
fn ebgp_crosses_a_router_only_with_multihop() -> Result<()> {
    let pair = far_pair().bird_setting("multihop 2;").frr_setting("ebgp-multihop 2");
    check_established_only_with(&pair, "ebgpMultiHop: false", "ebgpMultiHop: true")
}

#[test]
fn gtsm_counts_the_routers_between() -> Result<()> {
    let pair = far_pair()
        .bird_setting("multihop 2;")
        .bird_setting("ttl security on;")
        .frr_setting("ttl-security hops 2");
    check_established_only_with(&pair, "ttlSecurity: 1", "ttlSecurity: 2")
}

#[test]
fn ibgp_crosses_a_router_without_multihop() -> Result<()> {
    let pair = far_pair().replace("64513", "64512").replace("peerASN: 64512", "dynamicASN: internal");
    let bird = Lab::start(small_config(), &pair.objects, |testbed| {
        Ok(Router::Bird(Bird::start(testbed, testbed.client(), &pair.bird)?))
    });
    bird?.run_with_diagnostics(|lab| wait_sessions(lab, 1))
}
