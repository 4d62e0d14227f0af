//! Routers that die, hang, or announce routes to us.

use anyhow::{Result, ensure};
use serde_json::Value;

use super::{
    lab::send_signal,
    pair::{PEERS, SessionPair, wait_sessions},
};

mod deaf;

fn pair_with_short_hold_time() -> SessionPair {
    SessionPair::new().peer_field("holdTime: 3s")
}

#[test]
fn a_router_that_was_killed_gets_its_routes_again() -> Result<()> {
    pair_with_short_hold_time().run_with_both(|lab| {
        wait_sessions(lab, 1)?;
        lab.router.kill()?;
        for peer in PEERS {
            lab.wait_peer("director1", peer, "down", |told| told["state"] != "Established")?;
        }
        lab.router.revive()?;
        wait_sessions(lab, 2)
    })
}

#[test]
fn a_router_that_hangs_is_disconnected_and_gets_its_routes_again() -> Result<()> {
    pair_with_short_hold_time().run_with_both(|lab| {
        wait_sessions(lab, 1)?;
        send_signal(lab.router.process_id(), "STOP")?;
        let told = PEERS.map(|peer| {
            lab.wait_peer("director1", peer, "given up", |told| {
                told["last_error"]["name"].as_str().is_some_and(|name| name.contains("Hold Timer Expired"))
            })
        });
        send_signal(lab.router.process_id(), "CONT")?;
        for told in told {
            println!("{}", told?["last_error"]);
        }
        wait_sessions(lab, 2)
    })
}

/// BIRD announces its static routes.
const BIRD_STATIC_ROUTES: &str =
    "protocol static { ipv4; route 203.0.113.0/24 blackhole; route 203.0.114.0/24 blackhole; }
protocol static { ipv6; route 2001:db8:bad::/48 blackhole; }
template bgp";
/// FRR announces networks, whether it has a route to them or not.
const FRR_NETWORKS: [(&str, &str); 2] = [
    ("ipv4 unicast\n", "ipv4 unicast\n  network 203.0.113.0/24\n  network 203.0.114.0/24\n"),
    ("ipv6 unicast\n", "ipv6 unicast\n  network 2001:db8:bad::/48\n"),
];

#[test]
fn routes_of_routers_are_refused_and_counted() -> Result<()> {
    let [v4, v6] = FRR_NETWORKS;
    let talkative = SessionPair::new()
        .replace("template bgp", BIRD_STATIC_ROUTES)
        .replace("export none", "export all")
        .replace(" no bgp default", " no bgp network import-check\n no bgp default")
        .replace(v4.0, v4.1)
        .replace(v6.0, v6.1);
    talkative.run_with_both(|lab| {
        wait_sessions(lab, 1)?;
        for peer in PEERS {
            let is_counted = |told: &Value| told["routes_refused"].as_u64().is_some_and(|count| count >= 3);
            lab.wait_peer("director1", peer, "routes refused", is_counted)?;
        }
        let director = lab.triangle.testbed.machine("director1")?;
        for (family, bad) in [("-4", "203.0.113"), ("-6", "2001:db8:bad:")] {
            let routes = director.namespace.ip(&format!("{family} route show table all"))?;
            ensure!(!routes.contains(bad), "{routes}");
        }
        wait_sessions(lab, 1)
    })
}
