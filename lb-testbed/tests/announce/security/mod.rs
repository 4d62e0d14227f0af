//! Sessions that only the right peer can have: TCP MD5 (RFC 2385) and GTSM (RFC 5082).

use std::{thread, time::Duration};

use anyhow::{Result, ensure};
use serde_json::Value;

use super::{
    lab::{Lab, prefixes},
    pair::{PEERS, Pair, stand},
};

const RIGHT: &str = "password: correct-horse";
const WRONG: &str = "password: battery-staple";
/// For a session that would come up.
const LONG_ENOUGH: Duration = Duration::from_secs(4);
const NEAR: &str = "ttlSecurity: 1";

fn objects(field: &str) -> String {
    Pair::new().field(field).objects
}

/// Routers that want this password.
fn locked() -> Pair {
    Pair::new().bird("password \"correct-horse\";").frr("password correct-horse")
}

/// Routers that are, and have neighbours, at most one hop away.
fn near() -> Pair {
    Pair::new().bird("ttl security on;").frr("ttl-security hops 1")
}

/// No session, and a remedy that says this.
fn fail(lab: &Lab, says: &str) -> Result<()> {
    for peer in PEERS {
        let is_told = |told: &Value| {
            told["state"] != "Established"
                && told["last_error"]["remedy"].as_str().is_some_and(|remedy| remedy.contains(says))
        };
        let told = lab.wait_peer("director1", peer, says, is_told)?;
        println!("{peer}: {}", told["last_error"]);
    }
    prefixes().iter().try_for_each(|prefix| lab.wait_routes(prefix, <[_]>::is_empty).map(drop))
}

/// The same with the password in a Secret.
fn with_secret(password: &str) -> String {
    let head = "apiVersion: v1\nkind: Secret\nmetadata: {name: router}\ntype: kubernetes.io/basic-auth";
    let objects = objects("passwordSecret: {name: router}");
    format!("{objects}---\n{head}\nstringData: {{{password}}}\n")
}

/// A session with the right password, none with a wrong one, and one again.
fn password_must_be_right(lab: &Lab, objects: fn(&str) -> String) -> Result<()> {
    stand(lab, 1)?;
    lab.write(&objects(WRONG))?;
    fail(lab, "password")?;
    lab.write(&objects(RIGHT))?;
    stand(lab, 1)
}

#[test]
fn the_password_must_be_right() -> Result<()> {
    locked().field(RIGHT).with_both(|lab| password_must_be_right(lab, objects))
}

#[test]
fn a_password_may_be_in_a_secret() -> Result<()> {
    let pair = Pair { objects: with_secret(RIGHT), ..locked() };
    pair.with_bird(|lab| password_must_be_right(lab, with_secret))
}

/// Also where it is only one of the two who wants one.
#[test]
fn the_password_must_be_known_to_both() -> Result<()> {
    locked().with_both(|lab| {
        fail(lab, "password")?;
        lab.write(&objects(RIGHT))?;
        stand(lab, 1)
    })
}

#[test]
fn neighbours_are_near_enough() -> Result<()> {
    near().field(NEAR).with_both(|lab| stand(lab, 1))
}

/// Whose packets have a TTL of 1 may be anywhere.
#[test]
fn a_router_without_gtsm_is_not_believed_to_be_near() -> Result<()> {
    Pair::new().field(NEAR).with_both(|lab| {
        thread::sleep(LONG_ENOUGH);
        for peer in PEERS {
            let told = lab.peer("director1", peer)?;
            ensure!(told["established"] == 0, "{told}");
        }
        lab.write(&objects("ttlSecurity: null"))?;
        stand(lab, 1)
    })
}

/// It may answer what we said first, but hears no more of us.
#[test]
fn a_router_with_gtsm_learns_nothing_from_us_without() -> Result<()> {
    near().with_both(|lab| {
        thread::sleep(LONG_ENOUGH);
        for prefix in prefixes() {
            let routes = lab.router.routes(&prefix)?;
            ensure!(routes.is_empty(), "{routes:?}");
        }
        Ok(())
    })
}
