//! What was known of a service is gone with it, before another service has its id.

mod common;

use std::{process::Command, time::Duration};

use anyhow::{Context, Result, ensure};
use common::{run_with_diagnostics, socket_address, wait_at_most};
use lb_testbed::{Config, HTTP_PORT, PortSpec, Protocol, ServiceSpec, Triangle, VIP, run};
use serde_json::Value;

/// Ids rest for one or two seconds, and the tables are swept.
const PATIENCE: Duration = Duration::from_secs(10);
const REQUESTS: u64 = 20;
const FLOW_TABLES: [&str; 2] = ["NODE_FLOWS", "NODE_REPLIES"];
const NODES: [&str; 2] = ["node1", "node2"];

fn config() -> Config {
    // All services have the same id: there is no other.
    let agent_args = ["--max-services", "1"].map(str::to_owned).into();
    Config { directors: 1, nodes: 2, agent_args, ..Config::l3() }
}

const BEFORE: u16 = 80;
const AFTER: u16 = 81;

/// All services have the same endpoints, and each a port of its own.
fn service(port: u16) -> ServiceSpec {
    let ports = vec![PortSpec::new("http", Protocol::Tcp, port, HTTP_PORT)];
    ServiceSpec::new(&format!("on-{port}"), ports).vips([VIP.v4.into()])
}

/// Flows and replies that a node knows.
fn count_flows(triangle: &Triangle, node: &str) -> Result<usize> {
    let pins = triangle.testbed.maps_dir(triangle.testbed.machine(node)?);
    let count = |table: &&str| -> Result<usize> {
        let mut command = Command::new("bpftool");
        command.args(["-j", "map", "dump", "pinned"]).arg(pins.join(table));
        let entries: Value = serde_json::from_str(&run(command, "")?)?;
        entries.as_array().map(Vec::len).with_context(|| format!("{table} of {node}: {entries}"))
    };
    FLOW_TABLES.iter().map(count).sum()
}

fn count_all_flows(triangle: &Triangle) -> Result<usize> {
    NODES.iter().map(|node| count_flows(triangle, node)).sum()
}

/// Packets of all services, by what every agent says.
fn count_packets(triangle: &Triangle) -> Result<u64> {
    let mut sum = 0;
    for name in triangle.agent_names() {
        let listed = triangle.testbed.run_trigon_json(triangle.testbed.machine(&name)?, &["services"])?;
        let rows = listed.as_array().with_context(|| format!("services of {name}: {listed}"))?;
        let packets = |row: &Value| row["packets"].as_u64().with_context(|| format!("packets in {row}"));
        sum += rows.iter().map(packets).sum::<Result<u64>>()?;
    }
    Ok(sum)
}

fn send_requests(triangle: &Triangle, port: u16) -> Result<()> {
    let answers = triangle.testbed.send_requests(socket_address(VIP.v4.into(), port), REQUESTS)?;
    ensure!(answers.all_answered(), "{answers:?}");
    let (flows, packets) = (count_all_flows(triangle)?, count_packets(triangle)?);
    ensure!(flows as u64 >= 2 * REQUESTS && packets >= REQUESTS, "{flows} flows, {packets} packets");
    Ok(())
}

/// Seen once: a new service with the 43 packets of one that had been deleted.
#[test]
fn a_new_service_has_no_flows_and_no_packets_of_the_one_before_it() -> Result<()> {
    run_with_diagnostics(&mut Triangle::start(config(), &[service(BEFORE)])?, |triangle| {
        send_requests(triangle, BEFORE)?;
        triangle.write_objects(&[])?;
        wait_at_most(PATIENCE, "flows to be forgotten", || Ok(count_all_flows(triangle)? == 0))?;
        triangle.write_objects(&[service(AFTER)])?;
        wait_at_most(PATIENCE, "the other service", || is_proven(triangle))?;
        ensure!(count_packets(triangle)? == 0, "the packets of its predecessor");
        send_requests(triangle, AFTER)
    })
}

/// The next agents find out whose flows there are.
#[test]
fn agents_that_are_killed_before_their_sweeps_are_done_leave_no_flows_behind() -> Result<()> {
    run_with_diagnostics(&mut Triangle::start(config(), &[service(BEFORE)])?, |triangle| {
        send_requests(triangle, BEFORE)?;
        for name in triangle.agent_names() {
            triangle.agent(&name)?.kill()?;
        }
        triangle.write_objects(&[service(AFTER)])?;
        for name in triangle.agent_names() {
            triangle.start_agent(&name, &[])?;
        }
        wait_at_most(PATIENCE, "the other service", || is_proven(triangle))?;
        wait_at_most(PATIENCE, "flows to be forgotten", || Ok(count_all_flows(triangle)? == 0))?;
        ensure!(count_packets(triangle)? == 0, "the packets of its predecessor");
        send_requests(triangle, AFTER)
    })
}

/// Is a service programmed everywhere?
fn is_proven(triangle: &Triangle) -> Result<bool> {
    for name in triangle.agent_names() {
        let status = triangle.testbed.agent_status(triangle.testbed.machine(&name)?)?;
        if status["services"]["good"] != 1 || status["ready"] != true {
            return Ok(false);
        }
    }
    Ok(true)
}
