//! Maps that are asked to be larger at a restart: they grow under traffic, and keep what is in them.

mod common;

use std::{
    collections::BTreeMap,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use aya::maps::MapInfo;
use common::{client_addresses, held::HeldConnections, run_with_diagnostics, socket_address};
use lb_testbed::{
    Config, EndpointState, ServiceSpec, Triangle, UDP_ECHO_PORT, UdpStream, UdpStreamOptions, VIP,
};

/// All sizes, and what they are if none is given.
const SIZES: [(&str, u32); 10] = [
    ("--max-services", 16_384),
    ("--max-backends", 4096),
    ("--max-endpoints", 65_536),
    ("--max-ranges", 65_536),
    ("--ring-slots", 4 << 20),
    ("--history-slots", 9 << 18),
    ("--node-flows", 262_144),
    ("--affinities", 16_384),
    ("--bare-flows", 65_536),
    ("--fragments", 16_384),
];

/// The arguments for sizes `percent` larger than those.
fn larger(percent: u32) -> Vec<String> {
    let larger = |size: u32| size + (u64::from(size) * u64::from(percent) / 100) as u32;
    SIZES.iter().flat_map(|(name, size)| [(*name).to_owned(), larger(*size).to_string()]).collect()
}

fn start_with(triangle: &mut Triangle, machine: &str, percent: u32) -> Result<()> {
    let arguments = larger(percent);
    triangle.start_agent(machine, &arguments.iter().map(String::as_str).collect::<Vec<_>>())
}

/// Of node 1 all Pods drain: that it has their flows, only its tables know.
fn service(state: EndpointState) -> ServiceSpec {
    let others = ["pod2_1", "pod2_2", "pod3_1", "pod3_2"].map(|pod| (pod, EndpointState::Ready));
    let all = [&[("pod1_1", state), ("pod1_2", state)], &others[..]].concat();
    ServiceSpec::with_all_ports("web").endpoints(&all)
}

fn start_streams(triangle: &Triangle, length: Duration) -> Result<Vec<UdpStream>> {
    let mut streams = Vec::new();
    for vip in VIP.both() {
        for source in client_addresses(triangle, vip) {
            streams.push(triangle.testbed.start_udp_stream(&UdpStreamOptions {
                target: socket_address(vip, UDP_ECHO_PORT),
                rate: 200,
                length,
                source: Some(source),
                source_port: 0,
            })?);
        }
    }
    Ok(streams)
}

fn check_streams(streams: Vec<UdpStream>) -> Result<()> {
    for stream in streams {
        let report = stream.finish()?;
        ensure!(report.lost == 0 && report.duplicates == 0, "{report:?}");
    }
    Ok(())
}

/// Have the maps grown by so much, and is nothing left of the growth?
fn check_sizes(triangle: &Triangle, machine: &str, percent: u32) -> Result<()> {
    let maps = triangle.testbed.maps_dir(triangle.testbed.machine(machine)?);
    let entries = |name| anyhow::Ok(MapInfo::from_pin(maps.join(name))?.max_entries());
    let services = 16_384 + 16_384 * percent / 100;
    for name in ["SERVICES", "VIPS", "SERVICE_STATS", "NEW_FLOWS"] {
        ensure!(entries(name)? == services, "{machine} {name}: {}", entries(name)?);
    }
    ensure!(!maps.join("next").exists() && !maps.join("switch").exists(), "{machine}: copies are left");
    Ok(())
}

/// How far the growth is.
fn moment(triangle: &Triangle, machine: &str) -> Result<&'static str> {
    let maps = triangle.testbed.maps_dir(triangle.testbed.machine(machine)?);
    Ok(match (maps.join("next").exists(), maps.join("switch").exists()) {
        (true, _) => "while it copied",
        (_, true) => "while it switched",
        _ => "before or after",
    })
}

fn wait_for_moment(triangle: &Triangle, machine: &str, wanted: &str) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(10);
    while moment(triangle, machine)? != wanted {
        ensure!(Instant::now() < deadline, "{machine} was never seen {wanted}");
        thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

/// Runs `act` while connections are held and datagrams come, of which node 1 has some by its tables alone.
fn with_traffic(length: Duration, act: impl FnOnce(&mut Triangle) -> Result<()>) -> Result<()> {
    let first = service(EndpointState::Ready);
    run_with_diagnostics(&mut Triangle::start(Config::l3(), &[first])?, |triangle| {
        let mut held = HeldConnections::open(triangle)?;
        let streams = start_streams(triangle, length)?;
        triangle.write_objects(&[service(EndpointState::Terminating)])?;
        thread::sleep(Duration::from_secs(1));
        held.check_all_answer("with node 1 draining")?;
        let start = Instant::now();
        act(triangle)?;
        ensure!(start.elapsed() < length, "the streams were over after {length:?}");
        held.check_all_answer("with larger maps")?;
        check_streams(streams)
    })
}

#[test]
fn maps_grow_under_traffic() -> Result<()> {
    with_traffic(Duration::from_secs(14), |triangle| {
        for name in triangle.agent_names() {
            let generation =
                triangle.testbed.agent_status(triangle.testbed.machine(&name)?)?["generation"].clone();
            triangle.agent(&name)?.kill()?;
            let start = Instant::now();
            start_with(triangle, &name, 50)?;
            triangle.wait_ready(&name)?;
            println!("{name}: ready with larger maps after {:?}", start.elapsed());
            let after = triangle.testbed.agent_status(triangle.testbed.machine(&name)?)?;
            ensure!(after["generation"] == generation, "{name} wrote again: {generation} {after}");
            check_sizes(triangle, &name, 50)?;
        }
        Ok(())
    })
}

#[test]
fn an_agent_killed_while_maps_grow_goes_on() -> Result<()> {
    const ROUNDS: u32 = 20;
    with_traffic(Duration::from_secs(50), |triangle| {
        // From when the first map is made to after the last link is switched.
        for (name, step) in [("node1", Duration::from_millis(40)), ("director1", Duration::from_millis(10))] {
            let mut moments = BTreeMap::<_, u32>::new();
            for round in 1..=ROUNDS {
                triangle.agent(name)?.kill()?;
                start_with(triangle, name, round)?;
                wait_for_moment(triangle, name, "while it copied")?;
                thread::sleep(step * (round - 1));
                triangle.agent(name)?.kill()?;
                *moments.entry(moment(triangle, name)?).or_default() += 1;
            }
            println!("{name}: killed {moments:?}");
            ensure!(moments.contains_key("while it copied"), "{name}: never while it copied");
            start_with(triangle, name, ROUNDS + 5)?;
            triangle.wait_ready(name)?;
            check_sizes(triangle, name, ROUNDS + 5)?;
        }
        Ok(())
    })
}

/// The second interface has no native XDP: the first has the new programs by then.
#[test]
fn a_growth_that_cannot_be_ended_is_ended_by_the_next_start() -> Result<()> {
    with_traffic(Duration::from_secs(20), |triangle| {
        for name in ["node1", "director1"] {
            triangle.agent(name)?.kill()?;
            let mut arguments = larger(50);
            arguments.extend(["--interface", "lo"].map(String::from));
            triangle.start_agent(name, &arguments.iter().map(String::as_str).collect::<Vec<_>>())?;
            let status = triangle.agent(name)?.wait(Duration::from_secs(10))?;
            ensure!(!status.success(), "{name}: {status}");
            let moment = moment(triangle, name)?;
            ensure!(moment == "while it switched", "{name}: it failed {moment}");
            thread::sleep(Duration::from_secs(1));
            start_with(triangle, name, 50)?;
            triangle.wait_ready(name)?;
            check_sizes(triangle, name, 50)?;
        }
        Ok(())
    })
}
