//! Internal, passive and unnumbered sessions.

use anyhow::{Result, ensure};
use lb_testbed::Route;

use crate::{
    common::round::Round,
    lab::{Lab, run_with_both, vip_prefixes},
    pair::{SessionPair, wait_sessions},
};

const BIRD: &str = include_str!("unnumbered/bird.conf");
const FRR: &str = include_str!("unnumbered/frr.conf");
const OBJECTS: &str = include_str!("unnumbered/objects.yaml");

#[test]
fn internal_sessions_carry_routes() -> Result<()> {
    // BIRD takes internal neighbours for multihop ones, unless they are `direct`.
    SessionPair::new().replace("64513", "64512").bird_setting("direct;").run_with_both(|lab| {
        wait_sessions(lab, 1)?;
        for prefix in vip_prefixes() {
            let routes = lab.router.routes(&prefix)?;
            let is_internal = |route: &Route| route.as_path.is_empty() && route.local_pref == Some(100);
            ensure!(routes.iter().all(is_internal), "{routes:?}");
        }
        Ok(())
    })
}

#[test]
fn passive_sessions_wait_to_be_called() -> Result<()> {
    SessionPair::new().peer_field("passive: true").run_with_both(|lab| wait_sessions(lab, 1))
}

/// The router is discovered on the interface, by its link-local address; traffic takes the routes.
fn check_routes_and_traffic(lab: &mut Lab) -> Result<()> {
    lab.wait_established("director1", "neighbour")?;
    lab.wait_announced()?;
    let told = lab.peer_status("director1", "neighbour")?;
    ensure!(told["address"].as_str().is_some_and(|address| address.starts_with("fe80:")), "{told}");
    lab.wait_forwarding()?;
    Round::of_all_pods(&lab.triangle).run(&lab.triangle)
}

#[test]
fn routers_learn_vips_on_an_interface() -> Result<()> {
    run_with_both(BIRD, FRR, OBJECTS, check_routes_and_traffic)
}

const KEY: &str = "correct-horse";

/// No session without the password, and one with it.
fn check_password_is_needed(lab: &mut Lab) -> Result<()> {
    let told = lab.wait_peer("director1", "neighbour", "a hint at the password", |told| {
        told["address"].is_string()
            && told["last_error"]["remedy"].as_str().is_some_and(|remedy| remedy.contains("password"))
    })?;
    ensure!(told["established"] == 0, "{told}");
    lab.write_objects(&OBJECTS.replace("connectTime: 1s", &format!("connectTime: 1s\n  password: {KEY}")))?;
    lab.wait_established("director1", "neighbour")?;
    lab.wait_announced()
}

#[test]
fn routers_want_a_password_on_an_interface() -> Result<()> {
    let bird = BIRD.replace("  local as 64513;\n", &format!("  local as 64513;\n  password \"{KEY}\";\n"));
    let remote = " neighbor director1 interface remote-as external\n";
    let frr = FRR.replace(remote, &format!("{remote} neighbor director1 password {KEY}\n"));
    run_with_both(&bird, &frr, OBJECTS, check_password_is_needed)
}
