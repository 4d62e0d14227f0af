//! Bare servers are checked at the VIP, by the way that traffic takes: who does
//! not serve leaves the rings, whatever else it does.

mod common;

use std::{collections::BTreeSet, net::IpAddr, time::Duration};

use anyhow::{Context, Result, ensure};
use common::{TOOL, run_with_diagnostics, socket_address, wait_at_most};
use lb_testbed::{Config, HTTP_PORT, Layer, Machine, NodeRole, Process, ServiceSpec, Triangle, VIP};

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

/// For which services, `tcp 192.0.2.10:8080`, a director takes this server for dead.
fn dead_for(triangle: &Triangle, director: &Machine, server: &str) -> Result<BTreeSet<String>> {
    let address = triangle.testbed.machine(server)?.addresses();
    let backends = triangle.testbed.trigon_json(director, &["backends"])?;
    let its = backends.as_array().context("no list")?.iter().filter(|row| {
        let row: Option<IpAddr> = row["address"].as_str().and_then(|text| text.parse().ok());
        row.is_some_and(|row| address.contains(&row))
    });
    let checks: Vec<_> = its.flat_map(|row| row["health"].as_array().cloned().unwrap_or_default()).collect();
    // Three ports of two VIPs, all of which were asked.
    ensure!(checks.len() == 6 && checks.iter().all(|check| check["asked"] != 0), "{backends}");
    let dead = checks.iter().filter(|check| check["alive"] == false);
    Ok(dead.filter_map(|check| check["service"].as_str().map(ToOwned::to_owned)).collect())
}

fn all_say(triangle: &Triangle, server: &str, is_right: impl Fn(&BTreeSet<String>) -> bool) -> Result<()> {
    for director in triangle.testbed.directors() {
        let what = format!("what {} says of {server}", director.name);
        let after = wait_at_most(PATIENCE, &what, || Ok(is_right(&dead_for(triangle, director, server)?)))?;
        println!("{what}: after {after:?}");
    }
    Ok(())
}

/// Requests to the HTTP port are answered by these, and by all of them.
fn answer(triangle: &Triangle, servers: &[&str]) -> Result<()> {
    for vip in VIP.both() {
        let answers = triangle.testbed.requests(socket_address(vip, HTTP_PORT), 10)?;
        ensure!(answers.all_answered(), "{answers:?}");
        let answering: Vec<_> = answers.per_pod.keys().map(String::as_str).collect();
        ensure!(answering == servers, "{answering:?}, not {servers:?}");
    }
    Ok(())
}

/// The problems of the first director, which is ready all the same.
fn problems(triangle: &Triangle) -> Result<Vec<String>> {
    let status = triangle.testbed.status(triangle.testbed.directors()[0])?;
    ensure!(status["ready"] == true, "{status}");
    Ok(serde_json::from_value(status["problems"].clone())?)
}

fn all_is_well(triangle: &Triangle) -> Result<()> {
    SERVERS.iter().try_for_each(|server| all_say(triangle, server, BTreeSet::is_empty))?;
    let problems = problems(triangle)?;
    ensure!(problems.is_empty(), "{problems:?}");
    answer(triangle, &SERVERS)
}

/// The TCP ports, but not the UDP port: the machine answers echo requests.
fn is_dead_by_tcp(dead: &BTreeSet<String>) -> bool {
    dead.len() == 4 && dead.iter().all(|service| service.starts_with("tcp"))
}

/// The server dies, and only the other one gets new connections; both die, and
/// nobody is sure; they return.
fn dies_and_returns(layer: Layer, delivery: &str) -> Result<()> {
    let service = ServiceSpec::bare("bare", &SERVERS).delivery(delivery);
    run_with_diagnostics(&mut Triangle::start(config(layer), &[service])?, |triangle| {
        let _decapsulators = if delivery == "ipip" { decapsulators(triangle)? } else { Vec::new() };
        all_is_well(triangle)?;
        triangle.kill_pod("node1")?;
        all_say(triangle, "node1", is_dead_by_tcp)?;
        answer(triangle, &["node2"])?;
        let said = problems(triangle)?;
        let is_told = |problem: &String| problem.starts_with("bare server ") && problem.contains(":8080:");
        ensure!(said.iter().any(is_told), "{said:?}");
        triangle.kill_pod("node2")?;
        all_say(triangle, "node2", is_dead_by_tcp)?;
        let said = problems(triangle)?;
        let ignored = said.iter().filter(|problem| problem.contains("none of its backends answers"));
        ensure!(ignored.count() == 4, "{said:?}");
        triangle.revive_bare("node1")?;
        all_say(triangle, "node1", BTreeSet::is_empty)?;
        answer(triangle, &["node1"])?;
        triangle.revive_bare("node2")?;
        all_is_well(triangle)
    })
}

/// What servers need to be reached by ipip.
fn decapsulators(triangle: &Triangle) -> Result<Vec<Process>> {
    let spawn = |server: &&str| {
        let namespace = &triangle.testbed.machine(server)?.namespace;
        namespace.spawn(&format!("{server}.decapsulate"), TOOL, &["decapsulate"])
    };
    SERVERS.iter().map(spawn).collect()
}

#[test]
fn a_server_on_the_same_link_that_takes_no_connections_is_dead() -> Result<()> {
    dies_and_returns(Layer::L2, "l2")
}

#[test]
fn a_server_behind_a_router_that_takes_no_connections_is_dead() -> Result<()> {
    dies_and_returns(Layer::L3, "ipip")
}

/// The tcp-echo port greets in other words than HTTP, so it has a Service of its own.
#[test]
fn a_server_is_dead_whose_answer_is_not_good() -> Result<()> {
    let http = |path: &str| {
        let mut service = ServiceSpec::bare("bare", &SERVERS).health_check(&format!("http:{path}"));
        service.ports.retain(|port| port.name == "http");
        service
    };
    let config = config(Layer::L2);
    run_with_diagnostics(&mut Triangle::start(config, &[http("/")])?, |triangle| {
        let is_told = || Ok(problems(triangle)?.iter().any(|p| p.contains("none of its backends answers")));
        wait_at_most(PATIENCE, "both have been asked", || {
            let backends = triangle.testbed.trigon_json(triangle.testbed.directors()[0], &["backends"])?;
            let mut rows = backends.as_array().context("no list")?.iter();
            Ok(rows.all(|row| row["health"][0]["round_trip_microseconds"].is_u64()))
        })?;
        ensure!(problems(triangle)?.is_empty(), "{:?}", problems(triangle)?);
        // Not found on either of them.
        triangle.write(&[http("/nothing")])?;
        wait_at_most(PATIENCE, "a bad answer is noticed", is_told)?;
        answer(triangle, &SERVERS)?;
        triangle.write(&[http("/")])?;
        wait_at_most(PATIENCE, "a good answer is noticed", || Ok(problems(triangle)?.is_empty())).map(drop)
    })
}

#[test]
fn a_server_without_the_vip_is_dead_whatever_it_answers() -> Result<()> {
    let service = ServiceSpec::bare("bare", &SERVERS).health_check("icmp");
    run_with_diagnostics(&mut Triangle::start(config(Layer::L2), &[service])?, |triangle| {
        all_is_well(triangle)?;
        let namespace = &triangle.testbed.machine("node1")?.namespace;
        // It would send them to its router, and that to a director.
        namespace.sysctl(&[("ipv4/ip_forward", "0"), ("ipv6/conf/all/forwarding", "0")])?;
        let change = |what: &str| {
            namespace.ip_batch(
                &VIP.with_prefix_lengths(32, 128)
                    .map(|vip| format!("address {what} {vip} dev lo\n"))
                    .concat(),
            )
        };
        change("del")?;
        all_say(triangle, "node1", |dead| dead.len() == 6)?;
        answer(triangle, &["node2"])?;
        change("add")?;
        all_is_well(triangle)
    })
}

/// The route only gets a check to the program: any neighbour will do.
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
        // Long enough for everybody to be dead if this were wrong.
        std::thread::sleep(Duration::from_secs(1));
        all_is_well(triangle)?;
        triangle.kill_pod("node1")?;
        all_say(triangle, "node1", is_dead_by_tcp)?;
        all_say(triangle, "node2", BTreeSet::is_empty)
    })
}
