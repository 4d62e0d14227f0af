//! Maps of the layout that the release before this one had: a start takes them over under traffic.

mod common;
mod former;

use std::{
    collections::{BTreeMap, BTreeSet},
    thread,
    time::Duration,
};

use anyhow::{Result, ensure};
use common::{
    pods_of_clients,
    remaking::{self, moment, wait_for_moment, with_traffic},
    wait_at_most,
};
use lb_testbed::{Config, EndpointState, HTTP_PORT, PortSpec, Protocol, ServiceSpec, Triangle};
use serde_json::json;

const STICKY_PORT: u16 = 8081;

/// Slabs that the test copies slot by slot.
fn config() -> Config {
    let agent_args = ["--ring-slots", "65536", "--history-slots", "65536"].map(str::to_owned).into();
    Config { agent_args, ..Config::l3() }
}

/// Of one Pod, clients with affinity know it alone.
fn sticky(pods: &[&str]) -> ServiceSpec {
    let ports = vec![PortSpec::new("sticky", Protocol::Tcp, STICKY_PORT, HTTP_PORT)];
    ServiceSpec::new("sticky", ports).field("sessionAffinity", json!("ClientIP")).pods(pods)
}

/// Replaces a machine's agent, and its programs, by those of the former release.
fn install_former(triangle: &mut Triangle, machine: &str) -> Result<()> {
    triangle.agent(machine)?.kill()?;
    former::install(&triangle.testbed, triangle.testbed.machine(machine)?)
}

fn has_former_maps(triangle: &Triangle, machine: &str) -> Result<bool> {
    Ok(former::maps_dir(&triangle.testbed, triangle.testbed.machine(machine)?).exists())
}

fn start_new(triangle: &mut Triangle, machine: &str) -> Result<()> {
    triangle.start_agent(machine, &[])?;
    triangle.wait_ready(machine)?;
    ensure!(!has_former_maps(triangle, machine)?, "{machine}: former maps are left");
    ensure!(moment(triangle, machine)? == "before or after", "{machine}: copies are left");
    Ok(())
}

#[test]
fn a_start_takes_over_the_maps_of_the_former_layout_under_traffic() -> Result<()> {
    let one = sticky(&["pod2_1"]);
    with_traffic(config(), &[one], Duration::from_secs(20), |triangle, held| {
        let before = pods_of_clients(triangle, STICKY_PORT)?;
        let names = triangle.agent_names();
        names.iter().try_for_each(|name| install_former(triangle, name))?;
        held.check_all_answer("with the former release")?;
        for name in &names {
            let packets = former::count_packets(&triangle.testbed, triangle.testbed.machine(name)?)?;
            ensure!(packets > 0, "{name}: no packet has come to the former programs");
        }
        for name in &names {
            start_new(triangle, name)?;
            held.check_all_answer(&format!("with {name} upgraded"))?;
        }
        // With two Pods, a client that is not known goes to either.
        let services = [remaking::service(EndpointState::Terminating), sticky(&["pod2_1", "pod2_2"])];
        triangle.write_objects(&services)?;
        wait_at_most(Duration::from_secs(5), "two Pods on node2", || {
            let backends =
                triangle.testbed.run_trigon_json(triangle.testbed.machine("node2")?, &["services"])?;
            Ok(backends.to_string().contains("\"weight\":2"))
        })?;
        let after = pods_of_clients(triangle, STICKY_PORT)?;
        ensure!(after == before, "{before:?} became {after:?}");
        ensure!(BTreeSet::from_iter(after.into_values()).len() == 1, "not one Pod");
        Ok(())
    })
}

#[test]
fn an_agent_killed_while_it_takes_over_the_former_layout_goes_on() -> Result<()> {
    const ROUNDS: u32 = 10;
    with_traffic(config(), &[], Duration::from_secs(60), |triangle, _| {
        // From when the first map is made to after the last link is switched.
        for (name, step) in [("node1", Duration::from_millis(80)), ("director1", Duration::from_millis(60))] {
            let mut moments = BTreeMap::<_, u32>::new();
            for round in 0..ROUNDS {
                if moment(triangle, name)? == "while it switched" {
                    start_new(triangle, name)?;
                }
                if !has_former_maps(triangle, name)? {
                    install_former(triangle, name)?;
                }
                triangle.start_agent(name, &[])?;
                wait_for_moment(triangle, name, "while it copied")?;
                thread::sleep(step * round);
                triangle.agent(name)?.kill()?;
                *moments.entry(moment(triangle, name)?).or_default() += 1;
            }
            println!("{name}: killed {moments:?}");
            ensure!(moments.contains_key("while it copied"), "{name}: never while it copied");
            start_new(triangle, name)?;
        }
        Ok(())
    })
}

/// The second interface has no native XDP: the first has the new programs by then.
#[test]
fn a_takeover_of_the_former_layout_that_cannot_be_ended_is_ended_by_the_next_start() -> Result<()> {
    with_traffic(config(), &[], Duration::from_secs(20), |triangle, held| {
        for name in ["node1", "director1"] {
            install_former(triangle, name)?;
            triangle.start_agent(name, &["--interface", "lo"])?;
            let status = triangle.agent(name)?.wait(Duration::from_secs(10))?;
            ensure!(!status.success(), "{name}: {status}");
            let moment = moment(triangle, name)?;
            ensure!(moment == "while it switched", "{name}: it failed {moment}");
            held.check_all_answer("half way")?;
            start_new(triangle, name)?;
        }
        Ok(())
    })
}
