//! 5,000 VIPs.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use lb_testbed::{PortSpec, Protocol, ServiceSpec, UDP_ECHO_PORT};

use super::{
    common::within,
    lab::{Lab, Router, small},
    refresh::{BIRD, FRR, OBJECTS},
};

/// Of each family.
const VIPS: u16 = 2500;
const PER_SERVICE: u16 = 50;
/// A machine with two cores has to program them first.
const PATIENCE: Duration = Duration::from_secs(120);

pub fn services() -> Vec<ServiceSpec> {
    let mut all = vec![ServiceSpec::everything("web")];
    for first in (0..VIPS).step_by(PER_SERVICE.into()) {
        let v4 = (first..first + PER_SERVICE).map(|n| {
            let [high, low] = n.to_be_bytes();
            IpAddr::from(Ipv4Addr::new(198, 18, high, low))
        });
        let v6 = (first..first + PER_SERVICE).map(|n| Ipv6Addr::new(0x2001, 0xdb8, 5, 0, 0, 0, 0, n).into());
        let port = PortSpec::new("udp-echo", Protocol::Udp, UDP_ECHO_PORT, UDP_ECHO_PORT);
        all.push(
            ServiceSpec::new(&format!("many-{first}"), vec![port]).vips(v4.chain(v6).collect::<Vec<_>>()),
        );
    }
    all
}

/// How many routes the router has, of each family.
fn counts(lab: &mut Lab) -> Result<[u64; 2]> {
    match &lab.router {
        Router::Bird(bird) => {
            let count = |table: &str| {
                let told = bird.ask(&format!("show route table {table} count"))?;
                let words = told.lines().filter_map(|line| line.split_once(" of "));
                let number = words.filter_map(|(count, _)| count.trim().parse().ok()).next();
                number.with_context(|| told.clone())
            };
            Ok([count("master4")?, count("master6")?])
        }
        Router::Frr(frr) => {
            let count = |family: &str| {
                let told = frr.ask_json(&format!("show bgp {family} unicast summary json"))?;
                told["peers"]["10.77.1.2"]["pfxRcd"].as_u64().with_context(|| told.to_string())
            };
            Ok([count("ipv4")?, count("ipv6")?])
        }
    }
}

fn wait_counts(lab: &mut Lab, wanted: u64) -> Result<()> {
    let start = Instant::now();
    within(PATIENCE, &format!("{wanted} routes of each family"), || {
        let counts = counts(lab)?;
        ensure!(counts == [wanted; 2], "{counts:?}");
        Ok(true)
    })?;
    println!("{wanted} routes of each family after {:?}", start.elapsed());
    Ok(())
}

fn many_come_and_go(lab: &mut Lab) -> Result<()> {
    wait_counts(lab, 1)?;
    let sessions = lab.established("director1", "router")?;
    lab.triangle.write(&services())?;
    wait_counts(lab, u64::from(VIPS) + 1)?;
    lab.wait_peer("director1", "router", "all sent", |told| {
        told["routes_sent"] == 2 * (VIPS + 1) && told["routes_pending"] == 0
    })?;
    lab.triangle.write(&[ServiceSpec::everything("web")])?;
    wait_counts(lab, 1)?;
    let told = lab.peer("director1", "router")?;
    ensure!(told["established"] == sessions && told["state"] == "Established", "{told}");
    Ok(())
}

#[test]
fn bird_learns_and_forgets_5000_vips() -> Result<()> {
    Lab::bird(small(), BIRD, OBJECTS)?.told(many_come_and_go)
}

#[test]
fn frr_learns_and_forgets_5000_vips() -> Result<()> {
    Lab::frr(small(), FRR, OBJECTS)?.told(many_come_and_go)
}
