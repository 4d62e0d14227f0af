//! Session parameters of a `BgpPeer`, as routers see them.

use std::net::IpAddr;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::{
    common::wait_at_most,
    lab::{Lab, Router, SOON, vip_prefixes},
    pair::{DIRECTOR_ADDRESSES, PEERS, SessionPair, wait_sessions},
};

mod peer_as;

/// What the router reports of a session; `peer` is an index into `PEERS`.
fn session_details(lab: &Lab, peer: usize) -> Result<SessionDetails> {
    let (bird_name, frr_name) = (PEERS[peer], DIRECTOR_ADDRESSES[peer]);
    Ok(match &lab.router {
        Router::Bird(bird) => {
            SessionDetails::Bird(bird.run_query(&format!("show protocols all {bird_name}"))?)
        }
        Router::Frr(frr) => SessionDetails::Frr(
            frr.run_vtysh_json(&format!("show bgp neighbors {frr_name} json"))?[frr_name].clone(),
        ),
    })
}

#[derive(Debug)]
enum SessionDetails {
    Bird(String),
    Frr(Value),
}

impl SessionDetails {
    /// The rest of BIRD's line that begins with `bird`, or FRR's field `frr`.
    fn field_text(&self, bird: &str, frr: &str) -> Option<String> {
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

/// The director has other addresses too: it connects from one, and announces another as next hop.
#[test]
fn routers_see_our_source_address_and_next_hops() -> Result<()> {
    let [v4, v6] = DIRECTOR_ADDRESSES;
    // A passive router knows its neighbour by the source address of the connection.
    let pair = SessionPair::new()
        .bird_setting("passive;")
        .frr_setting("passive")
        .replace(v4, "10.77.1.3")
        .replace(v6, "fd77:1::3")
        .replace("peerAddress: 10.77.1.1\n", "peerAddress: 10.77.1.1\n  sourceAddress: 10.77.1.3\n")
        .replace("peerAddress: fd77:1::1\n", "peerAddress: fd77:1::1\n  sourceAddress: fd77:1::3\n")
        .peer_field("nextHopV4: 10.77.1.4")
        .peer_field("nextHopV6: fd77:1::4");
    pair.run_with_both(|lab| {
        let director = lab.triangle.testbed.machine("director1")?;
        director.namespace.ip_batch(
            "address add 10.77.1.3/24 dev eth0\naddress add fd77:1::3/64 dev eth0 nodad\n\
             address add 10.77.1.4/24 dev eth0\naddress add fd77:1::4/64 dev eth0 nodad\n",
        )?;
        wait_sessions(lab, 1)?;
        for (prefix, hop) in vip_prefixes().iter().zip(["10.77.1.4", "fd77:1::4"]) {
            let hop: IpAddr = hop.parse()?;
            let routes = lab.router.routes(prefix)?;
            ensure!(routes.iter().all(|route| route.next_hops == [hop]), "{prefix}: {routes:?}");
        }
        Ok(())
    })
}

/// How many KEEPALIVEs the router has had on a session.
fn keepalives_received(lab: &Lab, peer: usize) -> Result<u64> {
    match (&lab.router, session_details(lab, peer)?) {
        (Router::Bird(bird), _) => {
            let line = format!("{}: Got KEEPALIVE", PEERS[peer]);
            Ok(u64::try_from(bird.log().matches(&line).count())?)
        }
        (_, SessionDetails::Frr(told)) => {
            told["messageStats"]["keepalivesRecv"].as_u64().with_context(|| told.to_string())
        }
        (_, told) => Err(anyhow::anyhow!("{told:?}")),
    }
}

/// At the usual third of the hold time there would be a KEEPALIVE every half a minute only.
#[test]
fn routers_see_our_identifier_hold_time_and_keepalives() -> Result<()> {
    let pair = SessionPair::new()
        .peer_field("routerID: 203.0.113.77")
        .peer_field("holdTime: 93s")
        .peer_field("keepaliveTime: 1s");
    let pair =
        pair.replace("{ states, events }", "all").bird_setting("hold time 180;").frr_setting("timers 60 180");
    pair.run_with_both(|lab| {
        wait_sessions(lab, 1)?;
        let sessions = 0..PEERS.len();
        for peer in sessions.clone() {
            let told = session_details(lab, peer)?;
            let id = told.field_text("Neighbor ID:", "remoteRouterId");
            ensure!(id.as_deref() == Some("203.0.113.77"), "{id:?} in {told:?}");
            let hold = told
                .field_text("Hold timer:", "bgpTimerHoldTimeMsecs")
                .with_context(|| format!("{told:?}"))?;
            ensure!(hold.ends_with("/93") || hold == "93000", "{hold} in {told:?}");
        }
        let count =
            || sessions.clone().map(|peer| keepalives_received(lab, peer)).collect::<Result<Vec<_>>>();
        let before = count()?;
        wait_at_most(SOON, "three KEEPALIVEs on each session", || {
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
