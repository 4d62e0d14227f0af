//! What agents report of what they have programmed, and what a controller makes of it.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use lb_testbed::{Process, ServiceSpec, Triangle};
use serde_json::{Value, json};

use super::{PATIENCE, common::wait_at_most, has_services, wait_for_one, web, with_api_server};

/// Where the controller runs.
const MACHINE: &str = "director2";
/// Has room for `web` alone.
const SMALL: &str = "node1";
/// Mere words follow after a minute.
const WORDS: Duration = Duration::from_secs(150);
/// Of reports by which a Service in the data path is told of, and of what one is told for at most.
const SOON: u64 = 5;
/// For how long a Service is changed all the time.
const CHANGING: Duration = Duration::from_secs(30);
/// The controller's writes of one Service meanwhile: after 0.2 s, and each time twice as much.
const MOST_WRITES: usize = 12;

/// With a controller that finds the reports of all agents: of those that came later, its words would be told after a minute.
fn with_controller(test: impl FnOnce(&mut Triangle, &Process) -> Result<()>) -> Result<()> {
    with_api_server(|triangle| {
        wait_for_reports(triangle)?;
        let kubeconfig = triangle.api_server()?.controllers_kubeconfig();
        let machine = triangle.testbed.machine(MACHINE)?;
        let controller = triangle.testbed.start_controller(machine, "controller", &kubeconfig)?;
        test(triangle, &controller).with_context(|| controller.log())
    })
}

fn other() -> Result<ServiceSpec> {
    Ok(ServiceSpec::with_all_ports("other").vips(["192.0.2.11".parse()?]))
}

fn get(triangle: &mut Triangle, words: &[&str]) -> Result<Value> {
    let told = triangle.api_server()?.kubectl(&[&["get", "-o", "json"], words].concat(), "")?;
    serde_json::from_str(&told).context("an object")
}

fn report(triangle: &mut Triangle, machine: &str) -> Result<Value> {
    get(triangle, &["agentreport", machine, "--namespace=trigon-system"])
}

/// The condition of a Service; null: there is none.
fn condition(triangle: &mut Triangle, service: &str) -> Result<Value> {
    let service = get(triangle, &["service", service, "--namespace=default"])?;
    let conditions = service["status"]["conditions"].as_array().cloned().unwrap_or_default();
    Ok(conditions.into_iter().find(|one| one["type"] == "trigon.dev/Programmed").unwrap_or_default())
}

fn wait_for_condition(
    triangle: &mut Triangle,
    service: &str,
    what: &str,
    is_so: impl Fn(&Value) -> bool,
) -> Result<()> {
    let took = wait_at_most(WORDS, &format!("{service}: {what}"), || {
        let condition = condition(triangle, service)?;
        ensure!(is_so(&condition), "{condition}");
        Ok(true)
    })?;
    println!("{service}: {what}: after {took:?}");
    Ok(())
}

/// Of all agents.
fn wait_for_reports(triangle: &mut Triangle) -> Result<()> {
    for name in triangle.agent_names() {
        wait_at_most(PATIENCE, &format!("AgentReport {name}"), || report(triangle, &name).map(|_| true))?;
    }
    Ok(())
}

fn is_true(condition: &Value) -> bool {
    condition["status"] == "True"
}

/// And its words name all machines.
fn is_of_all(condition: &Value) -> bool {
    is_true(condition) && condition["message"] == "2 of 2 directors, 3 of 3 nodes"
}

/// Events about a Service, for this reason.
fn events(triangle: &mut Triangle, service: &str, reason: &str) -> Result<Vec<Value>> {
    let events = get(triangle, &["events.events.k8s.io", "--namespace=default"])?;
    let is_wanted = |event: &&Value| event["reason"] == reason && event["regarding"]["name"] == service;
    Ok(events["items"].as_array().context("a list")?.iter().filter(is_wanted).cloned().collect())
}

/// Waits until `web` is programmed with this warning, and one Event has told so.
fn wait_for_warning(triangle: &mut Triangle, reason: &str, part: &str) -> Result<()> {
    wait_for_condition(triangle, "web", reason, |condition| {
        let message = condition["message"].as_str().unwrap_or_default();
        is_true(condition) && condition["reason"] == "ProgrammedWithWarnings" && message.contains(part)
    })?;
    wait_at_most(PATIENCE, "an Event", || {
        let told = events(triangle, "web", reason)?;
        let is_warning = |event: &Value| {
            let note = event["note"].as_str().unwrap_or_default();
            event["type"] == "Warning" && note.contains(part)
        };
        ensure!(told.len() <= 1 && told.iter().all(is_warning), "{told:?}");
        Ok(!told.is_empty())
    })
    .map(drop)
}

#[test]
fn a_service_is_programmed_when_all_agents_have_told_so() -> Result<()> {
    with_controller(|triangle, _| {
        wait_for_condition(triangle, "web", "is programmed", is_of_all)?;
        for name in triangle.agent_names() {
            let node = get(triangle, &["node", &name])?;
            // Mere numbers may follow later.
            wait_at_most(WORDS, &format!("the report of {name}"), || {
                let report = report(triangle, &name)?;
                let owner = &report["metadata"]["ownerReferences"][0];
                ensure!(owner["kind"] == "Node" && owner["uid"] == node["metadata"]["uid"], "{report}");
                let spec = &report["spec"];
                ensure!(spec["services"]["programmed"] == 6 && spec["services"]["total"] == 6, "{report}");
                ensure!(spec["exceptions"].is_null() && spec["omitted"].is_null(), "{report}");
                Ok(true)
            })?;
        }
        let table =
            triangle.api_server()?.kubectl(&["get", "agentreports", "--namespace=trigon-system"], "")?;
        ensure!(table.starts_with("NAME") && table.contains("PROGRAMMED"), "{table}");

        triangle.write_objects(&[web(), other()?])?;
        wait_for_condition(triangle, "other", "is programmed too", is_of_all)?;
        // Nothing is written where nothing is new.
        let version = |triangle: &mut Triangle| {
            let service = get(triangle, &["service", "web", "--namespace=default"])?;
            anyhow::Ok(service["metadata"]["resourceVersion"].clone())
        };
        let before = version(triangle)?;
        thread::sleep(Duration::from_secs(10));
        ensure!(version(triangle)? == before, "something is written all the time");

        // An annotation that makes no sense is told where people look.
        let annotate = [
            "annotate",
            "--overwrite",
            "--namespace=default",
            "service",
            "other",
            "trigon.dev/delivery=pigeon",
        ];
        triangle.api_server()?.remove_policies()?;
        wait_at_most(PATIENCE, "a wrong Service is taken", || {
            triangle.api_server()?.kubectl(&annotate, "").map(|_| true)
        })?;
        wait_for_condition(triangle, "other", "is wrong", |condition| {
            let message = condition["message"].as_str().unwrap_or_default();
            condition["status"] == "False"
                && condition["reason"] == "Invalid"
                && message.starts_with("0 of 2 directors, 0 of 3 nodes")
                && message.contains("`pigeon` is not a value of it")
        })?;
        let remove = ["annotate", "--namespace=default", "service", "other", "trigon.dev/delivery-"];
        triangle.api_server()?.kubectl(&remove, "")?;
        wait_for_condition(triangle, "other", "is right", is_true)
    })
}

#[test]
fn a_machine_that_has_no_room_is_named() -> Result<()> {
    with_controller(|triangle, _| {
        wait_for_condition(triangle, "web", "is programmed", is_true)?;
        triangle.agent(SMALL)?.kill()?;
        let machine = triangle.testbed.machine(SMALL)?;
        let pins = triangle.testbed.pin_dir(machine).display().to_string();
        let unloaded = triangle.testbed.run_trigon(machine, &["unload", "--pin-dir", &pins])?;
        ensure!(unloaded.status.success(), "{unloaded:?}");
        triangle.start_agent(SMALL, &["--max-services", "6"])?;
        triangle.wait_ready(SMALL)?;

        triangle.write_objects(&[web(), other()?])?;
        wait_for_condition(triangle, "other", "has no room", |condition| {
            let message = condition["message"].as_str().unwrap_or_default();
            condition["status"] == "False"
                && condition["reason"] == "NotProgrammed"
                && message.starts_with("2 of 2 directors, 2 of 3 nodes; node1: ")
                && message.contains("--max-services")
        })?;
        wait_for_condition(triangle, "web", "has it", is_true)?;
        let told = events(triangle, "other", "NotProgrammed")?;
        ensure!(told.len() == 1, "{told:?}");

        triangle.agent(SMALL)?.kill()?;
        triangle.start_agent(SMALL, &["--max-services", "64"])?;
        wait_for_condition(triangle, "other", "has room", is_true)?;
        wait_for_one(triangle, SMALL, PATIENCE, "all is there", has_services(9)).map(drop)
    })
}

/// A path that has become narrow, and backends of which none answers.
#[test]
fn what_an_operator_must_know_is_told_by_events() -> Result<()> {
    with_controller(|triangle, _| {
        wait_for_condition(triangle, "web", "is programmed", is_true)?;
        let director = triangle.testbed.machine("director1")?.clone();
        let set_mtu = |mtu: u32| {
            let words = format!("link set {} mtu {mtu}", director.interface);
            director.namespace.ip(&words).map(drop)
        };
        set_mtu(1500)?;
        wait_for_warning(triangle, "PathMtuTooSmall", "director1: the path to ")?;
        set_mtu(1600)?;
        wait_for_condition(triangle, "web", "is well", |condition| condition["reason"] == "Programmed")?;

        let set_links = |triangle: &Triangle, up| {
            let nodes = triangle.testbed.nodes();
            nodes.into_iter().try_for_each(|node| triangle.testbed.set_link(node, up))
        };
        set_links(triangle, false)?;
        wait_for_warning(triangle, "NoBackendReachable", "none of its backends answers")?;
        set_links(triangle, true)?;
        wait_for_condition(triangle, "web", "is well again", |condition| condition["reason"] == "Programmed")
    })
}

#[test]
fn two_changes_a_second_are_few_writes() -> Result<()> {
    with_controller(|triangle, controller| {
        wait_for_condition(triangle, "web", "is programmed", is_true)?;
        let generations = |triangle: &mut Triangle| -> Result<Vec<u64>> {
            let names = triangle.agent_names();
            let generation = |name: &String| {
                report(triangle, name)?["metadata"]["generation"].as_u64().context("a generation")
            };
            names.iter().map(generation).collect()
        };
        let writes = || controller.log().matches("Service default/web: ").count();
        let start = Instant::now();
        let (before, written) = (generations(triangle)?, writes());
        let mut number = 0_u32;
        while start.elapsed() < CHANGING {
            number += 1;
            let annotation = json!({"metadata": {"annotations": {
                "trigon.dev/new-flows-per-second": (100_000 + number).to_string(),
            }}});
            let patch = ["patch", "service", "web", "--namespace=default", "-p", &annotation.to_string()];
            triangle.api_server()?.kubectl(&patch, "")?;
            thread::sleep((Duration::from_millis(500) * number).saturating_sub(start.elapsed()));
        }
        let (now, written) = (generations(triangle)?, writes() - written);
        let took = start.elapsed();
        let reports: Vec<u64> = before.iter().zip(now).map(|(before, now)| now - before).collect();
        println!("{number} changes, reports: {reports:?}, writes: {written}");
        let possible = 1..=took.as_secs() / SOON + 2;
        ensure!(reports.iter().all(|number| possible.contains(number)), "{reports:?} reports in {took:?}");
        // There is none where all machines happen to have reported between two changes.
        ensure!(written <= MOST_WRITES, "{written} writes in {took:?}: {}", controller.log());
        wait_for_condition(triangle, "web", "is programmed as it is at last", is_true)
    })
}
