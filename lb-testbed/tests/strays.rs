//! A flood of packets of no connection, to slots that moved: each is searched for at former owners, and is to cost no
//! node more than once, whoever is asked.

mod common;

use std::{
    net::{IpAddr, SocketAddr},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use common::{client_addresses, held::HeldConnections, raw, run_with_diagnostics, wait_at_most};
use etherparse::PacketBuilder;
use lb_testbed::{
    Config,
    EndpointState::{Ready, Terminating},
    ServiceSpec, TCP_ECHO_PORT, Triangle, VIP,
};

const PATIENCE: Duration = Duration::from_secs(10);
/// Their own packets must be few beside the strays.
const CONNECTIONS: u64 = 20;
/// From each address of the client.
const PORTS: std::ops::Range<u16> = 20_000..22_000;

/// Packets of a node by what became of them.
struct Load {
    node: String,
    handed_on: u64,
    delivered: u64,
    limited: u64,
}

fn loads(triangle: &Triangle) -> Result<Vec<Load>> {
    let load = |node: &lb_testbed::Machine| {
        let verdicts = triangle.testbed.read_verdicts(node)?;
        let count = |verdict: &str| verdicts.get(verdict).copied().with_context(|| format!("no {verdict}"));
        anyhow::Ok(Load {
            node: node.name.clone(),
            handed_on: count("hand_on")? + count("hand_on_redirect")?,
            delivered: count("deliver")?,
            limited: count("stray")?,
        })
    };
    triangle.testbed.nodes().into_iter().map(load).collect()
}

/// An acknowledgement of nothing.
fn stray(from: SocketAddr, to: SocketAddr) -> Result<Vec<u8>> {
    let builder = match (from.ip(), to.ip()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => PacketBuilder::ipv4(from.octets(), to.octets(), 64),
        (IpAddr::V6(from), IpAddr::V6(to)) => PacketBuilder::ipv6(from.octets(), to.octets(), 64),
        _ => anyhow::bail!("{from} and {to} are of different families"),
    };
    let mut packet = Vec::new();
    builder.tcp(from.port(), to.port(), 1, 1024).ack(1).write_to_vec(&mut packet, &[])?;
    Ok(packet)
}

/// From all addresses and ports of the client to a VIP; how many.
fn send_strays(triangle: &Triangle, vip: IpAddr) -> Result<u64> {
    let to = SocketAddr::new(vip, TCP_ECHO_PORT);
    let sources =
        client_addresses(triangle, vip).into_iter().flat_map(|client| PORTS.map(move |port| (client, port)));
    let packets =
        sources.map(|(client, port)| stray(SocketAddr::new(client, port), to)).collect::<Result<Vec<_>>>()?;
    triangle.testbed.client().within(|| raw::send_packets(vip, &packets))?;
    Ok(packets.len() as u64)
}

/// Waits until nodes hand on no more than the packets of connections.
fn wait_for_end(triangle: &Triangle) -> Result<()> {
    let total = || Ok::<u64, anyhow::Error>(loads(triangle)?.iter().map(|load| load.handed_on).sum());
    let mut last = total()?;
    wait_at_most(PATIENCE, "the end of the strays", || {
        std::thread::sleep(Duration::from_millis(200));
        let now = total()?;
        Ok(now - std::mem::replace(&mut last, now) < CONNECTIONS * 10)
    })
    .map(drop)
}

/// All slots of nodes 1 and 2 move to node 3, and back.
fn move_slots(triangle: &Triangle, held: &mut HeldConnections) -> Result<()> {
    for states in [[Ready, Ready, Ready], [Terminating, Terminating, Ready], [Ready, Ready, Ready]] {
        let [first, second, third] = states;
        let pods = [("pod1_1", first), ("pod2_1", second), ("pod3_1", third)];
        triangle.write_objects(&[ServiceSpec::with_all_ports("web").endpoints(&pods)])?;
        std::thread::sleep(Duration::from_millis(700));
        held.check_all_answer("slots move")?;
    }
    Ok(())
}

#[test]
fn strays_are_not_multiplied() -> Result<()> {
    let first = ServiceSpec::with_all_ports("web").endpoints(&[("pod1_1", Ready), ("pod2_1", Ready)]);
    run_with_diagnostics(&mut Triangle::start(Config::l3(), &[first])?, |triangle| {
        let mut held = HeldConnections::open_many(triangle, CONNECTIONS)?;
        move_slots(triangle, &mut held)?;
        wait_for_end(triangle)?;
        let before = loads(triangle)?;
        let begin = Instant::now();
        let mut sent = 0;
        for vip in VIP.both() {
            sent += send_strays(triangle, vip)?;
        }
        println!("{sent} strays in {} ms", begin.elapsed().as_millis());
        held.check_all_answer("while strays come")?;
        wait_for_end(triangle)?;
        let mut total = 0;
        for (before, after) in before.iter().zip(loads(triangle)?) {
            let handed_on = after.handed_on - before.handed_on;
            let (delivered, limited) = (after.delivered - before.delivered, after.limited - before.limited);
            println!(
                "{}: {handed_on} handed on, {delivered} delivered, {limited} beyond the limit",
                after.node
            );
            // The tenth is for the connections' own packets.
            ensure!(handed_on <= sent + sent / 10, "{}: {handed_on} of {sent} strays handed on", after.node);
            total += handed_on;
        }
        ensure!(total > 0, "no stray was searched for: the test shows nothing");
        Ok(())
    })
}
