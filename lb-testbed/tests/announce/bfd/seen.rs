//! BFD and BGP sessions as routers report them.

use std::{net::IpAddr, time::Duration};

use anyhow::{Context, Result};
use serde_json::Value;

use crate::{
    lab::Router,
    moments::{Moments, seconds_of_day},
};

/// A BFD session.
#[derive(Debug)]
pub struct BfdSession {
    pub is_up: bool,
    /// The router's detection time: after so long without a packet, it takes the session down.
    pub detection: Duration,
}

pub fn bfd_sessions(router: &Router) -> Result<Vec<BfdSession>> {
    match router {
        Router::Bird(bird) => {
            Ok(bird.run_query("show bfd sessions")?.lines().filter_map(parse_bird_session).collect())
        }
        Router::Frr(frr) => {
            let told = frr.run_vtysh_json("show bfd peers json")?;
            Ok(told.as_array().into_iter().flatten().map(parse_frr_session).collect())
        }
    }
}

/// `10.77.1.2  director1  Up  20:50:00.123  0.200  0.600`: address, interface,
/// state, since, interval, timeout.
fn parse_bird_session(line: &str) -> Option<BfdSession> {
    let words: Vec<_> = line.split_whitespace().collect();
    words.first()?.parse::<IpAddr>().ok()?;
    let timeout = words.get(5)?.parse().ok()?;
    Some(BfdSession { is_up: words[2] == "Up", detection: Duration::from_secs_f64(timeout) })
}

/// The detection time counts the slower interval: that which FRR asks for, or ours.
fn parse_frr_session(peer: &Value) -> BfdSession {
    let number = |field: &str| peer[field].as_u64().unwrap_or_default();
    let interval = number("receive-interval").max(number("remote-transmit-interval"));
    BfdSession {
        is_up: peer["status"] == "up",
        detection: Duration::from_millis(interval * number("remote-detect-multiplier")),
    }
}

/// When BGP sessions were established (BIRD), or how often (FRR).
pub fn bgp_establishments(router: &Router) -> Result<Moments> {
    match router {
        Router::Bird(bird) => {
            let told = bird.run_query("show protocols")?;
            let sessions = told.lines().filter(|line| line.contains(" BGP "));
            Ok(Moments(sessions.map(parse_bird_since).collect::<Result<_>>()?))
        }
        Router::Frr(frr) => {
            let told = frr.run_vtysh_json("show bgp neighbors json")?;
            let peers = told.as_object().into_iter().flatten();
            let count = |peer: &Value| peer["connectionsEstablished"].as_f64().unwrap_or_default();
            Ok(Moments(peers.map(|(name, peer)| (name.clone(), count(peer))).collect()))
        }
    }
}

/// `v4  BGP  ---  up  22:14:32.036  Established`
fn parse_bird_since(line: &str) -> Result<(String, f64)> {
    let words: Vec<_> = line.split_whitespace().collect();
    let since = words.get(4).with_context(|| format!("no time in `{line}`"))?;
    Ok((words[0].to_owned(), seconds_of_day(since)?))
}
