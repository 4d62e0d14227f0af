//! A router behind another one: at the client's place.

use std::{thread, time::Duration};

use anyhow::{Context, Result, ensure};
use lb_testbed::{Bird, Frr};

use crate::{
    lab::{Lab, Router, small},
    pair::{PEERS, Pair, stand},
};

/// For a session that would come up.
const LONG_ENOUGH: Duration = Duration::from_secs(4);

fn far() -> Pair {
    Pair::new().replace("10.77.1.1", "198.51.100.10").replace("fd77:1::1", "2001:db8:c::10")
}

/// With both routers: no session until our peers have the second field instead of the first.
fn stand_only_with(pair: &Pair, wrong: &str, right: &str) -> Result<()> {
    let (wrong, right) = (pair.clone().field(wrong).objects, pair.clone().field(right).objects);
    let stands = |lab: &mut Lab| {
        never_stand(lab)?;
        lab.write(&right)?;
        stand(lab, 1)
    };
    let bird = Lab::start(small(), &wrong, |testbed| {
        Ok(Router::Bird(Bird::start(testbed, testbed.client(), &pair.bird)?))
    });
    bird?.told(stands).context("with BIRD")?;
    let frr = Lab::start(small(), &wrong, |testbed| {
        Ok(Router::Frr(Frr::start(testbed, testbed.client(), &pair.frr)?))
    });
    frr?.told(stands).context("with FRR")
}

fn never_stand(lab: &Lab) -> Result<()> {
    thread::sleep(LONG_ENOUGH);
    for peer in PEERS {
        let told = lab.peer("director1", peer)?;
        ensure!(told["established"] == 0, "{told}");
    }
    Ok(())
}

#[test]
fn ebgp_reaches_over_a_router_if_it_is_to() -> Result<()> {
    let pair = far().bird("multihop 2;").frr("ebgp-multihop 2");
    stand_only_with(&pair, "ebgpMultiHop: false", "ebgpMultiHop: true")
}

#[test]
fn gtsm_counts_the_routers_between() -> Result<()> {
    let pair = far().bird("multihop 2;").bird("ttl security on;").frr("ttl-security hops 2");
    stand_only_with(&pair, "ttlSecurity: 1", "ttlSecurity: 2")
}
