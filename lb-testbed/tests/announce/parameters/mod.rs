//! What a `BgpPeer` says of its session, as routers see it.

use std::net::IpAddr;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::{
    common::within,
    lab::{Lab, Router, SOON, prefixes},
    pair::{DIRECTOR, PEERS, Pair, stand},
};

mod peer_as;

/// What the router tells of a session.
fn told(lab: &Lab, peer: usize) -> Result<Told> {
    let (bird_name, frr_name) = (PEERS[peer], DIRECTOR[peer]);
    Ok(match &lab.router {
        Router::Bird(bird) => Told::Bird(bird.ask(&format!("show protocols all {bird_name}"))?),
        Router::Frr(frr) => {
            Told::Frr(frr.ask_json(&format!("show bgp neighbors {frr_name} json"))?[frr_name].clone())
        }
    })
}

#[derive(Debug)]
enum Told {
    Bird(String),
    Frr(Value),
}

impl Told {
    /// The line of BIRD's that begins so, or this field of FRR's.
    fn of(&self, bird: &str, frr: &str) -> Option<String> {
        match self {
            Self::Bird(text) => {
                let rest = text.lines().find_map(|line| line.trim().strip_prefix(bird));
                rest.map(|rest| rest.trim().to_owned())
            }
            Self::Frr(fields) => fields[frr]
                .as_str()
                .map_or_else(|| fields.get(frr).map(Value::to_string), |text| Some(text.to_owned())),
        }
    }
}

/// The director has other addresses too: it calls from one, and announces another.
#[test]
fn routers_see_our_source_address_and_next_hops() -> Result<()> {
    let [v4, v6] = DIRECTOR;
    // Who waits to be called knows its neighbour by where it calls from.
    let pair = Pair::new()
        .bird("passive;")
        .frr("passive")
        .replace(v4, "10.77.1.3")
        .replace(v6, "fd77:1::3")
        .replace("peerAddress: 10.77.1.1\n", "peerAddress: 10.77.1.1\n  sourceAddress: 10.77.1.3\n")
        .replace("peerAddress: fd77:1::1\n", "peerAddress: fd77:1::1\n  sourceAddress: fd77:1::3\n")
        .field("nextHopV4: 10.77.1.4")
        .field("nextHopV6: fd77:1::4");
    pair.with_both(|lab| {
        let director = lab.triangle.testbed.machine("director1")?;
        director.namespace.ip_batch(
            "address add 10.77.1.3/24 dev eth0\naddress add fd77:1::3/64 dev eth0 nodad\n\
             address add 10.77.1.4/24 dev eth0\naddress add fd77:1::4/64 dev eth0 nodad\n",
        )?;
        stand(lab, 1)?;
        for (prefix, hop) in prefixes().iter().zip(["10.77.1.4", "fd77:1::4"]) {
            let hop: IpAddr = hop.parse()?;
            let routes = lab.router.routes(prefix)?;
            ensure!(routes.iter().all(|route| route.next_hops == [hop]), "{prefix}: {routes:?}");
        }
        Ok(())
    })
}

/// How many KEEPALIVEs the router has had on a session.
fn keepalives(lab: &Lab, peer: usize) -> Result<u64> {
    match (&lab.router, told(lab, peer)?) {
        (Router::Bird(bird), _) => {
            let line = format!("{}: Got KEEPALIVE", PEERS[peer]);
            Ok(u64::try_from(bird.log().matches(&line).count())?)
        }
        (_, Told::Frr(told)) => {
            told["messageStats"]["keepalivesRecv"].as_u64().with_context(|| told.to_string())
        }
        (_, told) => Err(anyhow::anyhow!("{told:?}")),
    }
}

/// By a third of the hold time there would be a KEEPALIVE in half a minute.
#[test]
fn routers_see_our_identifier_hold_time_and_keepalives() -> Result<()> {
    let pair = Pair::new().field("routerID: 203.0.113.77").field("holdTime: 93s").field("keepaliveTime: 1s");
    let pair = pair.replace("{ states, events }", "all").bird("hold time 180;").frr("timers 60 180");
    pair.with_both(|lab| {
        stand(lab, 1)?;
        let sessions = 0..PEERS.len();
        for peer in sessions.clone() {
            let told = told(lab, peer)?;
            let id = told.of("Neighbor ID:", "remoteRouterId");
            ensure!(id.as_deref() == Some("203.0.113.77"), "{id:?} in {told:?}");
            let hold =
                told.of("Hold timer:", "bgpTimerHoldTimeMsecs").with_context(|| format!("{told:?}"))?;
            ensure!(hold.ends_with("/93") || hold == "93000", "{hold} in {told:?}");
        }
        let count = || sessions.clone().map(|peer| keepalives(lab, peer)).collect::<Result<Vec<_>>>();
        let before = count()?;
        within(SOON, "three KEEPALIVEs on each session", || {
            let now = count()?;
            ensure!(
                now.iter().zip(&before).all(|(now, before)| *now >= before + 3),
                "{now:?} after {before:?}"
            );
            Ok(true)
        })
        .map(drop)
    })
}
