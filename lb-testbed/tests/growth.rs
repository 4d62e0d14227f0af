//! Maps that are asked to be larger at a restart: they grow under traffic, and keep what is in them.

mod common;

use std::{
    collections::BTreeMap,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use aya::maps::MapInfo;
use common::remaking::{self, moment, wait_for_moment};
use lb_testbed::{Config, Triangle};

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

fn with_traffic(length: Duration, act: impl FnOnce(&mut Triangle) -> Result<()>) -> Result<()> {
    remaking::with_traffic(Config::l3(), &[], length, |triangle, _| act(triangle))
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
