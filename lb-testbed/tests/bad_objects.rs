//! Invalid objects: `trigon check` and every agent report the problem, and agents keep the last good state.

mod common;

use std::{fmt::Write, fs, thread, time::Duration};

use anyhow::{Result, ensure};
use common::{run_with_diagnostics, socket_address, wait_at_most};
use lb_testbed::{Config, ServiceSpec, Triangle, VIP};

const FILE: &str = "bad.yaml";
const PATIENCE: Duration = Duration::from_secs(5);

/// An invalid file, and the problem that `check` and the agents must report.
struct Case {
    what: &'static str,
    text: String,
    /// The Service in it is good, and in effect without the rest.
    is_served: bool,
    /// Parts of the line: position, object, field and remedy.
    expected: [&'static str; 4],
}

const SERVICE: &str = "apiVersion: v1
kind: Service
metadata:
  name: bad
  annotations: {trigon.dev/dsr: \"true\"}
spec:
  type: LoadBalancer
  loadBalancerClass: trigon.dev/lb
  ports:
  - {name: http, port: 81}
status: {loadBalancer: {ingress: [{ip: 192.0.2.10}]}}
";

const SLICE: &str = "---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: bad-1, labels: {kubernetes.io/service-name: bad}}
addressType: IPv4
ports: [{name: http, port: 8080}]
endpoints:
";

fn cases() -> Vec<Case> {
    let service = |from: &str, to: &str| SERVICE.replace(from, to);
    let mut many = format!("{SERVICE}{SLICE}");
    for number in 0..10_000 {
        let _ =
            writeln!(many, "- {{addresses: [10.88.{}.{}], nodeName: node1}}", number / 250, number % 250 + 1);
    }
    vec![
        Case {
            what: "broken YAML",
            text: service("  ports:\n  - {", "  ports:\n  - [{"),
            is_served: false,
            expected: ["bad.yaml:11", "file bad.yaml", "syntax", "correct the YAML"],
        },
        Case {
            what: "unknown field",
            text: service("port: 81", "port: 81, targetprot: 8080"),
            is_served: false,
            expected: ["bad.yaml:10", "Service default/bad", "spec.ports[0].targetprot", "targetPort"],
        },
        Case {
            what: "port 0",
            text: service("port: 81", "port: 0"),
            is_served: false,
            expected: ["bad.yaml:10", "Service default/bad", "spec.ports[0].port", "from 1 to 65535"],
        },
        Case {
            what: "VIP twice",
            // Its name sorts after that of `web`, which has the VIP and port already.
            text: service("port: 81", "port: 80").replace("name: bad", "name: worse"),
            is_served: false,
            expected: ["bad.yaml:11", "Service default/worse", "ingress[0].ip", "another address or port"],
        },
        Case {
            what: "endpoint on a node that is not there",
            text: format!("{SERVICE}{SLICE}- {{addresses: [10.88.1.11], nodeName: lost}}\n"),
            is_served: true,
            expected: [
                "bad.yaml:19",
                "EndpointSlice default/bad-1",
                "endpoints[0].nodeName",
                "add an object",
            ],
        },
        Case {
            what: "10,000 endpoints in a slice",
            text: many,
            is_served: true,
            expected: ["bad.yaml:18", "EndpointSlice default/bad-1", "endpoints", "split it into several"],
        },
    ]
}

/// Requests to the VIPs are still answered.
fn check_requests_are_answered(triangle: &Triangle) -> Result<()> {
    for vip in VIP.both() {
        let answers = triangle.testbed.send_requests(socket_address(vip, 80), 2)?;
        ensure!(answers.all_answered(), "{vip}: {answers:?}");
    }
    Ok(())
}

/// `trigon check` exits with 2 and names object, field and remedy.
fn expect_check_reports(triangle: &Triangle, case: &Case) -> Result<()> {
    let machine = &triangle.testbed.machines()[0];
    let output =
        triangle.testbed.run_trigon(machine, &["check", &triangle.source_dir().to_string_lossy()])?;
    let text = String::from_utf8_lossy(&output.stdout);
    println!("{}: exit code {:?}\n{text}", case.what, output.status.code());
    ensure!(output.status.code() == Some(2), "{}: {output:?}", case.what);
    let line = text.lines().find(|line| case.expected.iter().all(|part| line.contains(part)));
    ensure!(line.is_some(), "{}: {:?} not in {text}", case.what, case.expected);
    Ok(())
}

/// Waits until every agent reports the same problem, and this state.
fn wait_until_agents_report(triangle: &Triangle, case: &Case, ready: bool) -> Result<()> {
    for machine in triangle.testbed.machines() {
        wait_at_most(PATIENCE, case.what, || {
            let status = triangle.testbed.agent_status(machine)?;
            let problems = status["problems"].as_array().into_iter().flatten();
            let mut problems = problems.filter_map(|problem| problem.as_str());
            Ok(status["ready"] == ready
                && status["degraded"] == ready
                && status["source"]["good"] == false
                && problems.any(|problem| case.expected.iter().all(|part| problem.contains(part))))
        })?;
    }
    Ok(())
}

/// Every agent has written once that the problem began, and once that it ended, however long it was there.
fn check_logs(triangle: &mut Triangle, case: &Case) -> Result<()> {
    let [_, object, _, remedy] = case.expected;
    for name in triangle.agent_names() {
        let log = triangle.agent(&name)?.log();
        let lines: Vec<_> =
            log.lines().filter(|line| line.contains(object) && line.contains(remedy)).collect();
        let is_end = |line: &&&str| line.contains("no problem any more: ");
        ensure!(
            lines.len() == 2 && lines.iter().filter(is_end).count() == 1,
            "{name}: {}: {lines:#?}",
            case.what
        );
    }
    Ok(())
}

#[test]
fn bad_objects_are_reported_and_the_last_good_state_is_kept() -> Result<()> {
    let config = Config { nodes: 2, ..Config::l3() };
    run_with_diagnostics(&mut Triangle::start(config, &[ServiceSpec::with_all_ports("web")])?, |triangle| {
        let path = triangle.source_dir().join(FILE);
        for case in cases() {
            let before = agent_states(triangle)?;
            fs::write(&path, &case.text)?;
            expect_check_reports(triangle, &case)?;
            wait_until_agents_report(triangle, &case, true)?;
            check_requests_are_answered(triangle)?;
            let now = agent_states(triangle)?;
            let is_same = now.iter().zip(&before).all(|(now, before)| {
                now.services == before.services
                    && now.generation == before.generation + u64::from(case.is_served)
            });
            ensure!(is_same, "{}: something was changed: {before:?} to {now:?}", case.what);
            fs::remove_file(&path)?;
            wait_until_agents_are_ready(triangle)?;
            check_logs(triangle, &case)?;
        }
        Ok(())
    })
}

#[test]
fn a_problem_is_in_the_log_once_whether_it_lasts_or_not() -> Result<()> {
    let config = Config { nodes: 2, ..Config::l3() };
    run_with_diagnostics(&mut Triangle::start(config, &[ServiceSpec::with_all_ports("web")])?, |triangle| {
        let path = triangle.source_dir().join(FILE);
        // Far less than the second between two ticks of an agent, and several of them.
        for (case, length) in cases().iter().zip([400, 400, 400, 3000].map(Duration::from_millis)) {
            fs::write(&path, &case.text)?;
            thread::sleep(length);
            fs::remove_file(&path)?;
            wait_until_agents_are_ready(triangle)?;
            check_logs(triangle, case)?;
        }
        Ok(())
    })
}

/// An agent that starts while its source is broken serves from the pinned maps of the agent before it.
#[test]
fn a_restart_with_bad_objects_keeps_what_is_pinned() -> Result<()> {
    let config = Config { nodes: 2, ..Config::l3() };
    run_with_diagnostics(&mut Triangle::start(config, &[ServiceSpec::with_all_ports("web")])?, |triangle| {
        let path = triangle.source_dir().join(FILE);
        fs::write(&path, &cases()[0].text)?;
        for name in triangle.agent_names() {
            triangle.agent(&name)?.kill()?;
            triangle.start_agent(&name, &[])?;
        }
        // Nothing that is good was read since the start.
        wait_until_agents_report(triangle, &cases()[0], false)?;
        check_requests_are_answered(triangle)?;
        fs::remove_file(&path)?;
        wait_until_agents_are_ready(triangle)?;
        check_requests_are_answered(triangle)
    })
}

#[test]
fn a_bad_file_does_not_block_others_and_an_empty_directory_is_not_believed() -> Result<()> {
    let web = |pods: &[&str]| ServiceSpec::with_all_ports("web").pods(pods);
    let config = Config { nodes: 2, ..Config::l3() };
    run_with_diagnostics(&mut Triangle::start(config, &[web(&["pod1_1"])])?, |triangle| {
        let answered_by = |pod: &'static str| {
            move |triangle: &Triangle| {
                let answers = triangle.testbed.send_requests(socket_address(VIP.v4.into(), 80), 5)?;
                Ok(answers.all_answered() && answers.per_pod.keys().eq([pod]))
            }
        };
        let path = triangle.source_dir().join(FILE);
        for (case, pod) in cases().iter().zip(["pod2_1", "pod1_1"].into_iter().cycle()) {
            fs::write(&path, &case.text)?;
            wait_until_agents_report(triangle, case, true)?;
            triangle.write_objects(&[web(&[pod])])?;
            wait_at_most(PATIENCE, case.what, || answered_by(pod)(triangle))?;
            wait_until_agents_report(triangle, case, true)?;
        }
        fs::remove_file(&path)?;
        wait_until_agents_are_ready(triangle)?;
        let before = agent_states(triangle)?;
        fs::remove_file(triangle.objects_path())?;
        let case = Case {
            what: "no file",
            text: String::new(),
            is_served: false,
            expected: ["source", "files", "there is no file any more", "one file without any object"],
        };
        wait_until_agents_report(triangle, &case, true)?;
        check_requests_are_answered(triangle)?;
        ensure!(agent_states(triangle)? == before, "something was changed");
        Ok(())
    })
}

#[derive(PartialEq, Debug)]
struct AgentState {
    generation: u64,
    /// But those of bad.yaml.
    services: Vec<String>,
}

fn agent_states(triangle: &Triangle) -> Result<Vec<AgentState>> {
    let machines = triangle.testbed.machines().iter();
    let state = |machine| {
        let status = triangle.testbed.agent_status(machine)?;
        let services = triangle.testbed.run_trigon_json(machine, &["services"])?;
        let services = services.as_array().cloned().unwrap_or_default().into_iter();
        let services = services
            .filter(|service| service["name"] != "default/bad")
            .map(|service| format!("{} {}", service["programmed"], service["backends"]))
            .collect();
        Ok(AgentState { generation: status["generation"].as_u64().unwrap_or_default(), services })
    };
    machines.map(state).collect()
}

fn wait_until_agents_are_ready(triangle: &mut Triangle) -> Result<()> {
    triangle.wait_all_ready()?;
    let testbed = &triangle.testbed;
    let is_degraded = |machine| anyhow::Ok(testbed.agent_status(machine)?["degraded"] != false);
    wait_at_most(PATIENCE, "no problem", || {
        testbed.machines().iter().try_fold(true, |fine, machine| Ok(fine && !is_degraded(machine)?))
    })
    .map(drop)
}
