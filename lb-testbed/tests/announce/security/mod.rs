//! Sessions that only the right peer can have: TCP MD5 (RFC 2385) and GTSM (RFC 5082).

use std::{thread, time::Duration};

use anyhow::{Result, ensure};
use serde_json::Value;

use super::{
    lab::{Lab, vip_prefixes},
    pair::{PEERS, SessionPair, wait_sessions},
};

const RIGHT_PASSWORD: &str = "password: correct-horse";
const WRONG_PASSWORD: &str = "password: battery-staple";
/// Time in which a session would come up if it could.
const LONG_ENOUGH: Duration = Duration::from_secs(4);
const GTSM_FIELD: &str = "ttlSecurity: 1";

fn objects_with_field(field: &str) -> String {
    SessionPair::new().peer_field(field).objects
}

/// Routers that want this password.
fn pair_with_password() -> SessionPair {
    SessionPair::new().bird_setting("password \"correct-horse\";").frr_setting("password correct-horse")
}

/// Routers with GTSM, which send with a TTL of 255, and want neighbours at most one hop away.
fn pair_with_gtsm() -> SessionPair {
    SessionPair::new().bird_setting("ttl security on;").frr_setting("ttl-security hops 1")
}

/// Waits until no session is established, the remedy contains `says`, and the router has no routes.
fn wait_failed(lab: &Lab, says: &str) -> Result<()> {
    for peer in PEERS {
        let is_told = |told: &Value| {
            told["state"] != "Established"
                && told["last_error"]["remedy"].as_str().is_some_and(|remedy| remedy.contains(says))
        };
        let told = lab.wait_peer("director1", peer, says, is_told)?;
        println!("{peer}: {}", told["last_error"]);
    }
    vip_prefixes().iter().try_for_each(|prefix| lab.wait_routes(prefix, <[_]>::is_empty).map(drop))
}

/// The objects with the password in a Secret.
fn objects_with_secret(password: &str) -> String {
    let head = "apiVersion: v1\nkind: Secret\nmetadata: {name: router}\ntype: kubernetes.io/basic-auth";
    let objects = objects_with_field("passwordSecret: {name: router}");
    format!("{objects}---\n{head}\nstringData: {{{password}}}\n")
}

/// A session with the right password, none with a wrong one, and one again.
fn check_password_must_be_right(lab: &Lab, objects: fn(&str) -> String) -> Result<()> {
    wait_sessions(lab, 1)?;
    lab.write_objects(&objects(WRONG_PASSWORD))?;
    wait_failed(lab, "password")?;
    lab.write_objects(&objects(RIGHT_PASSWORD))?;
    wait_sessions(lab, 1)
}

#[test]
fn the_password_must_be_right() -> Result<()> {
    pair_with_password()
        .peer_field(RIGHT_PASSWORD)
        .run_with_both(|lab| check_password_must_be_right(lab, objects_with_field))
}

#[test]
fn a_password_may_be_in_a_secret() -> Result<()> {
    let pair = SessionPair { objects: objects_with_secret(RIGHT_PASSWORD), ..pair_with_password() };
    pair.run_with_bird(|lab| check_password_must_be_right(lab, objects_with_secret))
}

/// The router has a password, and we have none.
#[test]
fn the_password_must_be_known_to_both() -> Result<()> {
    pair_with_password().run_with_both(|lab| {
        wait_failed(lab, "password")?;
        lab.write_objects(&objects_with_field(RIGHT_PASSWORD))?;
        wait_sessions(lab, 1)
    })
}

#[test]
fn neighbours_with_gtsm_establish_sessions() -> Result<()> {
    pair_with_gtsm().peer_field(GTSM_FIELD).run_with_both(|lab| wait_sessions(lab, 1))
}

/// Packets that arrive with a TTL of 1 may come from anywhere.
#[test]
fn a_router_without_gtsm_is_not_believed_to_be_near() -> Result<()> {
    SessionPair::new().peer_field(GTSM_FIELD).run_with_both(|lab| {
        thread::sleep(LONG_ENOUGH);
        for peer in PEERS {
            let told = lab.peer_status("director1", peer)?;
            ensure!(told["established"] == 0, "{told}");
        }
        lab.write_objects(&objects_with_field("ttlSecurity: null"))?;
        wait_sessions(lab, 1)
    })
}

/// It may answer our first packets, but drops the later ones.
#[test]
fn a_router_with_gtsm_learns_nothing_if_we_have_none() -> Result<()> {
    pair_with_gtsm().run_with_both(|lab| {
        thread::sleep(LONG_ENOUGH);
        for prefix in vip_prefixes() {
            let routes = lab.router.routes(&prefix)?;
            ensure!(routes.is_empty(), "{routes:?}");
        }
        Ok(())
    })
}
