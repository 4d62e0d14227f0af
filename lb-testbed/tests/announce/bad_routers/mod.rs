//! Routers that die, hang, or tell us what we do not want to know.

use anyhow::{Result, ensure};
use serde_json::Value;

use super::{
    lab::signal,
    pair::{PEERS, Pair, stand},
};

mod deaf;

fn short() -> Pair {
    Pair::new().field("holdTime: 3s")
}

#[test]
fn a_router_that_was_killed_is_told_again() -> Result<()> {
    short().with_both(|lab| {
        stand(lab, 1)?;
        lab.router.kill()?;
        for peer in PEERS {
            lab.wait_peer("director1", peer, "down", |told| told["state"] != "Established")?;
        }
        lab.router.revive()?;
        stand(lab, 2)
    })
}

#[test]
fn a_router_that_hangs_is_given_up_and_told_again() -> Result<()> {
    short().with_both(|lab| {
        stand(lab, 1)?;
        signal(lab.router.id(), "STOP")?;
        let told = PEERS.map(|peer| {
            lab.wait_peer("director1", peer, "given up", |told| {
                told["last_error"]["name"].as_str().is_some_and(|name| name.contains("Hold Timer Expired"))
            })
        });
        signal(lab.router.id(), "CONT")?;
        for told in told {
            println!("{}", told?["last_error"]);
        }
        stand(lab, 2)
    })
}

/// BIRD tells of its static routes.
const STATIC: &str =
    "protocol static { ipv4; route 203.0.113.0/24 blackhole; route 203.0.114.0/24 blackhole; }
protocol static { ipv6; route 2001:db8:bad::/48 blackhole; }
template bgp";
/// FRR tells of networks, whether it has a route there or not.
const NETWORKS: [(&str, &str); 2] = [
    ("ipv4 unicast\n", "ipv4 unicast\n  network 203.0.113.0/24\n  network 203.0.114.0/24\n"),
    ("ipv6 unicast\n", "ipv6 unicast\n  network 2001:db8:bad::/48\n"),
];

#[test]
fn routes_of_routers_are_refused_and_counted() -> Result<()> {
    let [v4, v6] = NETWORKS;
    let talkative = Pair::new()
        .replace("template bgp", STATIC)
        .replace("export none", "export all")
        .replace(" no bgp default", " no bgp network import-check\n no bgp default")
        .replace(v4.0, v4.1)
        .replace(v6.0, v6.1);
    talkative.with_both(|lab| {
        stand(lab, 1)?;
        for peer in PEERS {
            let is_counted = |told: &Value| told["routes_refused"].as_u64().is_some_and(|count| count >= 3);
            lab.wait_peer("director1", peer, "routes refused", is_counted)?;
        }
        let director = lab.triangle.testbed.machine("director1")?;
        for (family, bad) in [("-4", "203.0.113"), ("-6", "2001:db8:bad:")] {
            let routes = director.namespace.ip(&format!("{family} route show table all"))?;
            ensure!(!routes.contains(bad), "{routes}");
        }
        stand(lab, 1)
    })
}
