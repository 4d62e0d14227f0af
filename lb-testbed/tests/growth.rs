//! Maps that are asked to be larger at a restart: they grow under traffic, and keep what is in them.

mod common;

use std::{
    collections::BTreeMap,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use aya::maps::MapInfo;
use common::{
    held::HeldConnections,
    remaking::{self, moment, wait_for_moment},
    run_with_diagnostics, wait_for_backends,
};
use lb_testbed::{Config, NodeRole, ServiceSpec, Triangle};

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

/// Maps, and which of these sizes they have.
const MAPS: [(&str, &str); 5] = [
    ("SERVICES", "--max-services"),
    ("VIPS", "--max-services"),
    ("SERVICE_STATS", "--max-services"),
    ("NEW_FLOWS", "--max-services"),
    ("BARE_FLOWS", "--bare-flows"),
];

/// The sizes `percent` larger than those.
fn larger(percent: u32) -> impl Iterator<Item = (&'static str, u32)> {
    let larger = move |size: u32| size + (u64::from(size) * u64::from(percent) / 100) as u32;
    SIZES.into_iter().map(move |(name, size)| (name, larger(size)))
}

/// The arguments for them.
fn size_arguments(percent: u32) -> Vec<String> {
    larger(percent).flat_map(|(name, size)| [name.to_owned(), size.to_string()]).collect()
}

fn start_with(triangle: &mut Triangle, machine: &str, percent: u32) -> Result<()> {
    let arguments = size_arguments(percent);
    triangle.start_agent(machine, &arguments.iter().map(String::as_str).collect::<Vec<_>>())
}

/// Have the maps grown by so much, and is nothing left of the growth?
fn check_sizes(triangle: &Triangle, machine: &str, percent: u32) -> Result<()> {
    let maps = triangle.testbed.maps_dir(triangle.testbed.machine(machine)?);
    let sizes: BTreeMap<_, _> = larger(percent).collect();
    for (map, size) in MAPS {
        let entries = MapInfo::from_pin(maps.join(map))?.max_entries();
        ensure!(entries == sizes[size], "{machine} {map}: {entries}");
    }
    ensure!(!maps.join("next").exists() && !maps.join("switch").exists(), "{machine}: copies are left");
    Ok(())
}

/// Restarts an agent with larger maps.
fn grow(triangle: &mut Triangle, machine: &str, percent: u32) -> Result<()> {
    triangle.agent(machine)?.kill()?;
    let start = Instant::now();
    start_with(triangle, machine, percent)?;
    triangle.wait_ready(machine)?;
    println!("{machine}: ready with larger maps after {:?}", start.elapsed());
    check_sizes(triangle, machine, percent)
}

fn with_traffic(length: Duration, act: impl FnOnce(&mut Triangle) -> Result<()>) -> Result<()> {
    remaking::with_traffic(Config::l3(), &[], length, |triangle, _| act(triangle))
}

#[test]
fn maps_grow_under_traffic() -> Result<()> {
    with_traffic(Duration::from_secs(14), |triangle| {
        for name in triangle.agent_names() {
            // The first start of a node writes who had its slots if it was out. The next finds that there.
            grow(triangle, &name, 25)?;
            let generation =
                triangle.testbed.agent_status(triangle.testbed.machine(&name)?)?["generation"].clone();
            grow(triangle, &name, 50)?;
            let after = triangle.testbed.agent_status(triangle.testbed.machine(&name)?)?;
            ensure!(after["generation"] == generation, "{name} wrote again: {generation} {after}");
        }
        Ok(())
    })
}

/// Bare servers cannot be asked whose a flow is: where the third one took a slot, the directors know it alone.
#[test]
fn directors_remember_the_flows_to_bare_servers_when_maps_grow() -> Result<()> {
    let config = Config { node_role: NodeRole::Bare, pods_per_node: 0, ..Config::l2() };
    let bare = |servers: &[&str]| ServiceSpec::bare("bare", servers).health_check("none");
    run_with_diagnostics(&mut Triangle::start(config, &[bare(&["node1", "node2"])])?, |triangle| {
        let mut held = HeldConnections::open(triangle)?;
        triangle.write_objects(&[bare(&["node1", "node2", "node3"])])?;
        wait_for_backends(triangle, 3)?;
        for name in triangle.agent_names() {
            grow(triangle, &name, 50)?;
            held.check_all_answer(&format!("with larger maps on {name}"))?;
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
            let mut arguments = size_arguments(50);
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
