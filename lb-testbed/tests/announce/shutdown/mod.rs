//! Sessions that are closed on purpose, with a reason: by a director that drains, which warns
//! first (RFC 8326), and by routers.

use anyhow::{Context, Result, ensure};
use lb_testbed::{Config, Route};

use super::{
    attributes::{BIRD, FRR, OBJECTS},
    common::wait_at_most,
    lab::{Lab, Router, SOON, small_config, vip_prefixes},
    pair::{SessionPair, wait_sessions},
};

const PEERS: [&str; 2] = ["external", "internal"];
/// The same, as BIRD and FRR call them.
const SESSIONS: [(&str, &str); 2] = [("outside", "10.77.1.2"), ("inside", "fd77:1::2")];

/// Each step of a drain takes long enough to observe it.
fn slow_drain_config() -> Config {
    let agent_args = ["--drain-time", "2s", "--settle-time", "3s"].map(str::to_owned).into();
    Config { agent_args, ..small_config() }
}

/// The route has GRACEFUL_SHUTDOWN beside its own community; within the AS also LOCAL_PREF 0, so
/// that any other path is better.
fn is_warned(route: &Route) -> bool {
    let is_named = |name: &str| route.communities.contains(name);
    (is_named("65535:0") || is_named("graceful-shutdown"))
        && is_named("64512:100")
        && (!route.as_path.is_empty() || route.local_pref == Some(0))
}

/// Runs `trigon drain` with this argument.
pub fn drain_director(lab: &Lab, argument: &str) -> Result<()> {
    let testbed = &lab.triangle.testbed;
    let told = testbed.run_trigon(testbed.machine("director1")?, &["drain", argument])?;
    ensure!(told.status.success(), "{told:?}");
    Ok(())
}

/// What the router says of how the session ended.
fn session_end_report(lab: &Lab, (bird_name, frr_name): (&str, &str)) -> Result<String> {
    match &lab.router {
        Router::Bird(bird) => bird.run_query(&format!("show protocols all {bird_name}")),
        Router::Frr(frr) => {
            let told = frr.run_vtysh_json(&format!("show bgp neighbors {frr_name} json"))?;
            let told = &told[frr_name];
            Ok(format!("{} {}", told["lastNotificationReason"], told["lastShutdownDescription"]))
        }
    }
}

fn check_warned_then_withdrawn_then_closed(lab: &mut Lab) -> Result<()> {
    let every =
        |good: fn(&Route) -> bool| move |routes: &[Route]| routes.len() == 2 && routes.iter().all(good);
    for prefix in vip_prefixes() {
        lab.wait_routes(&prefix, every(|route| !is_warned(route)))?;
    }
    drain_director(lab, "--no-wait")?;
    for prefix in vip_prefixes() {
        lab.wait_routes(&prefix, every(is_warned))?;
    }
    for prefix in vip_prefixes() {
        lab.wait_routes(&prefix, <[_]>::is_empty)?;
    }
    for peer in PEERS {
        let told = lab.peer_status("director1", peer)?;
        ensure!(told["state"] == "Established", "closed before packets have had time to settle: {told}");
    }
    for session in SESSIONS {
        wait_at_most(SOON, "the router knows why", || {
            let told = session_end_report(lab, session)?;
            let words = told.to_lowercase();
            ensure!(words.contains("administrative shutdown") && words.contains("drained"), "{told}");
            Ok(true)
        })?;
    }
    drain_director(lab, "--undo")?;
    for prefix in vip_prefixes() {
        lab.wait_routes(&prefix, every(|route| !is_warned(route)))?;
    }
    Ok(())
}

#[test]
fn bird_is_warned_of_a_drain() -> Result<()> {
    Lab::start_bird(slow_drain_config(), BIRD, OBJECTS)?
        .run_with_diagnostics(check_warned_then_withdrawn_then_closed)
}

#[test]
fn frr_is_warned_of_a_drain() -> Result<()> {
    Lab::start_frr(slow_drain_config(), FRR, OBJECTS)?
        .run_with_diagnostics(check_warned_then_withdrawn_then_closed)
}

/// `trigon bgp` shows the message with which the router's operator closes a session (RFC 9003).
#[test]
fn shutdown_messages_of_routers_are_shown() -> Result<()> {
    const MESSAGE: &str = "new line card until noon";
    SessionPair::new().run_with_both(|lab| {
        wait_sessions(lab, 1)?;
        let sessions = lab.times_established("director1", "v6")?;
        match &lab.router {
            Router::Bird(bird) => drop(bird.run_command(&format!("disable v4 \"{MESSAGE}\""))?),
            Router::Frr(frr) => frr.configure(&format!(
                "router bgp 64513\n neighbor 10.77.1.2 shutdown message {MESSAGE}\nexit\n"
            ))?,
        }
        let told = lab.wait_peer("director1", "v4", "the message", |told| {
            told["state"] != "Established" && told["last_error"]["detail"] == MESSAGE
        })?;
        let error = &told["last_error"];
        ensure!(error["name"] == "Cease: Administrative Shutdown" && error["sent"] == false, "{error}");
        let testbed = &lab.triangle.testbed;
        let shown = testbed.run_trigon(testbed.machine("director1")?, &["bgp"])?;
        let shown = String::from_utf8(shown.stdout).context("`trigon bgp` prints text")?;
        ensure!(shown.contains(MESSAGE), "{shown}");
        let told = lab.peer_status("director1", "v6")?;
        ensure!(told["state"] == "Established" && told["established"] == sessions, "{told}");
        Ok(())
    })
}
