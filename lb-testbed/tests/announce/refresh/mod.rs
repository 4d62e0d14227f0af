//! Routers may ask for all routes again (RFC 2918, RFC 7313).

use std::net::{IpAddr, Ipv4Addr};

use anyhow::{Context, Result, ensure};

use super::{
    common::within,
    lab::{Lab, Router, SOON, small},
    wire::{Message, ROUTE_REFRESH, Wire},
};

pub const BIRD: &str = include_str!("bird.conf");
pub const FRR: &str = include_str!("frr.conf");
pub const OBJECTS: &str = include_str!("objects.yaml");

const ROUTER: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 77, 1, 1));
const TIMES: usize = 3;

/// How many routes, or messages with such, the router has been sent on the session.
fn received(lab: &Lab) -> Result<u64> {
    match &lab.router {
        Router::Bird(bird) => {
            let told = bird.ask("show protocols all both")?;
            let lines = told.lines().filter_map(|line| line.trim().strip_prefix("Import updates:"));
            let number =
                |line: &str| line.split_whitespace().next().and_then(|word| word.parse::<u64>().ok());
            lines.map(number).sum::<Option<u64>>().with_context(|| told.clone())
        }
        Router::Frr(frr) => {
            let told = frr.ask_json("show bgp neighbors 10.77.1.2 json")?;
            let stats = &told["10.77.1.2"]["messageStats"];
            stats["updatesRecv"].as_u64().with_context(|| told.to_string())
        }
    }
}

fn ask_again(lab: &mut Lab) -> Result<()> {
    match &lab.router {
        Router::Bird(bird) => bird.tell("reload in both"),
        Router::Frr(frr) => frr.ask("clear bgp * soft in"),
    }
    .map(drop)
}

/// Around the routes of each family there were a beginning (1) and an end (2), each time.
fn refreshes_have_ends(messages: &[Message]) -> Result<()> {
    for family in [1, 2] {
        let to_router =
            messages.iter().filter(|message| message.to == ROUTER && message.kind == ROUTE_REFRESH);
        let kinds = to_router.filter_map(|message| match message.body[..] {
            [0, of, kind, 1] if of == family => Some(kind),
            _ => None,
        });
        let kinds: Vec<u8> = kinds.collect();
        ensure!(kinds == [1, 2].repeat(TIMES), "{kinds:?} of address family {family}");
    }
    Ok(())
}

fn routes_come_again(lab: &mut Lab) -> Result<()> {
    lab.wait_announced()?;
    let sessions = lab.established("director1", "router")?;
    let wire = Wire::listen(lab)?;
    for _ in 0..TIMES {
        let before = received(lab)?;
        ask_again(lab)?;
        within(SOON, "routes of both families come again", || {
            let now = received(lab)?;
            ensure!(now >= before + 2, "{now} after {before}");
            Ok(true)
        })?;
        lab.wait_announced()?;
    }
    let told = lab.peer("director1", "router")?;
    ensure!(told["established"] == sessions && told["state"] == "Established", "{told}");
    refreshes_have_ends(&wire.finish()?)
}

#[test]
fn bird_gets_routes_again() -> Result<()> {
    Lab::bird(small(), BIRD, OBJECTS)?.told(routes_come_again)
}

#[test]
fn frr_gets_routes_again() -> Result<()> {
    Lab::frr(small(), FRR, OBJECTS)?.told(routes_come_again)
}
