//! `trigon status` tells whether a machine does its part, and why not; the log tells it once.

mod common;

use std::time::Duration;

use anyhow::{Result, ensure};
use common::{run_with_diagnostics, wait_at_most};
use lb_testbed::{Config, Machine, ServiceSpec, Triangle};

const PATIENCE: Duration = Duration::from_secs(5);

fn start() -> Result<Triangle> {
    Triangle::start(Config { directors: 1, nodes: 1, ..Config::l2() }, &[ServiceSpec::with_all_ports("web")])
}

/// Waits for this exit code, and a problem with these words; without words, for no problem.
fn wait_for(triangle: &Triangle, machine: &Machine, code: i32, words: Option<&str>) -> Result<()> {
    let what = format!("exit code {code}, {words:?}");
    wait_at_most(PATIENCE, &what, || {
        let told = triangle.testbed.run_trigon(machine, &["status"])?;
        let text = String::from_utf8_lossy(&told.stdout);
        let mut problems = text.lines().filter_map(|line| line.strip_prefix("problem: "));
        let is_said = match words {
            Some(words) => problems.any(|problem| problem.contains(words)),
            None => problems.next().is_none(),
        };
        Ok(told.status.code() == Some(code) && is_said)
    })
    .map(|took| println!("{}: {what} after {} ms", machine.name, took.as_millis()))
}

/// Lines of an agent's log that contain both.
fn count_logged(triangle: &mut Triangle, machine: &str, first: &str, second: &str) -> Result<usize> {
    let log = triangle.agent(machine)?.log();
    Ok(log.lines().filter(|line| line.contains(first) && line.contains(second)).count())
}

#[test]
fn an_uplink_without_carrier_is_named_and_logged_once() -> Result<()> {
    run_with_diagnostics(&mut start()?, |triangle| {
        for name in ["director1", "node1"] {
            let machine = triangle.testbed.machine(name)?.clone();
            wait_for(triangle, &machine, 0, None)?;
            machine.upstream.ip(&format!("link set {} down", machine.name))?;
            wait_for(triangle, &machine, 1, Some("interface eth0: has no carrier; look at the cable"))?;
            // Several ticks, each of which sees it.
            std::thread::sleep(Duration::from_secs(3));
            machine.upstream.ip(&format!("link set {} up", machine.name))?;
            wait_for(triangle, &machine, 0, None)?;
            wait_at_most(PATIENCE, "the end in the log", || {
                Ok(count_logged(triangle, name, "no problem any more", "interface eth0: has no carrier;")?
                    == 1)
            })?;
            let told = count_logged(triangle, name, " problem: ", "interface eth0: has no carrier;")?;
            ensure!(told == 1, "{name} logged it {told} times");
        }
        Ok(())
    })
}

#[test]
fn a_director_that_reaches_no_backend_is_not_ready() -> Result<()> {
    run_with_diagnostics(&mut start()?, |triangle| {
        let director = triangle.testbed.machine("director1")?.clone();
        let node = triangle.testbed.machine("node1")?.address;
        let address = [format!("{}/32", node.v4), format!("{}/128", node.v6)];
        for prefix in &address {
            director.namespace.ip(&format!("route add unreachable {prefix} metric 1"))?;
        }
        wait_for(triangle, &director, 1, Some("reaches none of its backends"))?;
        wait_for(
            triangle,
            &director,
            1,
            Some(&format!("backend {}, backend {}: unreachable", node.v4, node.v6)),
        )?;
        director.namespace.ip(&format!("route del unreachable {} metric 1", address[0]))?;
        // One is better than none.
        wait_for(triangle, &director, 0, Some(&node.v6.to_string()))?;
        director.namespace.ip(&format!("route del unreachable {} metric 1", address[1]))?;
        wait_for(triangle, &director, 0, None)
    })
}

#[test]
fn what_is_removed_is_logged_with_its_protocol() -> Result<()> {
    run_with_diagnostics(&mut start()?, |triangle| {
        triangle.write_objects(&[])?;
        let names = triangle.agent_names();
        let count = |triangle: &mut Triangle| -> Result<Vec<usize>> {
            let frontends = ["tcp 192.0.2.10:80", "udp 192.0.2.10:5353"];
            let lines = names.iter().flat_map(|name| frontends.map(|frontend| (name, frontend)));
            lines.map(|(name, frontend)| count_logged(triangle, name, "removed", frontend)).collect()
        };
        let once = vec![1; names.len() * 2];
        wait_at_most(PATIENCE, "a line on each removal", || Ok(count(triangle)? == once))?;
        std::thread::sleep(Duration::from_secs(2));
        let counts = count(triangle)?;
        ensure!(counts == once, "logged more than once: {counts:?}");
        Ok(())
    })
}
