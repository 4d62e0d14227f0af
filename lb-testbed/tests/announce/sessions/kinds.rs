//! What else sessions can be than external, and over a link with addresses.

use anyhow::{Result, ensure};
use lb_testbed::Route;

use crate::{
    common::round::Round,
    lab::{Lab, prefixes, small},
    pair::{Pair, stand},
};

const BIRD: &str = include_str!("unnumbered/bird.conf");
const FRR: &str = include_str!("unnumbered/frr.conf");
const OBJECTS: &str = include_str!("unnumbered/objects.yaml");

#[test]
fn internal_sessions_carry_routes() -> Result<()> {
    // BIRD has neighbours of its own AS anywhere, unless it is told.
    Pair::new().replace("64513", "64512").bird("direct;").with_both(|lab| {
        stand(lab, 1)?;
        for prefix in prefixes() {
            let routes = lab.router.routes(&prefix)?;
            let is_internal = |route: &Route| route.as_path.is_empty() && route.local_pref == Some(100);
            ensure!(routes.iter().all(is_internal), "{routes:?}");
        }
        Ok(())
    })
}

#[test]
fn passive_sessions_wait_to_be_called() -> Result<()> {
    Pair::new().field("passive: true").with_both(|lab| stand(lab, 1))
}

/// Found on the interface, and spoken with by link-local addresses; traffic takes the routes.
fn carry_routes_and_traffic(lab: &mut Lab) -> Result<()> {
    lab.wait_established("director1", "neighbour")?;
    lab.wait_announced()?;
    let told = lab.peer("director1", "neighbour")?;
    ensure!(told["address"].as_str().is_some_and(|address| address.starts_with("fe80:")), "{told}");
    lab.wait_forwarding()?;
    Round::of(&lab.triangle).run(&lab.triangle)
}

#[test]
fn bird_learns_vips_on_an_interface() -> Result<()> {
    Lab::bird(small(), BIRD, OBJECTS)?.told(carry_routes_and_traffic)
}

#[test]
fn frr_learns_vips_on_an_interface() -> Result<()> {
    Lab::frr(small(), FRR, OBJECTS)?.told(carry_routes_and_traffic)
}

const KEY: &str = "correct-horse";

/// None without it.
fn password_opens(lab: &mut Lab) -> Result<()> {
    let told = lab.wait_peer("director1", "neighbour", "a hint at the password", |told| {
        told["address"].is_string()
            && told["last_error"]["remedy"].as_str().is_some_and(|remedy| remedy.contains("password"))
    })?;
    ensure!(told["established"] == 0, "{told}");
    lab.write(&OBJECTS.replace("connectTime: 1s", &format!("connectTime: 1s\n  password: {KEY}")))?;
    lab.wait_established("director1", "neighbour")?;
    lab.wait_announced()
}

#[test]
fn bird_wants_a_password_on_an_interface() -> Result<()> {
    let bird = BIRD.replace("  local as 64513;\n", &format!("  local as 64513;\n  password \"{KEY}\";\n"));
    Lab::bird(small(), &bird, OBJECTS)?.told(password_opens)
}

#[test]
fn frr_wants_a_password_on_an_interface() -> Result<()> {
    let remote = " neighbor director1 interface remote-as external\n";
    let frr = FRR.replace(remote, &format!("{remote} neighbor director1 password {KEY}\n"));
    Lab::frr(small(), &frr, OBJECTS)?.told(password_opens)
}
