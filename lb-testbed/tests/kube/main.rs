//! Objects from a Kubernetes API server, and what becomes of traffic while it is away.

#[path = "../common/mod.rs"]
mod common;
mod controller;
mod helm;
mod manifests;
mod many_agents;
mod refused;
mod reports;
mod rights;
mod service;
mod turns;

use std::{
    net::IpAddr,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use common::{
    held::HeldConnections,
    round::Round,
    run_with_diagnostics, socket_address,
    streams::{check_nothing_lost, start_streams},
    wait_at_most,
};
use lb_testbed::{
    Config, ObjectSource, ServiceSpec, Triangle, VIP,
    kubernetes::{Link, Programs},
};
use serde_json::{Value, json};

/// After the API server is back.
const PROMISED: Duration = Duration::from_secs(5);
/// For what is not promised.
const PATIENCE: Duration = Duration::from_secs(60);
const MINUTE: Duration = Duration::from_secs(60);

fn web() -> ServiceSpec {
    ServiceSpec::with_all_ports("web")
}

fn with_api_server(test: impl FnOnce(&mut Triangle) -> Result<()>) -> Result<()> {
    let _turn = turns::beside_others();
    run_with_api_server(test)
}

fn alone_with_api_server(test: impl FnOnce(&mut Triangle) -> Result<()>) -> Result<()> {
    let _turn = turns::alone();
    run_with_api_server(test)
}

fn run_with_api_server(test: impl FnOnce(&mut Triangle) -> Result<()>) -> Result<()> {
    let Some(programs) = Programs::find_or_skip()? else { return Ok(()) };
    let config = Config { source: ObjectSource::Kubernetes(programs), ..Config::l3() };
    run_with_diagnostics(&mut Triangle::start(config, &[web()])?, test)
}

fn statuses(triangle: &Triangle) -> Result<Vec<Value>> {
    triangle.testbed.machines().iter().map(|machine| triangle.testbed.agent_status(machine)).collect()
}

/// Waits until the status of every agent is as wanted; how long that took.
fn wait_for(
    triangle: &Triangle,
    patience: Duration,
    what: &str,
    is_so: impl Fn(&Value) -> bool,
) -> Result<Duration> {
    let took = wait_at_most(patience, what, || {
        // An agent that was just started may not answer yet.
        let statuses = statuses(triangle)?;
        ensure!(statuses.iter().all(&is_so), "{statuses:?}");
        Ok(true)
    })?;
    println!("{what}: after {took:?}");
    Ok(took)
}

/// The same for the agent of one machine, which may not answer yet.
fn wait_for_one(
    triangle: &Triangle,
    machine: &str,
    patience: Duration,
    what: &str,
    is_so: impl Fn(&Value) -> bool,
) -> Result<Duration> {
    let machine = triangle.testbed.machine(machine)?;
    wait_at_most(patience, what, || {
        let status = triangle.testbed.agent_status(machine)?;
        ensure!(is_so(&status), "{status}");
        Ok(true)
    })
}

fn is_well(status: &Value) -> bool {
    status["ready"] == true && status["problems"].as_array().is_some_and(Vec::is_empty)
}

fn has_problem(status: &Value, part: &str) -> bool {
    let problems = status["problems"].as_array().map(Vec::as_slice).unwrap_or_default();
    problems.iter().any(|problem| problem.as_str().is_some_and(|text| text.contains(part)))
}

fn has_warning(status: &Value, part: &str) -> bool {
    let warnings = status["warnings"].as_array().map(Vec::as_slice).unwrap_or_default();
    warnings.iter().any(|warning| warning.as_str().is_some_and(|text| text.contains(part)))
}

fn has_services(count: usize) -> impl Fn(&Value) -> bool {
    move |status| status["services"]["total"] == count && status["services"]["good"] == count
}

/// Only these Pods answer, all of them, by both families.
fn check_pods(triangle: &Triangle, pods: &[&str]) -> Result<()> {
    for vip in VIP.both() {
        let answers = triangle.testbed.send_requests(socket_address(vip, 80), 10)?;
        let answering: Vec<_> = answers.per_pod.keys().map(String::as_str).collect();
        ensure!(answers.all_answered() && answering == pods, "of {pods:?}, by {vip}: {answers:?}");
    }
    Ok(())
}

#[test]
fn what_is_applied_is_served_and_what_is_deleted_is_not() -> Result<()> {
    with_api_server(|triangle| {
        Round::of_all_pods(triangle).run(triangle)?;
        let place = statuses(triangle)?[0]["source"]["place"].clone();
        ensure!(place == "kube, https://198.51.100.1:6443", "{place}");

        triangle.write_objects(&[web().pods(&["pod1_1", "pod3_2"])])?;
        // Two nodes, each by both families.
        let has_two = |status: &Value| status["backends"]["total"] == 4 || status["roles"] == json!(["node"]);
        wait_for(triangle, PROMISED, "two Pods", |status| is_well(status) && has_two(status))?;
        check_pods(triangle, &["pod1_1", "pod3_2"])?;

        triangle
            .write_objects(&[web(), ServiceSpec::with_all_ports("other").vips(["192.0.2.11".parse()?])])?;
        wait_for(triangle, PROMISED, "a second Service", |status| {
            is_well(status) && has_services(9)(status)
        })?;
        triangle.write_objects(&[])?;
        wait_for(triangle, PROMISED, "no Service", |status| has_services(0)(status))?;
        let answers = triangle.testbed.send_requests(socket_address(VIP.v4.into(), 80), 1)?;
        ensure!(answers.answered == 0, "{answers:?}");
        Ok(())
    })
}

#[test]
fn nothing_is_lost_while_the_api_server_is_away() -> Result<()> {
    alone_with_api_server(|triangle| {
        let mut held = HeldConnections::open(triangle)?;
        let streams = start_streams(triangle, 500, Duration::from_secs(25))?;
        triangle.api_server()?.kill()?;
        wait_for(triangle, PATIENCE, "told that it is away", |status| {
            status["ready"] == true && status["degraded"] == true && has_problem(status, "is away since 20")
        })?;

        // Without it, an agent has what is pinned, and nothing to plan.
        for name in ["director1", "node1"] {
            triangle.agent(name)?.kill()?;
            triangle.start_agent(name, &[])?;
        }
        let started = |status: &Value| has_problem(status, "is away since 20");
        wait_for(triangle, PATIENCE, "two agents started without it", started)?;
        held.check_all_answer("while it is away")?;
        Round::of_all_pods(triangle).run(triangle)?;

        triangle.api_server()?.restart()?;
        wait_for(triangle, PROMISED, "all is well when it is back", is_well)?;
        triangle
            .write_objects(&[web(), ServiceSpec::with_all_ports("other").vips(["192.0.2.11".parse()?])])?;
        wait_for(triangle, PROMISED, "what came then", |status| is_well(status) && has_services(9)(status))?;
        held.check_all_answer("after it was away")?;
        check_nothing_lost(streams)
    })
}

/// To agents it is not there at all; others reach it again, and change things.
#[test]
fn after_a_minute_without_the_api_server_agents_have_what_changed_meanwhile() -> Result<()> {
    alone_with_api_server(|triangle| {
        let other = ServiceSpec::with_all_ports("other").vips(["192.0.2.11".parse()?]);
        triangle.write_objects(&[web(), other])?;
        wait_for(triangle, PROMISED, "two Services", |status| is_well(status) && has_services(9)(status))?;
        let mut held = HeldConnections::open(triangle)?;
        let streams = start_streams(triangle, 500, MINUTE + Duration::from_secs(30))?;
        let start = Instant::now();
        let api_server = triangle.api_server()?;
        api_server.set_link(Link::Refused)?;
        api_server.kill()?;
        thread::sleep(MINUTE / 3);
        api_server.restart()?;
        // One Service is gone, and one is new.
        let vips: [IpAddr; 2] = ["192.0.2.12".parse()?, "192.0.2.13".parse()?];
        triangle.write_objects(&[web(), ServiceSpec::with_all_ports("new").vips(vips).pods(&["pod1_1"])])?;
        triangle.api_server()?.compact()?;
        thread::sleep(MINUTE.saturating_sub(start.elapsed()));
        wait_for(triangle, PATIENCE, "told that it is away", |status| {
            status["ready"] == true && has_services(9)(status) && has_problem(status, "is away since 20")
        })?;
        held.check_all_answer("after a minute without it")?;

        triangle.api_server()?.set_link(Link::Up)?;
        wait_for(triangle, PROMISED, "what has changed", |status| {
            is_well(status) && has_services(12)(status)
        })?;
        let new = triangle.testbed.send_requests(socket_address(vips[0], 80), 5)?;
        ensure!(new.all_answered() && new.per_pod.keys().eq(["pod1_1"]), "{new:?}");
        let gone = triangle.testbed.send_requests(socket_address("192.0.2.11".parse()?, 80), 1)?;
        ensure!(gone.answered == 0, "{gone:?}");
        held.check_all_answer("when it is back")?;
        check_nothing_lost(streams)
    })
}

/// A change after the one that the agents saw last is forgotten, so they have to list all again (410 Gone).
#[test]
fn agents_list_again_what_the_api_server_has_forgotten() -> Result<()> {
    alone_with_api_server(|triangle| {
        let other = ServiceSpec::with_all_ports("other").vips(["192.0.2.11".parse()?]);
        triangle.write_objects(&[web(), other])?;
        let api_server = triangle.api_server()?;
        api_server.kill()?;
        // Its cache would know what etcd has forgotten.
        api_server.restart_with(&["--watch-cache=false"])?;
        wait_for(triangle, PROMISED, "without a watch cache", |status| {
            is_well(status) && has_services(9)(status)
        })?;
        let list = triangle.api_server()?.kubectl(&["get", "--raw", "/api/v1/services"], "")?;
        let list: Value = serde_json::from_str(&list).context("a list")?;
        let version =
            list["metadata"]["resourceVersion"].as_str().context("a list has a version")?.to_owned();

        triangle.api_server()?.set_link(Link::Cut)?;
        triangle.write_objects(&[web().pods(&["pod2_1"])])?;
        triangle.api_server()?.compact()?;
        let watch = format!("/api/v1/services?watch=true&timeoutSeconds=1&resourceVersion={version}");
        let told = triangle.api_server()?.kubectl(&["get", "--raw", &watch], "");
        let told = told.unwrap_or_else(|error| format!("{error:#}"));
        ensure!(told.contains("too old") || told.contains("410") || told.contains("Expired"), "{told}");
        wait_for(triangle, PATIENCE, "told that it is silent", |status| {
            has_problem(status, "is away since 20")
        })?;
        Round::of_all_pods(triangle).run(triangle)?;

        triangle.api_server()?.set_link(Link::Up)?;
        wait_for(triangle, PATIENCE, "all is listed again", |status| {
            is_well(status) && has_services(6)(status)
        })?;
        // Of each kind by itself.
        wait_at_most(PROMISED, "the one Pod", || check_pods(triangle, &["pod2_1"]).map(|()| true)).map(drop)
    })
}

/// Nobody who starts has seen a version of it that was good: it is served as the maps have it.
#[test]
fn a_service_that_is_wrong_loses_nothing_when_agents_restart() -> Result<()> {
    alone_with_api_server(|triangle| {
        triangle.api_server()?.remove_policies()?;
        let mut held = HeldConnections::open(triangle)?;
        let streams = start_streams(triangle, 500, Duration::from_secs(10))?;
        let annotate = |triangle: &mut Triangle, dsr: &str| {
            let dsr = format!("trigon.dev/dsr={dsr}");
            triangle
                .api_server()?
                .kubectl(&["annotate", "--overwrite", "--namespace=default", "service", "web", &dsr], "")
        };
        wait_at_most(PATIENCE, "a wrong Service is taken", || annotate(triangle, "yes").map(|_| true))?;
        let is_told = |status: &Value| has_problem(status, "`yes` is not a value of it");
        wait_for(triangle, PROMISED, "the Service is wrong", is_told)?;
        for name in triangle.agent_names() {
            triangle.agent(&name)?.kill()?;
            triangle.start_agent(&name, &[])?;
        }
        wait_for(triangle, PATIENCE, "all agents are back", |status| {
            is_told(status) && has_services(6)(status)
        })?;
        held.check_all_answer("after the restarts")?;
        Round::of_all_pods(triangle).run(triangle)?;
        annotate(triangle, "true")?;
        wait_for(triangle, PROMISED, "the Service is right", is_well)?;
        held.check_all_answer("after it was right again")?;
        check_nothing_lost(streams)
    })
}

/// The first InternalIP of a node is of a network that directors do not reach.
#[test]
fn tunnels_end_at_the_address_that_a_node_says() -> Result<()> {
    const OTHER: &str = "203.0.113.1";
    with_api_server(|triangle| {
        let node = triangle.testbed.machine("node1")?;
        let (name, [v4, v6]) = (node.name.clone(), node.addresses());
        let addresses = [OTHER.to_owned(), v4.to_string(), v6.to_string()];
        let addresses = addresses.map(|address| json!({"type": "InternalIP", "address": address}));
        let status = json!({"status": {"addresses": addresses}}).to_string();
        let patch = ["patch", "node", &name, "--subresource=status", "--type=merge", "-p", &status];
        triangle.api_server()?.kubectl(&patch, "")?;
        wait_for_backend(triangle, OTHER, true)?;

        let said = format!("trigon.dev/node-address={v4},{v6}");
        triangle.api_server()?.kubectl(&["annotate", "node", &name, &said], "")?;
        wait_for_backend(triangle, OTHER, false)?;
        wait_for(triangle, PATIENCE, "all is well", is_well)?;
        wait_at_most(PATIENCE, "all Pods answer", || {
            let names: Vec<_> = triangle.testbed.pods().iter().map(|pod| pod.name.as_str()).collect();
            check_pods(triangle, &names).map(|()| true)
        })?;
        Round::of_all_pods(triangle).run(triangle)
    })
}

/// Waits until all directors have this backend, or none of them.
fn wait_for_backend(triangle: &Triangle, address: &str, wanted: bool) -> Result<()> {
    for director in triangle.testbed.directors() {
        wait_at_most(PATIENCE, &format!("{}: {address}: {wanted}", director.name), || {
            let backends = triangle.testbed.run_trigon_json(director, &["backends"])?;
            let has = backends.as_array().into_iter().flatten().any(|backend| backend["address"] == address);
            ensure!(has == wanted, "{backends}");
            Ok(true)
        })?;
    }
    Ok(())
}

#[test]
fn a_kind_that_the_api_server_does_not_know_is_named() -> Result<()> {
    with_api_server(|triangle| {
        triangle.api_server()?.kubectl(&["delete", "crd", "communities.trigon.dev"], "")?;
        let named = |status: &Value| {
            status["ready"] == true && has_problem(status, "Community") && has_problem(status, "trigon crds")
        };
        wait_for(triangle, PATIENCE, "a kind is missing", named)?;
        triangle.api_server()?.apply_manifests()?;
        wait_for(triangle, PATIENCE, "it is there again", is_well)?;
        Round::of_all_pods(triangle).run(triangle)
    })
}
