//! Directors check bare servers at the VIP, along the path of the traffic: a server that does not serve the VIP
//! leaves the rings, even if it answers at its own address.

mod common;

use std::{collections::BTreeSet, net::IpAddr, time::Duration};

use anyhow::{Context, Result, ensure};
use common::{TOOL, run_with_diagnostics, socket_address, wait_at_most};
use lb_testbed::{
    Config, HTTP_PORT, Layer, Machine, NodeRole, Process, ServiceSpec, Triangle, VIP,
    capabilities::agent_capabilities,
};

const PATIENCE: Duration = Duration::from_secs(8);
const SERVERS: [&str; 2] = ["node1", "node2"];

fn config(layer: Layer) -> Config {
    Config {
        layer,
        nodes: SERVERS.len(),
        node_role: NodeRole::Bare,
        pods_per_node: 0,
        agent_args: ["--check-interval", "200ms"].map(str::to_owned).into(),
        ..Config::default()
    }
}

/// The services, e.g. `tcp 192.0.2.10:8080`, for which a director holds this server to be dead.
fn dead_services(triangle: &Triangle, director: &Machine, server: &str) -> Result<BTreeSet<String>> {
    let address = triangle.testbed.machine(server)?.addresses();
    let backends = triangle.testbed.run_trigon_json(director, &["backends"])?;
    let server_rows = backends.as_array().context("no list")?.iter().filter(|row| {
        let row: Option<IpAddr> = row["address"].as_str().and_then(|text| text.parse().ok());
        row.is_some_and(|row| address.contains(&row))
    });
    let checks: Vec<_> =
        server_rows.flat_map(|row| row["health"].as_array().cloned().unwrap_or_default()).collect();
    // Three ports of two VIPs; each has been checked at least once.
    ensure!(checks.len() == 6 && checks.iter().all(|check| check["asked"] != 0), "{backends}");
    let dead = checks.iter().filter(|check| check["alive"] == false);
    Ok(dead.filter_map(|check| check["service"].as_str().map(ToOwned::to_owned)).collect())
}

fn wait_for_dead_services(
    triangle: &Triangle,
    server: &str,
    is_expected: impl Fn(&BTreeSet<String>) -> bool,
) -> Result<()> {
    for director in triangle.testbed.directors() {
        let what = format!("what {} says of {server}", director.name);
        let after =
            wait_at_most(PATIENCE, &what, || Ok(is_expected(&dead_services(triangle, director, server)?)))?;
        println!("{what}: after {after:?}");
    }
    Ok(())
}

/// Requests to the HTTP port are answered by exactly these servers.
fn check_answering_servers(triangle: &Triangle, servers: &[&str]) -> Result<()> {
    for vip in VIP.both() {
        let answers = triangle.testbed.send_requests(socket_address(vip, HTTP_PORT), 10)?;
        ensure!(answers.all_answered(), "{answers:?}");
        let answering: Vec<_> = answers.per_pod.keys().map(String::as_str).collect();
        ensure!(answering == servers, "{answering:?}, not {servers:?}");
    }
    Ok(())
}

/// The problems that the first director reports. They must not make it unready.
fn director_problems(triangle: &Triangle) -> Result<Vec<String>> {
    let status = triangle.testbed.agent_status(triangle.testbed.directors()[0])?;
    ensure!(status["ready"] == true, "{status}");
    Ok(serde_json::from_value(status["problems"].clone())?)
}

fn wait_until_all_are_alive(triangle: &Triangle) -> Result<()> {
    SERVERS.iter().try_for_each(|server| wait_for_dead_services(triangle, server, BTreeSet::is_empty))?;
    let problems = director_problems(triangle)?;
    ensure!(problems.is_empty(), "{problems:?}");
    check_answering_servers(triangle, &SERVERS)
}

/// Dead for the two TCP ports of both VIPs, but not for UDP: that check is an ICMP echo request, which the
/// machine still answers.
fn is_dead_by_tcp(dead: &BTreeSet<String>) -> bool {
    dead.len() == 4 && dead.iter().all(|service| service.starts_with("tcp"))
}

/// When one server dies, only the other one gets new connections. When both are dead, the first
/// director reports that none answers. Both are used again after they return.
fn check_servers_die_and_return(layer: Layer, delivery: &str) -> Result<()> {
    let service = ServiceSpec::bare("bare", &SERVERS).delivery(delivery);
    let config = Config { agent_capabilities: Some(agent_capabilities()?), ..config(layer) };
    run_with_diagnostics(&mut Triangle::start(config, &[service])?, |triangle| {
        let _decapsulators = if delivery == "ipip" { start_decapsulators(triangle)? } else { Vec::new() };
        wait_until_all_are_alive(triangle)?;
        triangle.kill_pod("node1")?;
        wait_for_dead_services(triangle, "node1", is_dead_by_tcp)?;
        check_answering_servers(triangle, &["node2"])?;
        let said = director_problems(triangle)?;
        let is_about_http_port =
            |problem: &String| problem.starts_with("bare server ") && problem.contains(":8080, ");
        ensure!(said.iter().any(is_about_http_port), "{said:?}");
        triangle.kill_pod("node2")?;
        wait_for_dead_services(triangle, "node2", is_dead_by_tcp)?;
        let said = director_problems(triangle)?;
        // One line for both ports in both families.
        let ignored: Vec<_> =
            said.iter().filter(|problem| problem.contains("none of its backends answers")).collect();
        ensure!(ignored.len() == 1 && ignored[0].contains(" and 1 more: "), "{said:?}");
        triangle.restart_bare_server("node1")?;
        wait_for_dead_services(triangle, "node1", BTreeSet::is_empty)?;
        check_answering_servers(triangle, &["node1"])?;
        triangle.restart_bare_server("node2")?;
        wait_until_all_are_alive(triangle)
    })
}

/// Starts the program that decapsulates ipip on each server.
fn start_decapsulators(triangle: &Triangle) -> Result<Vec<Process>> {
    let spawn = |server: &&str| {
        let namespace = &triangle.testbed.machine(server)?.namespace;
        namespace.spawn(&format!("{server}.decapsulate"), TOOL, &["decapsulate"])
    };
    SERVERS.iter().map(spawn).collect()
}

#[test]
fn a_server_on_the_same_link_that_takes_no_connections_is_dead() -> Result<()> {
    check_servers_die_and_return(Layer::L2, "l2")
}

#[test]
fn a_server_behind_a_router_that_takes_no_connections_is_dead() -> Result<()> {
    check_servers_die_and_return(Layer::L3, "ipip")
}

/// The tcp-echo port greets in other words than HTTP, so it has a Service of its own.
#[test]
fn a_server_with_a_bad_http_answer_is_dead() -> Result<()> {
    let http = |path: &str| {
        let mut service = ServiceSpec::bare("bare", &SERVERS).health_check(&format!("http:{path}"));
        service.ports.retain(|port| port.name == "http");
        service
    };
    let config = config(Layer::L2);
    run_with_diagnostics(&mut Triangle::start(config, &[http("/")])?, |triangle| {
        let is_reported =
            || Ok(director_problems(triangle)?.iter().any(|p| p.contains("none of its backends answers")));
        wait_at_most(PATIENCE, "both have been asked", || {
            let backends =
                triangle.testbed.run_trigon_json(triangle.testbed.directors()[0], &["backends"])?;
            let mut rows = backends.as_array().context("no list")?.iter();
            Ok(rows.all(|row| row["health"][0]["round_trip_microseconds"].is_u64()))
        })?;
        ensure!(director_problems(triangle)?.is_empty(), "{:?}", director_problems(triangle)?);
        // Both servers answer 404.
        triangle.write_objects(&[http("/nothing")])?;
        wait_at_most(PATIENCE, "a bad answer is noticed", is_reported)?;
        check_answering_servers(triangle, &SERVERS)?;
        triangle.write_objects(&[http("/")])?;
        wait_at_most(PATIENCE, "a good answer is noticed", || Ok(director_problems(triangle)?.is_empty()))
            .map(drop)
    })
}

#[test]
fn a_server_without_the_vip_is_dead_whatever_it_answers() -> Result<()> {
    let service = ServiceSpec::bare("bare", &SERVERS).health_check("icmp");
    run_with_diagnostics(&mut Triangle::start(config(Layer::L2), &[service])?, |triangle| {
        wait_until_all_are_alive(triangle)?;
        let namespace = &triangle.testbed.machine("node1")?.namespace;
        // With forwarding on, the node would send packets to the VIP to its router, and the router to a director.
        namespace.write_sysctls(&[("ipv4/ip_forward", "0"), ("ipv6/conf/all/forwarding", "0")])?;
        let change = |what: &str| {
            namespace.ip_batch(
                &VIP.with_prefix_lengths(32, 128)
                    .map(|vip| format!("address {what} {vip} dev lo\n"))
                    .concat(),
            )
        };
        change("del")?;
        wait_for_dead_services(triangle, "node1", |dead| dead.len() == 6)?;
        check_answering_servers(triangle, &["node2"])?;
        change("add")?;
        wait_until_all_are_alive(triangle)
    })
}

/// The route only brings a check to the eBPF program at the uplink's egress, which sends it to the server under
/// check; so any neighbour will do as next hop.
#[test]
fn the_route_to_the_vip_may_lead_to_any_neighbour() -> Result<()> {
    let config = Config { directors: 1, ..config(Layer::L2) };
    run_with_diagnostics(&mut Triangle::start(config, &[ServiceSpec::bare("bare", &SERVERS)])?, |triangle| {
        let director = triangle.testbed.directors()[0];
        let neighbour = triangle.testbed.machine("node2")?.addresses();
        let mut lines =
            director.gateway.both().map(|gateway| format!("route del default via {gateway}\n")).concat();
        for (vip, neighbour) in VIP.with_prefix_lengths(32, 128).into_iter().zip(neighbour) {
            lines += &format!("route add {vip} via {neighbour}\n");
        }
        director.namespace.ip_batch(&lines)?;
        // Five check intervals: long enough for failing checks to show as a dead server.
        std::thread::sleep(Duration::from_secs(1));
        wait_until_all_are_alive(triangle)?;
        triangle.kill_pod("node1")?;
        wait_for_dead_services(triangle, "node1", is_dead_by_tcp)?;
        wait_for_dead_services(triangle, "node2", BTreeSet::is_empty)
    })
}
