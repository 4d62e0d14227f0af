//! Routers may ask for all routes again (RFC 2918, RFC 7313).

use std::net::{IpAddr, Ipv4Addr};

use anyhow::{Context, Result, ensure};

use super::{
    common::wait_at_most,
    lab::{Lab, Router, SOON, run_with_both},
    wire::{BgpCapture, Message, ROUTE_REFRESH},
};

pub const BIRD: &str = include_str!("bird.conf");
pub const FRR: &str = include_str!("frr.conf");
pub const OBJECTS: &str = include_str!("objects.yaml");

const ROUTER: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 77, 1, 1));
const REFRESHES: usize = 3;

/// How many routes (BIRD) or UPDATEs (FRR) the router has received on the session.
fn updates_received(lab: &Lab) -> Result<u64> {
    match &lab.router {
        Router::Bird(bird) => {
            let told = bird.run_query("show protocols all both")?;
            let lines = told.lines().filter_map(|line| line.trim().strip_prefix("Import updates:"));
            let number =
                |line: &str| line.split_whitespace().next().and_then(|word| word.parse::<u64>().ok());
            lines.map(number).sum::<Option<u64>>().with_context(|| told.clone())
        }
        Router::Frr(frr) => {
            let told = frr.run_vtysh_json("show bgp neighbors 10.77.1.2 json")?;
            let stats = &told["10.77.1.2"]["messageStats"];
            stats["updatesRecv"].as_u64().with_context(|| told.to_string())
        }
    }
}

fn request_refresh(lab: &mut Lab) -> Result<()> {
    match &lab.router {
        Router::Bird(bird) => bird.run_command("reload in both"),
        Router::Frr(frr) => frr.run_vtysh("clear bgp * soft in"),
    }
    .map(drop)
}

/// Checks that each refresh of each family had a beginning (BoRR, 1) and an end (EoRR, 2).
fn check_refresh_markers(messages: &[Message]) -> Result<()> {
    for family in [1, 2] {
        let to_router =
            messages.iter().filter(|message| message.to == ROUTER && message.kind == ROUTE_REFRESH);
        let kinds = to_router.filter_map(|message| match message.body[..] {
            [0, of, kind, 1] if of == family => Some(kind),
            _ => None,
        });
        let kinds: Vec<u8> = kinds.collect();
        ensure!(kinds == [1, 2].repeat(REFRESHES), "{kinds:?} of address family {family}");
    }
    Ok(())
}

fn check_routes_come_again(lab: &mut Lab) -> Result<()> {
    lab.wait_announced()?;
    let sessions = lab.times_established("director1", "router")?;
    let wire = BgpCapture::start(lab)?;
    for _ in 0..REFRESHES {
        let before = updates_received(lab)?;
        request_refresh(lab)?;
        wait_at_most(SOON, "routes of both families come again", || {
            let now = updates_received(lab)?;
            ensure!(now >= before + 2, "{now} after {before}");
            Ok(true)
        })?;
        lab.wait_announced()?;
    }
    let told = lab.peer_status("director1", "router")?;
    ensure!(told["established"] == sessions && told["state"] == "Established", "{told}");
    check_refresh_markers(&wire.finish()?)
}

#[test]
fn routers_get_routes_again_on_request() -> Result<()> {
    run_with_both(BIRD, FRR, OBJECTS, check_routes_come_again)
}
