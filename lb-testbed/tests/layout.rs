//! Maps that another release has pinned: a start that cannot take them over says so and changes nothing.

mod common;

use std::{fs, path::Path, process::Command, time::Duration};

use anyhow::{Result, ensure};
use common::{held::HeldConnections, run_with_diagnostics};
use lb_testbed::{Config, ServiceSpec, Triangle, run};

const MACHINE: &str = "node1";

/// Starts the agent, which must end with exit code 1 and say all of this.
fn check_refused(triangle: &mut Triangle, parts: &[&str]) -> Result<()> {
    triangle.start_agent(MACHINE, &[])?;
    let agent = triangle.agent(MACHINE)?;
    let status = agent.wait(Duration::from_secs(10))?;
    let log = agent.log();
    let said = log.lines().last().unwrap_or_default();
    println!("{said}");
    ensure!(status.code() == Some(1), "{status}: {log}");
    ensure!(parts.iter().all(|part| said.contains(part)), "{parts:?} not in {said}");
    Ok(())
}

/// Pins a map of other values in the place of `pin`, which has to be away.
fn pin_other_map(pin: &Path) -> Result<()> {
    let mut command = Command::new("bpftool");
    command.args(["map", "create"]).arg(pin);
    command.args("type hash key 20 value 40 entries 1024 name OTHER".split(' '));
    run(command, "").map(drop)
}

#[test]
fn maps_of_another_layout_are_refused_and_go_on() -> Result<()> {
    let config = Config { directors: 1, nodes: 1, ..Config::l3() };
    run_with_diagnostics(&mut Triangle::start(config, &[ServiceSpec::with_all_ports("web")])?, |triangle| {
        let mut held = HeldConnections::open(triangle)?;
        let maps = triangle.testbed.maps_dir(triangle.testbed.machine(MACHINE)?);
        let old = maps.with_file_name("maps");
        triangle.agent(MACHINE)?.kill()?;

        fs::rename(&maps, &old)?;
        let other_layout = ["node1/maps: maps of another layout", "maps-2", "`trigon unload`"];
        check_refused(triangle, &other_layout)?;
        ensure!(!maps.exists(), "maps were made beside those of another layout");
        held.check_all_answer("with maps of another layout")?;
        fs::rename(&old, &maps)?;

        let (pin, aside) = (maps.join("SERVICES"), maps.join("ASIDE"));
        fs::rename(&pin, &aside)?;
        pin_other_map(&pin)?;
        let other_shape =
            ["maps-2/SERVICES: it is a Hash", "values of 40", "values of 44", "`trigon unload`"];
        check_refused(triangle, &other_shape)?;
        held.check_all_answer("with a map of another release")?;
        fs::remove_file(&pin)?;
        fs::rename(&aside, &pin)?;

        triangle.start_agent(MACHINE, &[])?;
        triangle.wait_ready(MACHINE)?;
        held.check_all_answer("taken over again").map(drop)
    })
}

#[test]
fn unload_removes_maps_of_any_layout() -> Result<()> {
    let config = Config { directors: 1, nodes: 1, ..Config::l3() };
    run_with_diagnostics(&mut Triangle::start(config, &[ServiceSpec::with_all_ports("web")])?, |triangle| {
        triangle.agent(MACHINE)?.kill()?;
        let machine = triangle.testbed.machine(MACHINE)?;
        let (pins, maps) = (triangle.testbed.pin_dir(machine), triangle.testbed.maps_dir(machine));
        for layout in ["maps", "maps-7"] {
            fs::create_dir(pins.join(layout))?;
        }
        fs::rename(maps.join("SERVICES"), pins.join("maps/SERVICES"))?;
        fs::rename(maps.join("VIPS"), pins.join("maps-7/VIPS"))?;
        let words = ["unload", "--pin-dir", &pins.to_string_lossy()];
        let said = triangle.testbed.run_trigon_json(machine, &words)?;
        ensure!(said["removed"] == true && !pins.exists(), "{said}");
        triangle.start_agent(MACHINE, &[])?;
        triangle.wait_ready(MACHINE)
    })
}
