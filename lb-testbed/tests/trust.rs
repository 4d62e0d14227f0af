//! An outsider gets nowhere: not through our tunnels into the cluster, and
//! not by a source that is a VIP.

mod common;

use std::{
    net::{IpAddr, SocketAddr},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use common::{client_addresses, run_with_diagnostics, socket_address};
use etherparse::{IpHeaders, PacketBuilder, PacketBuilderStep};
use lb_testbed::{Config, ServiceSpec, Triangle, UDP_ECHO_PORT, VIP};
use socket2::{Domain, Protocol, Socket, Type};

const GUE_PORT: u16 = 6080;
const COUNT: u64 = 5;

fn ip(from: IpAddr, to: IpAddr) -> Result<PacketBuilderStep<IpHeaders>> {
    match (from, to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => Ok(PacketBuilder::ipv4(from.octets(), to.octets(), 64)),
        (IpAddr::V6(from), IpAddr::V6(to)) => Ok(PacketBuilder::ipv6(from.octets(), to.octets(), 64)),
        _ => anyhow::bail!("{from} and {to} are of different families"),
    }
}

fn datagram(from: SocketAddr, to: SocketAddr, data: &[u8]) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    ip(from.ip(), to.ip())?.udp(from.port(), to.port()).write_to_vec(&mut bytes, data)?;
    Ok(bytes)
}

/// `inner` in GUE, and as it is, in an IP packet from one to the other.
fn tunnels(from: IpAddr, to: IpAddr, inner: &[u8]) -> Result<[Vec<u8>; 2]> {
    let protocol = if inner.first().is_some_and(|byte| byte >> 4 == 4) { 4 } else { 41 };
    let gue = [&[0, protocol, 0, 0], inner].concat();
    let mut ipip = Vec::new();
    ip(from, to)?.write_to_vec(&mut ipip, etherparse::IpNumber(protocol), inner)?;
    Ok([datagram(SocketAddr::new(from, 50_000), SocketAddr::new(to, GUE_PORT), &gue)?, ipip])
}

/// Sends an IP packet as it is, from the client.
fn send(triangle: &Triangle, to: IpAddr, packet: &[u8]) -> Result<()> {
    triangle.testbed.client().within(|| {
        // IPPROTO_RAW: the header is in the packet.
        let socket =
            Socket::new(Domain::for_address(SocketAddr::new(to, 0)), Type::RAW, Some(Protocol::from(255)))?;
        for _ in 0..COUNT {
            socket.send_to(packet, &SocketAddr::new(to, 0).into())?;
        }
        Ok(())
    })
}

/// How often all machines came to this end.
fn counted(triangle: &Triangle, verdict: &str) -> Result<u64> {
    let machines = triangle.testbed.machines().iter();
    let counts = machines.map(|machine| {
        triangle
            .testbed
            .verdicts(machine)?
            .get(verdict)
            .copied()
            .with_context(|| format!("no verdict {verdict}"))
    });
    counts.sum()
}

/// Those that a Pod's echo was asked by.
fn askers(triangle: &Triangle) -> Result<Vec<IpAddr>> {
    let all = triangle.testbed.pods().iter().map(|pod| triangle.testbed.udp_sources(pod));
    Ok(all.collect::<Result<Vec<_>>>()?.concat())
}

#[test]
fn outsiders_do_not_get_in_by_our_tunnels() -> Result<()> {
    run_with_diagnostics(&mut Triangle::start(Config::l3(), &[ServiceSpec::everything("web")])?, |triangle| {
        let node = triangle.testbed.machine("node1")?.clone();
        let pod = triangle.testbed.pod("pod1_1")?.clone();
        for ((vip, pod), node) in VIP.both().into_iter().zip(pod.addresses()).zip(node.addresses()) {
            let client = client_addresses(triangle, vip)[0];
            let from = SocketAddr::new(client, 4242);
            for to in [pod, vip] {
                let inner = datagram(from, socket_address(to, UDP_ECHO_PORT), b"let me in")?;
                for packet in tunnels(client, node, &inner)? {
                    let before = counted(triangle, "pass_foreign_tunnel")?;
                    send(triangle, node, &packet)?;
                    thread::sleep(Duration::from_millis(100));
                    let passed = counted(triangle, "pass_foreign_tunnel")? - before;
                    println!("{client} to {to} in a tunnel to {node}: {passed} left to the kernel");
                    ensure!(passed == COUNT, "{passed} of {COUNT} came to that end");
                }
            }
        }
        ensure!(askers(triangle)?.is_empty(), "somebody got in: {:?}", askers(triangle)?);
        ensure!(counted(triangle, "deliver")? == 0, "something was delivered");
        // That nobody is there would look the same.
        for vip in VIP.both() {
            let client = client_addresses(triangle, vip)[0];
            let packet = datagram(
                SocketAddr::new(client, 4242),
                socket_address(vip, UDP_ECHO_PORT),
                b"as one should",
            )?;
            send(triangle, vip, &packet)?;
        }
        thread::sleep(Duration::from_millis(100));
        ensure!(askers(triangle)?.len() == 2, "the echo cannot be asked at all: {:?}", askers(triangle)?);
        Ok(())
    })
}

/// An echo that answers a VIP would answer itself for ever.
#[test]
fn a_request_from_a_vip_does_not_go_round() -> Result<()> {
    run_with_diagnostics(&mut Triangle::start(Config::l3(), &[ServiceSpec::everything("web")])?, |triangle| {
        for vip in VIP.both() {
            let before = (counted(triangle, "spoofed")?, counted(triangle, "forward_gue")?);
            let echo = socket_address(vip, UDP_ECHO_PORT);
            send(triangle, vip, &datagram(echo, echo, b"hello, me")?)?;
            thread::sleep(Duration::from_millis(200));
            let after = (counted(triangle, "spoofed")?, counted(triangle, "forward_gue")?);
            println!("from and to {echo}: {before:?} {after:?}");
            ensure!(after == (before.0 + COUNT, before.1 + COUNT), "{before:?} {after:?}");
        }
        Ok(())
    })
}
