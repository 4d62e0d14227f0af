//! `externalTrafficPolicy: Local`: directors that are nodes with endpoints deliver to their own, and connections
//! survive all the same when their packets come by another director.

mod common;

use std::{collections::BTreeSet, time::Duration};

use anyhow::{Result, ensure};
use common::{held::HeldConnections, run_with_diagnostics, socket_address, wait_at_most};
use lb_testbed::{Config, EndpointState, NodeRole, ServiceSpec, Triangle, VIP};
use serde_json::json;

const PATIENCE: Duration = Duration::from_secs(5);
const PODS: [&str; 4] = ["pod1_1", "pod1_2", "pod2_1", "pod2_2"];

fn web(draining: &[&str]) -> ServiceSpec {
    let state = |pod| if draining.contains(&pod) { EndpointState::Terminating } else { EndpointState::Ready };
    ServiceSpec::with_all_ports("web")
        .field("externalTrafficPolicy", json!("Local"))
        .endpoints(&PODS.map(|pod| (pod, state(pod))))
}

/// Waits until these Pods, and no others, answer what comes in by a machine.
fn wait_for_answers(triangle: &Triangle, machine: &str, pods: &[&str]) -> Result<()> {
    triangle.testbed.route_vips_via(&[triangle.testbed.machine(machine)?])?;
    let expected: BTreeSet<_> = pods.iter().map(|pod| (*pod).to_owned()).collect();
    let waited = wait_at_most(PATIENCE, &format!("{expected:?} answer by {machine}"), || {
        let mut answering = BTreeSet::new();
        for vip in VIP.both() {
            let answers = triangle.testbed.send_requests(socket_address(vip, 80), 5)?;
            ensure!(answers.all_answered(), "{answers:?}");
            answering.extend(answers.per_pod.into_keys());
        }
        ensure!(answering == expected, "{answering:?}");
        Ok(true)
    })?;
    println!("by {machine}: {pods:?}, after {} ms", waited.as_millis());
    Ok(())
}

/// Connections go on, whichever machine the router sends them to.
fn check_by_each_machine(triangle: &Triangle, held: &mut HeldConnections, when: &str) -> Result<()> {
    for machine in triangle.testbed.directors() {
        triangle.testbed.route_vips_via(&[machine])?;
        held.check_all_answer(&format!("{when}, all by {}", machine.name))?;
    }
    triangle.testbed.route_vips_via(&triangle.testbed.directors())
}

fn check_local_traffic(config: Config) -> Result<()> {
    // One machine is a director alone.
    let config = Config { directors: 1, nodes: 2, node_role: NodeRole::Both, ..config };
    run_with_diagnostics(&mut Triangle::start(config, &[web(&[])])?, |triangle| {
        let (on_first, on_second) = PODS.split_at(2);
        wait_for_answers(triangle, "node1", on_first)?;
        wait_for_answers(triangle, "node2", on_second)?;
        wait_for_answers(triangle, "director1", &PODS)?;
        triangle.testbed.route_vips_via(&triangle.testbed.directors())?;
        let mut held = HeldConnections::open_many(triangle, 300)?;
        check_by_each_machine(triangle, &mut held, "begun everywhere")?;

        triangle.write_objects(&[web(on_first)])?;
        wait_for_answers(triangle, "node1", on_second)?;
        check_by_each_machine(triangle, &mut held, "the Pods of node1 drain")?;
        triangle.write_objects(&[web(&PODS[..1])])?;
        wait_for_answers(triangle, "node1", &PODS[1..2])?;
        check_by_each_machine(triangle, &mut held, "one of them is back")?;
        for name in triangle.agent_names() {
            triangle.restart_agent(&name)?;
        }
        check_by_each_machine(triangle, &mut held, "agents were killed and started again")?;
        triangle.write_objects(&[web(&[]).field("externalTrafficPolicy", json!("Cluster"))])?;
        wait_for_answers(triangle, "node1", &PODS)?;
        check_by_each_machine(triangle, &mut held, "no more `Local`")
    })
}

#[test]
fn directors_deliver_to_their_own_and_lose_nothing_over_a_router() -> Result<()> {
    check_local_traffic(Config::l3())
}

#[test]
fn directors_deliver_to_their_own_and_lose_nothing_on_one_link() -> Result<()> {
    check_local_traffic(Config::l2())
}
