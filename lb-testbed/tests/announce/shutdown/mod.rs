//! Sessions that are closed on purpose, with a reason: by a director that drains, which warns
//! first (RFC 8326), and by routers.

use anyhow::{Context, Result, ensure};
use lb_testbed::{Config, Route};

use super::{
    attributes::{BIRD, FRR, OBJECTS},
    common::within,
    lab::{Lab, Router, SOON, prefixes, small},
    pair::{Pair, stand},
};

const PEERS: [&str; 2] = ["external", "internal"];
/// The same, as BIRD and FRR call them.
const SESSIONS: [(&str, &str); 2] = [("outside", "10.77.1.2"), ("inside", "fd77:1::2")];

/// Time to look at each step.
fn slow() -> Config {
    let agent_args = ["--drain-time", "2s", "--settle-time", "3s"].map(str::to_owned).into();
    Config { agent_args, ..small() }
}

/// GRACEFUL_SHUTDOWN beside what else there is; and within the AS, any other path is better.
fn is_warned(route: &Route) -> bool {
    let is_named = |name: &str| route.communities.contains(name);
    (is_named("65535:0") || is_named("graceful-shutdown"))
        && is_named("64512:100")
        && (!route.as_path.is_empty() || route.local_pref == Some(0))
}

fn drain(lab: &Lab, argument: &str) -> Result<()> {
    let testbed = &lab.triangle.testbed;
    let told = testbed.trigon(testbed.machine("director1")?, &["drain", argument])?;
    ensure!(told.status.success(), "{told:?}");
    Ok(())
}

/// What the router says of how the session ended.
fn last_words(lab: &Lab, (bird_name, frr_name): (&str, &str)) -> Result<String> {
    match &lab.router {
        Router::Bird(bird) => bird.ask(&format!("show protocols all {bird_name}")),
        Router::Frr(frr) => {
            let told = frr.ask_json(&format!("show bgp neighbors {frr_name} json"))?;
            let told = &told[frr_name];
            Ok(format!("{} {}", told["lastNotificationReason"], told["lastShutdownDescription"]))
        }
    }
}

fn is_warned_then_withdrawn_then_closed(lab: &mut Lab) -> Result<()> {
    let every =
        |good: fn(&Route) -> bool| move |routes: &[Route]| routes.len() == 2 && routes.iter().all(good);
    for prefix in prefixes() {
        lab.wait_routes(&prefix, every(|route| !is_warned(route)))?;
    }
    drain(lab, "--no-wait")?;
    for prefix in prefixes() {
        lab.wait_routes(&prefix, every(is_warned))?;
    }
    for prefix in prefixes() {
        lab.wait_routes(&prefix, <[_]>::is_empty)?;
    }
    for peer in PEERS {
        let told = lab.peer("director1", peer)?;
        ensure!(told["state"] == "Established", "closed before packets have had time to settle: {told}");
    }
    for session in SESSIONS {
        within(SOON, "the router knows why", || {
            let told = last_words(lab, session)?;
            let words = told.to_lowercase();
            ensure!(words.contains("administrative shutdown") && words.contains("drained"), "{told}");
            Ok(true)
        })?;
    }
    drain(lab, "--undo")?;
    for prefix in prefixes() {
        lab.wait_routes(&prefix, every(|route| !is_warned(route)))?;
    }
    Ok(())
}

#[test]
fn bird_is_warned_of_a_drain() -> Result<()> {
    Lab::bird(slow(), BIRD, OBJECTS)?.told(is_warned_then_withdrawn_then_closed)
}

#[test]
fn frr_is_warned_of_a_drain() -> Result<()> {
    Lab::frr(slow(), FRR, OBJECTS)?.told(is_warned_then_withdrawn_then_closed)
}

/// The router's operator says why, and ours reads it (RFC 9003).
#[test]
fn messages_of_routers_are_shown() -> Result<()> {
    const MESSAGE: &str = "new line card until noon";
    Pair::new().with_both(|lab| {
        stand(lab, 1)?;
        let sessions = lab.established("director1", "v6")?;
        match &lab.router {
            Router::Bird(bird) => drop(bird.tell(&format!("disable v4 \"{MESSAGE}\""))?),
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
        let shown = testbed.trigon(testbed.machine("director1")?, &["bgp"])?;
        let shown = String::from_utf8(shown.stdout).context("`trigon bgp` prints text")?;
        ensure!(shown.contains(MESSAGE), "{shown}");
        let told = lab.peer("director1", "v6")?;
        ensure!(told["state"] == "Established" && told["established"] == sessions, "{told}");
        Ok(())
    })
}
