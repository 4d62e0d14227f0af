//! 5,000 VIPs are announced, and withdrawn.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use lb_testbed::{PortSpec, Protocol, ServiceSpec, UDP_ECHO_PORT};

use super::{
    common::wait_at_most,
    lab::{Lab, Router, small_config},
    refresh::{BIRD, FRR, OBJECTS},
};

/// VIPs of each family.
const VIPS_PER_FAMILY: u16 = 2500;
const VIPS_PER_SERVICE: u16 = 50;
/// A machine with two cores needs time to program the data path first.
const PATIENCE: Duration = Duration::from_secs(120);

pub fn many_services() -> Vec<ServiceSpec> {
    let mut all = vec![ServiceSpec::with_all_ports("web")];
    for first in (0..VIPS_PER_FAMILY).step_by(VIPS_PER_SERVICE.into()) {
        let v4 = (first..first + VIPS_PER_SERVICE).map(|n| {
            let [high, low] = n.to_be_bytes();
            IpAddr::from(Ipv4Addr::new(198, 18, high, low))
        });
        let v6 =
            (first..first + VIPS_PER_SERVICE).map(|n| Ipv6Addr::new(0x2001, 0xdb8, 5, 0, 0, 0, 0, n).into());
        let port = PortSpec::new("udp-echo", Protocol::Udp, UDP_ECHO_PORT, UDP_ECHO_PORT);
        all.push(
            ServiceSpec::new(&format!("many-{first}"), vec![port]).vips(v4.chain(v6).collect::<Vec<_>>()),
        );
    }
    all
}

/// How many routes the router has, of each family.
fn route_counts(lab: &mut Lab) -> Result<[u64; 2]> {
    match &lab.router {
        Router::Bird(bird) => {
            let count = |table: &str| {
                let told = bird.run_query(&format!("show route table {table} count"))?;
                let words = told.lines().filter_map(|line| line.split_once(" of "));
                let number = words.filter_map(|(count, _)| count.trim().parse().ok()).next();
                number.with_context(|| told.clone())
            };
            Ok([count("master4")?, count("master6")?])
        }
        Router::Frr(frr) => {
            let count = |family: &str| {
                let told = frr.run_vtysh_json(&format!("show bgp {family} unicast summary json"))?;
                told["peers"]["10.77.1.2"]["pfxRcd"].as_u64().with_context(|| told.to_string())
            };
            Ok([count("ipv4")?, count("ipv6")?])
        }
    }
}

fn wait_route_counts(lab: &mut Lab, wanted: u64) -> Result<()> {
    let start = Instant::now();
    wait_at_most(PATIENCE, &format!("{wanted} routes of each family"), || {
        let counts = route_counts(lab)?;
        ensure!(counts == [wanted; 2], "{counts:?}");
        Ok(true)
    })?;
    println!("{wanted} routes of each family after {:?}", start.elapsed());
    Ok(())
}

/// Adds 5,000 VIPs, and waits until the router has all of them and the one that was there.
pub fn announce_many(lab: &mut Lab) -> Result<()> {
    lab.triangle.write_objects(&many_services())?;
    wait_route_counts(lab, u64::from(VIPS_PER_FAMILY) + 1)
}

fn check_many_vips_come_and_go(lab: &mut Lab) -> Result<()> {
    wait_route_counts(lab, 1)?;
    let sessions = lab.times_established("director1", "router")?;
    announce_many(lab)?;
    lab.wait_peer("director1", "router", "all sent", |told| {
        told["routes_sent"] == 2 * (VIPS_PER_FAMILY + 1) && told["routes_pending"] == 0
    })?;
    lab.triangle.write_objects(&[ServiceSpec::with_all_ports("web")])?;
    wait_route_counts(lab, 1)?;
    let told = lab.peer_status("director1", "router")?;
    ensure!(told["established"] == sessions && told["state"] == "Established", "{told}");
    Ok(())
}

#[test]
fn bird_learns_and_forgets_5000_vips() -> Result<()> {
    Lab::start_bird(small_config(), BIRD, OBJECTS)?.run_with_diagnostics(check_many_vips_come_and_go)
}

#[test]
fn frr_learns_and_forgets_5000_vips() -> Result<()> {
    Lab::start_frr(small_config(), FRR, OBJECTS)?.run_with_diagnostics(check_many_vips_come_and_go)
}
