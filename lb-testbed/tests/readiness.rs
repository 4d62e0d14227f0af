//! A Pod becomes unready and terminates while its connections go on.

mod common;

use std::{collections::BTreeSet, net::SocketAddr, thread, time::Duration};

use anyhow::{Context, Result, ensure};
use common::{
    download::SlowDownload, held::HeldConnections, run_with_diagnostics, socket_address, wait_at_most,
};
use lb_testbed::{
    Answers, Capture, Config,
    EndpointState::{self, NotReady, Ready, Terminating, TerminatingNotReady},
    ServiceSpec, TCP_ECHO_PORT, Triangle, Tunnel, VIP,
};

const PATIENCE: Duration = Duration::from_secs(5);
/// The Pod that goes.
const POD: &str = "pod1_1";
/// So many that a third of them is more than 200.
const CONNECTIONS: u64 = 800;
/// In which each connection sends some.
const SEVERAL_LINES: Duration = Duration::from_secs(1);

/// [`POD`] in this state, and others in theirs.
fn service(state: EndpointState, others: &[(&str, EndpointState)]) -> ServiceSpec {
    ServiceSpec::with_all_ports("web").endpoints(&[&[(POD, state)], others].concat())
}

/// `each` new requests to both VIPs from each of the client's addresses.
fn send_requests(triangle: &Triangle, each: u64) -> Result<Answers> {
    let mut answers = Answers::default();
    for vip in VIP.both() {
        answers += triangle.testbed.send_requests(socket_address(vip, 80), each)?;
    }
    Ok(answers)
}

/// Are all answered, and by exactly these?
fn are_answered_by(answers: &Answers, pods: &[&str]) -> bool {
    answers.all_answered() && answers.per_pod.keys().eq(pods)
}

/// Writes the objects, and waits until these Pods take the new connections.
fn write_and_wait(triangle: &Triangle, what: &str, spec: ServiceSpec, pods: &[&str]) -> Result<()> {
    triangle.write_objects(&[spec])?;
    let waited = wait_at_most(PATIENCE, what, || Ok(are_answered_by(&send_requests(triangle, 5)?, pods)))?;
    println!("{what}: new connections go to {pods:?} alone after {} ms", waited.as_millis());
    Ok(())
}

/// All held connections live, and before and after that is found out, new ones go to these Pods alone.
fn check_connections(
    triangle: &Triangle,
    held: &mut HeldConnections,
    what: &str,
    pods: &[&str],
) -> Result<()> {
    let mut answers = send_requests(triangle, 5)?;
    held.check_all_answer(what)?;
    answers += send_requests(triangle, 5)?;
    println!("{what}: {} new connections: {:?}", answers.requests, answers.per_pod);
    ensure!(answers.requests >= 100 && are_answered_by(&answers, pods), "{what}: {answers:?}");
    Ok(())
}

/// The clients of the Pod's echo.
fn clients_of_pod(triangle: &Triangle) -> Result<BTreeSet<SocketAddr>> {
    let port = format!("sport = :{TCP_ECHO_PORT}");
    let listed = triangle.testbed.pod(POD)?.namespace.run(&["ss", "-Htn", "state", "established", &port])?;
    let peer = |line: &str| {
        let peer = line.split_whitespace().last().context("an empty line")?;
        let peer: SocketAddr = peer.parse().with_context(|| format!("`{peer}`"))?;
        Ok(SocketAddr::new(peer.ip().to_canonical(), peer.port()))
    };
    listed.lines().map(peer).collect()
}

/// The clients whose packets are handed on to the Pod's node: another one owns their slots now.
fn clients_handed_on(triangle: &Triangle) -> Result<BTreeSet<SocketAddr>> {
    let node = triangle.testbed.node_of(triangle.testbed.pod(POD)?)?;
    let capture = Capture::start(&node.upstream, |frame| {
        let (tunnel, packet) = frame.packet()?.inner_packet()?;
        let [from, to] = [0, 2].map(|at| packet.payload().get(at..)?.first_chunk().copied());
        let is_echo = u16::from_be_bytes(to?) == TCP_ECHO_PORT;
        let client = SocketAddr::new(packet.from, u16::from_be_bytes(from?));
        (tunnel == Tunnel::HandedOn && is_echo).then_some(client)
    })?;
    thread::sleep(SEVERAL_LINES);
    Ok(capture.finish()?.into_iter().map(|(_, client)| client).collect())
}

/// The Pod goes, and 200 connections and a download live as long as it does. `others` are the Pods that stay; how
/// many connections have slots that move.
fn check_leaving(others: &[&str]) -> Result<(usize, usize)> {
    let ready: Vec<_> = others.iter().map(|pod| (*pod, Ready)).collect();
    run_with_diagnostics(&mut Triangle::start(Config::l3(), &[service(Ready, &ready)])?, |triangle| {
        let mut held = HeldConnections::open_many(triangle, CONNECTIONS)?;
        let clients = clients_of_pod(triangle)?;
        println!("{} connections to {POD}, the others to {others:?}", clients.len());
        ensure!(clients.len() >= 200, "the test shows nothing: {} connections", clients.len());
        let download = SlowDownload::start(triangle, VIP.v4.into(), POD)?;
        for state in [NotReady, Ready, NotReady, TerminatingNotReady, Terminating] {
            let pods: Vec<_> = if state == Ready { [&[POD], others].concat() } else { others.to_vec() };
            let what = format!("{POD} is {state:?}");
            write_and_wait(triangle, &what, service(state, &ready), &pods)?;
            check_connections(triangle, &mut held, &what, &pods)?;
        }
        download.finish(triangle)?;
        let left = clients_of_pod(triangle)?;
        ensure!(left == clients, "of the connections {:?} are left", left.intersection(&clients).count());
        let moved = clients_handed_on(triangle)?.intersection(&clients).count();
        println!("the slots of {moved} of {} connections have moved", clients.len());
        Ok((moved, clients.len()))
    })
}

#[test]
fn connections_to_a_pod_that_goes_live_while_its_node_stays_in_the_ring() -> Result<()> {
    let (moved, all) = check_leaving(&["pod1_2", "pod2_1"])?;
    ensure!(0 < moved && moved < all / 2, "the slots of {moved} of {all} connections have moved");
    Ok(())
}

#[test]
fn connections_to_a_pod_that_goes_live_while_its_slots_move_to_another_node() -> Result<()> {
    let (moved, all) = check_leaving(&["pod2_1"])?;
    ensure!(moved == all, "the slots of {moved} of {all} connections have moved");
    Ok(())
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
