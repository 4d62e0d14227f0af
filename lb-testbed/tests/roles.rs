//! Other roles and surroundings: nodes that are directors, servers without an agent, Pods in their node's network,
//! Pods that leave checksums to the device, interfaces without native XDP.

mod common;

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use common::{
    held::HeldConnections,
    round::Round,
    run_with_diagnostics, socket_address,
    streams::{check_nothing_lost, start_streams},
    wait_for_backends,
};
use lb_testbed::{
    Config, DOWNLOAD_BYTES, DirectorCounters, NodeRole, Pod, ServiceSpec, TCP_ECHO_PORT, Triangle,
    UDP_ECHO_PORT, VIP,
};
use serde_json::json;

/// Every node is a director too: it delivers some packets to its own Pods and forwards the others.
fn check_nodes_as_directors(config: Config) -> Result<()> {
    let config = Config { directors: 0, node_role: NodeRole::Both, ..config };
    run_with_diagnostics(&mut Triangle::start(config, &[ServiceSpec::with_all_ports("web")])?, |triangle| {
        Round { returns_directly: false, ..Round::of_all_pods(triangle) }.run(triangle)?;
        for node in triangle.testbed.nodes() {
            let verdicts = triangle.testbed.read_verdicts(node)?;
            let forwarded = verdicts["forward_l2"] + verdicts["forward_gue"];
            println!("{}: delivered {}, sent on {forwarded}", node.name, verdicts["deliver"]);
            ensure!(verdicts["deliver"] > 0 && forwarded > 0, "{verdicts:?}");
        }
        Ok(())
    })
}

#[test]
fn nodes_that_are_directors_deliver_and_forward_over_a_router() -> Result<()> {
    check_nodes_as_directors(Config::l3())
}

#[test]
fn nodes_that_are_directors_deliver_and_forward_on_one_link() -> Result<()> {
    check_nodes_as_directors(Config::l2())
}

/// All machines that do not have this role get it too, one after the other, while all flows go on.
fn check_role_is_added(config: Config, delivery: &str, role: &'static str) -> Result<()> {
    const LENGTH: Duration = Duration::from_secs(8);
    let service = ServiceSpec::with_all_ports("web").delivery(delivery);
    run_with_diagnostics(&mut Triangle::start(config, &[service])?, |triangle| {
        let mut held = HeldConnections::open(triangle)?;
        let streams = start_streams(triangle, 500, LENGTH)?;
        let start = Instant::now();
        let others = triangle.testbed.machines().iter().filter(|machine| machine.roles != Some(role));
        let names: Vec<_> = others.map(|machine| machine.name.clone()).collect();
        for name in names {
            triangle.agent(&name)?.kill()?;
            triangle.start_agent(&name, &["--role", role])?;
            triangle.wait_ready(&name)?;
            let status = triangle.testbed.agent_status(triangle.testbed.machine(&name)?)?;
            ensure!(status["roles"] == json!(["director", "node"]), "{status}");
        }
        ensure!(start.elapsed() < LENGTH, "the streams were over after {LENGTH:?}");
        let count = streams.len();
        check_nothing_lost(streams)?;
        println!("{delivery}: 0 of the datagrams of {count} streams were lost");
        held.check_all_answer(&format!("with role {role} everywhere")).map(drop)
    })
}

#[test]
fn nodes_that_become_directors_lose_nothing_over_a_router() -> Result<()> {
    check_role_is_added(Config::l3(), "gue", "director")
}

#[test]
fn nodes_that_become_directors_lose_nothing_on_one_link() -> Result<()> {
    check_role_is_added(Config::l2(), "l2", "director")
}

#[test]
fn directors_that_become_nodes_lose_nothing_over_a_router() -> Result<()> {
    check_role_is_added(Config::l3(), "gue", "node")
}

#[test]
fn directors_that_become_nodes_lose_nothing_on_one_link() -> Result<()> {
    check_role_is_added(Config::l2(), "l2", "node")
}

fn host_pods(triangle: &Triangle, names: &[&str]) -> Result<Vec<Pod>> {
    let testbed = &triangle.testbed;
    names.iter().map(|name| Ok(testbed.host_pod(testbed.machine(name)?))).collect()
}

#[test]
fn bare_servers_keep_their_connections_when_another_one_comes() -> Result<()> {
    let config = Config { node_role: NodeRole::Bare, pods_per_node: 0, ..Config::l2() };
    let (two, three) = (&["node1", "node2"][..], &["node1", "node2", "node3"][..]);
    // No health checks: their answers would be counted as replies that pass the directors.
    let bare = |servers| ServiceSpec::bare("bare", servers).health_check("none");
    run_with_diagnostics(&mut Triangle::start(config, &[bare(two)])?, |triangle| {
        let round = |pods| Round { http: 8080, pods, returns_directly: true };
        round(host_pods(triangle, two)?).run(triangle)?;
        let mut held = HeldConnections::open(triangle)?;
        triangle.write_objects(&[bare(three)])?;
        wait_for_backends(triangle, three.len())?;
        held.check_all_answer("with a third bare server")?;
        round(host_pods(triangle, three)?).run(triangle)
    })
}

#[test]
fn pods_in_the_network_of_their_node_are_served() -> Result<()> {
    let config = Config { pods_per_node: 0, nodes: 2, ..Config::l3() };
    let service = ServiceSpec::with_all_ports("host").pods(&["node1", "node2"]);
    run_with_diagnostics(&mut Triangle::start(config, &[service])?, |triangle| {
        let pods = host_pods(triangle, &["node1", "node2"])?;
        let mut servers = Vec::new();
        for pod in &pods {
            servers.push(triangle.testbed.start_http(pod)?);
            servers.push(triangle.testbed.start_tcp_echo(pod, TCP_ECHO_PORT)?);
            servers.push(triangle.testbed.start_udp_echo(pod, UDP_ECHO_PORT)?);
        }
        Round { pods, ..Round::of_all_pods(triangle) }.run(triangle)
    })
}

#[test]
fn generic_xdp_works_and_is_reported() -> Result<()> {
    let agent_args = ["--xdp-mode", "generic"].map(str::to_owned).into();
    let config = Config { agent_args, ..Config::l3() };
    run_with_diagnostics(&mut Triangle::start(config, &[ServiceSpec::with_all_ports("web")])?, |triangle| {
        Round::of_all_pods(triangle).run(triangle)?;
        for machine in triangle.testbed.machines() {
            let status = triangle.testbed.agent_status(machine)?;
            ensure!(status["interfaces"][0]["xdp"] == "generic", "{status}");
            let warnings = status["warnings"].as_array().context("no warnings")?;
            ensure!(warnings.iter().any(|warning| warning.to_string().contains("generic")), "{status}");
        }
        Ok(())
    })
}

#[test]
fn downloads_are_intact_with_offload_in_pods() -> Result<()> {
    let config = Config { pod_offload: true, ..Config::l3() };
    run_with_diagnostics(&mut Triangle::start(config, &[ServiceSpec::with_all_ports("web")])?, |triangle| {
        let counters = DirectorCounters::attach(&triangle.testbed)?;
        for vip in VIP.both() {
            counters.reset()?;
            let length = triangle.testbed.get_download(socket_address(vip, 80))?;
            ensure!(length == DOWNLOAD_BYTES, "{length} bytes");
            let count = counters.read()?;
            println!("{vip}: {length} bytes downloaded, {} by the directors", count.bytes);
            ensure!(count.reply_packets == 0, "{count:?}");
            ensure!(
                count.bytes < length / 5,
                "the directors carried a fifth of the download or more: {count:?}"
            );
        }
        Round::of_all_pods(triangle).run(triangle)
    })
}
