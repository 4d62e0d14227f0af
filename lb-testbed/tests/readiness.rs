//! A Pod becomes unready and terminates while its connections go on.

mod common;

use std::{collections::BTreeSet, time::Duration};

use anyhow::{Result, ensure};
use common::{held::HeldConnections, run_with_diagnostics, socket_address, wait_at_most};
use lb_testbed::{
    Config,
    EndpointState::{self, NotReady, Ready, Terminating, TerminatingNotReady},
    ServiceSpec, TCP_ECHO_PORT, Triangle, VIP,
};

const PATIENCE: Duration = Duration::from_secs(5);
/// The Pod that goes.
const POD: &str = "pod1_1";

/// [`POD`] in this state, and others in theirs.
fn service(state: EndpointState, others: &[(&str, EndpointState)]) -> ServiceSpec {
    ServiceSpec::with_all_ports("web").endpoints(&[&[(POD, state)], others].concat())
}

/// The names of those that answer new requests to a VIP; empty if some are not answered.
fn answering_pods(triangle: &Triangle) -> Result<BTreeSet<String>> {
    let mut pods = BTreeSet::new();
    for vip in VIP.both() {
        let answers = triangle.testbed.send_requests(socket_address(vip, 80), 10)?;
        if !answers.all_answered() {
            return Ok(BTreeSet::new());
        }
        pods.extend(answers.per_pod.into_keys());
    }
    Ok(pods)
}

/// Writes the objects, and waits until these Pods take the new connections.
fn write_and_wait(triangle: &Triangle, what: &str, spec: ServiceSpec, pods: &[&str]) -> Result<()> {
    triangle.write_objects(&[spec])?;
    let waited = wait_at_most(PATIENCE, what, || Ok(answering_pods(triangle)?.iter().eq(pods)))?;
    println!("{what}: new connections go to {pods:?} alone after {} ms", waited.as_millis());
    Ok(())
}

/// Connections to the Pod's echo.
fn count_connections(triangle: &Triangle) -> Result<usize> {
    let port = format!("sport = :{TCP_ECHO_PORT}");
    let listed = triangle.testbed.pod(POD)?.namespace.run(&["ss", "-Htn", "state", "established", &port])?;
    Ok(listed.lines().count())
}

/// The Pod goes, and 200 connections to it live as long as it does. Another Pod of its node, if
/// there is one, keeps the node in the ring.
fn check_leaving(others: &[&str]) -> Result<()> {
    let ready: Vec<_> = others.iter().map(|pod| (*pod, Ready)).collect();
    run_with_diagnostics(&mut Triangle::start(Config::l3(), &[service(Ready, &ready)])?, |triangle| {
        let mut held = HeldConnections::open(triangle)?;
        let count = count_connections(triangle)?;
        println!("{count} connections to {POD}, the others to {others:?}");
        ensure!(count >= 100, "the test shows nothing: {count} connections");
        for state in [NotReady, Ready, NotReady, TerminatingNotReady, Terminating] {
            let pods: Vec<_> = if state == Ready { [&[POD], others].concat() } else { others.to_vec() };
            write_and_wait(triangle, &format!("{state:?}"), service(state, &ready), &pods)?;
            held.check_all_answer(&format!("while {POD} is {state:?}"))?;
        }
        let left = count_connections(triangle)?;
        ensure!(left == count, "{POD} had {count} connections and has {left}");
        Ok(())
    })
}

#[test]
fn connections_to_a_pod_that_goes_live_while_its_node_stays_in_the_ring() -> Result<()> {
    check_leaving(&["pod1_2", "pod2_1"])
}

#[test]
fn connections_to_a_pod_that_goes_live_while_its_slots_move_to_another_node() -> Result<()> {
    check_leaving(&["pod2_1"])
}

#[test]
fn without_a_ready_pod_connections_live_and_a_serving_one_takes_new_ones() -> Result<()> {
    let start = service(Ready, &[("pod2_1", Ready)]);
    run_with_diagnostics(&mut Triangle::start(Config::l3(), &[start])?, |triangle| {
        let mut held = HeldConnections::open(triangle)?;
        let rest = service(Terminating, &[("pod2_1", NotReady)]);
        write_and_wait(triangle, "one terminates, the other is not ready", rest, &[POD])?;
        held.check_all_answer("while one terminates and the other is not ready")?;
        triangle.write_objects(&[service(TerminatingNotReady, &[("pod2_1", NotReady)])])?;
        wait_at_most(PATIENCE, "nobody takes new connections", || {
            Ok(triangle.testbed.get(socket_address(VIP.v4.into(), 80), "/").is_err())
        })?;
        held.check_all_answer("while none is ready")?;
        let back = service(Ready, &[("pod2_1", Ready)]);
        write_and_wait(triangle, "both are back", back, &[POD, "pod2_1"])?;
        held.check_all_answer("after they came back").map(drop)
    })
}
