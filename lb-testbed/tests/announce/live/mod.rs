//! Changes reach routers at once, and leave other routes and sessions alone.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use lb_testbed::{PortSpec, Protocol, ServiceSpec, UDP_ECHO_PORT};

use super::{
    lab::{Lab, SOON, small_config, vip_prefixes},
    moments::{Moments, seconds_of_day},
};

const BIRD: &str = include_str!("bird.conf");
const OBJECTS: &str = include_str!("objects.yaml");

const NEW_SERVICES: u8 = 50;
/// The median must not exceed this.
const CEILING: Duration = Duration::from_millis(100);

/// Since when BIRD has had the routes to the first VIPs, by prefix (on its first line) and session.
fn route_times(lab: &mut Lab) -> Result<Moments> {
    let bird = lab.router.bird()?;
    let table = |prefix: &String| bird.run_query(&format!("show route for {prefix}"));
    let tables: Vec<String> = vip_prefixes().iter().map(table).collect::<Result<_>>()?;
    let lines = tables.iter().flat_map(|text| text.lines()).filter(|line| line.contains("unicast"));
    Ok(Moments(lines.map(parse_route_time).collect::<Result<_>>()?))
}

/// `2001:db8::10/128  unicast [v6 20:50:00.123 from fd77:1::2] * (100) [AS64513i]`
fn parse_route_time(line: &str) -> Result<(String, f64)> {
    let (session, rest) = line.split_once('[').context("no session")?;
    let mut words = rest.split([' ', ']']);
    let (name, since) = (words.next().context("no name")?, words.next().context("no time")?);
    Ok((format!("{session}[{name}"), seconds_of_day(since)?))
}

/// How often sessions were established.
fn times_established(lab: &Lab) -> Result<[u64; 2]> {
    Ok([lab.times_established("director1", "v4")?, lab.times_established("director1", "v6")?])
}

fn vips_of_new_service(number: u8) -> [IpAddr; 2] {
    let v6 = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 1, number.into());
    [Ipv4Addr::new(192, 0, 2, 100 + number).into(), v6.into()]
}

/// Adds a Service; returns how long after the change of the file the router has its routes.
fn add_service(lab: &Lab, services: &mut Vec<ServiceSpec>, number: u8) -> Result<Duration> {
    let port = PortSpec::new("udp-echo", Protocol::Udp, UDP_ECHO_PORT, UDP_ECHO_PORT);
    let [v4, v6] = vips_of_new_service(number);
    services.push(ServiceSpec::new(&format!("new-{number}"), vec![port]).vips(vec![v4, v6]));
    lab.triangle.write_objects(services)?;
    let start = Instant::now();
    for prefix in [format!("{v4}/32"), format!("{v6}/128")] {
        while lab.router.routes(&prefix)?.is_empty() {
            ensure!(start.elapsed() < SOON, "{prefix} is not announced");
            thread::sleep(Duration::from_millis(1));
        }
    }
    Ok(start.elapsed())
}

fn wait_first_routes(lab: &Lab) -> Result<()> {
    lab.wait_established("director1", "v4")?;
    lab.wait_established("director1", "v6")?;
    let [v4, v6] = vip_prefixes();
    lab.wait_routes(&v4, |routes| routes.len() == 1)?;
    lab.wait_routes(&v6, |routes| routes.len() == 2).map(drop)
}

#[test]
fn a_new_service_is_at_the_router_within_100_ms() -> Result<()> {
    Lab::start_bird(small_config(), BIRD, OBJECTS)?.run_with_diagnostics(|lab| {
        wait_first_routes(lab)?;
        let before = route_times(lab)?;
        let mut services = vec![ServiceSpec::with_all_ports("web")];
        let mut times = Vec::new();
        for number in 0..NEW_SERVICES {
            times.push(add_service(lab, &mut services, number)?);
            thread::sleep(Duration::from_millis(50));
        }
        times.sort();
        let median = times[times.len() / 2];
        println!("median {median:?}, from {:?} to {:?}", times[0], times[times.len() - 1]);
        ensure!(median <= CEILING, "{times:?}");
        ensure!(times_established(lab)? == [1, 1], "sessions were reset");
        let after = route_times(lab)?;
        ensure!(
            before.is_same(&after) && before.0.len() == 3,
            "other routes came again: {before:?} {after:?}"
        );
        Ok(())
    })
}

#[test]
fn another_community_resets_no_session() -> Result<()> {
    Lab::start_bird(small_config(), BIRD, OBJECTS)?.run_with_diagnostics(|lab| {
        wait_first_routes(lab)?;
        lab.write_objects(&OBJECTS.replace("64512:1", "64512:2"))?;
        for prefix in vip_prefixes() {
            lab.wait_routes(&prefix, |routes| {
                !routes.is_empty() && routes.iter().all(|route| route.communities.iter().eq(["64512:2"]))
            })?;
        }
        ensure!(times_established(lab)? == [1, 1], "sessions were reset");
        Ok(())
    })
}

#[test]
fn another_hold_time_resets_that_session_alone() -> Result<()> {
    Lab::start_bird(small_config(), BIRD, OBJECTS)?.run_with_diagnostics(|lab| {
        wait_first_routes(lab)?;
        let before = route_times(lab)?;
        lab.write_objects(&OBJECTS.replace("fd77:1::1\n", "fd77:1::1\n  holdTime: 30s\n"))?;
        lab.wait_peer("director1", "v6", "a hold time of 30 s", |told| {
            told["state"] == "Established" && told["hold_time_seconds"] == 30
        })?;
        wait_first_routes(lab)?;
        let (after, counts) = (route_times(lab)?, times_established(lab)?);
        ensure!(counts[0] == 1, "the other session was reset: {counts:?}");
        ensure!(before.filter_by_name("[v4").is_same(&after.filter_by_name("[v4")), "{before:?} {after:?}");
        Ok(())
    })
}
