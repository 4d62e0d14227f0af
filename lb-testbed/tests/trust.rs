//! Packets of outsiders are not delivered: neither tunnelled ones to a node, nor those with a VIP as source.

mod common;

use std::{
    net::{IpAddr, SocketAddr},
    thread,
    time::Duration,
};

use anyhow::{Result, ensure};
use common::{client_addresses, run_with_diagnostics, socket_address};
use etherparse::{IpHeaders, PacketBuilder, PacketBuilderStep};
use lb_testbed::{Config, ServiceSpec, Triangle, UDP_ECHO_PORT, VIP};
use socket2::{Domain, Protocol, Socket, Type};

const GUE_PORT: u16 = 6080;
const COUNT: u64 = 5;

fn ip_builder(from: IpAddr, to: IpAddr) -> Result<PacketBuilderStep<IpHeaders>> {
    match (from, to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => Ok(PacketBuilder::ipv4(from.octets(), to.octets(), 64)),
        (IpAddr::V6(from), IpAddr::V6(to)) => Ok(PacketBuilder::ipv6(from.octets(), to.octets(), 64)),
        _ => anyhow::bail!("{from} and {to} are of different families"),
    }
}

fn datagram(from: SocketAddr, to: SocketAddr, data: &[u8]) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    ip_builder(from.ip(), to.ip())?.udp(from.port(), to.port()).write_to_vec(&mut bytes, data)?;
    Ok(bytes)
}

/// `inner` in GUE, and in IP-in-IP, from one address to the other.
fn encapsulate(from: IpAddr, to: IpAddr, inner: &[u8]) -> Result<[Vec<u8>; 2]> {
    let protocol = if inner.first().is_some_and(|byte| byte >> 4 == 4) { 4 } else { 41 };
    let gue = [&[0, protocol, 0, 0], inner].concat();
    let mut ipip = Vec::new();
    ip_builder(from, to)?.write_to_vec(&mut ipip, etherparse::IpNumber(protocol), inner)?;
    Ok([datagram(SocketAddr::new(from, 50_000), SocketAddr::new(to, GUE_PORT), &gue)?, ipip])
}

/// Sends an IP packet `COUNT` times from the client, without a change.
fn send_packets(triangle: &Triangle, to: IpAddr, packet: &[u8]) -> Result<()> {
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

/// The sources of all datagrams that the Pods' UDP echoes got.
fn udp_echo_sources(triangle: &Triangle) -> Result<Vec<IpAddr>> {
    let all = triangle.testbed.pods().iter().map(|pod| triangle.testbed.udp_sources(pod));
    Ok(all.collect::<Result<Vec<_>>>()?.concat())
}

#[test]
fn outsiders_do_not_get_in_by_our_tunnels() -> Result<()> {
    run_with_diagnostics(
        &mut Triangle::start(Config::l3(), &[ServiceSpec::with_all_ports("web")])?,
        |triangle| {
            let node = triangle.testbed.machine("node1")?.clone();
            let pod = triangle.testbed.pod("pod1_1")?.clone();
            for ((vip, pod), node) in VIP.both().into_iter().zip(pod.addresses()).zip(node.addresses()) {
                let client = client_addresses(triangle, vip)[0];
                let from = SocketAddr::new(client, 4242);
                for to in [pod, vip] {
                    let inner = datagram(from, socket_address(to, UDP_ECHO_PORT), b"let me in")?;
                    for packet in encapsulate(client, node, &inner)? {
                        let before = triangle
                            .testbed
                            .sum_verdict(triangle.testbed.machines(), "pass_foreign_tunnel")?;
                        send_packets(triangle, node, &packet)?;
                        thread::sleep(Duration::from_millis(100));
                        let passed = triangle
                            .testbed
                            .sum_verdict(triangle.testbed.machines(), "pass_foreign_tunnel")?
                            - before;
                        println!("{client} to {to} in a tunnel to {node}: {passed} left to the kernel");
                        ensure!(passed == COUNT, "{passed} of {COUNT} were counted as pass_foreign_tunnel");
                    }
                }
            }
            ensure!(
                udp_echo_sources(triangle)?.is_empty(),
                "somebody got in: {:?}",
                udp_echo_sources(triangle)?
            );
            ensure!(
                triangle.testbed.sum_verdict(triangle.testbed.machines(), "deliver")? == 0,
                "something was delivered"
            );
            // An echo that does not run would look the same, so check that it answers.
            for vip in VIP.both() {
                let client = client_addresses(triangle, vip)[0];
                let packet = datagram(
                    SocketAddr::new(client, 4242),
                    socket_address(vip, UDP_ECHO_PORT),
                    b"as one should",
                )?;
                send_packets(triangle, vip, &packet)?;
            }
            thread::sleep(Duration::from_millis(100));
            ensure!(
                udp_echo_sources(triangle)?.len() == 2,
                "the echo cannot be asked at all: {:?}",
                udp_echo_sources(triangle)?
            );
            Ok(())
        },
    )
}

/// An echo that answers a request from a VIP would send to itself for ever.
#[test]
fn a_request_from_a_vip_does_not_go_round() -> Result<()> {
    run_with_diagnostics(
        &mut Triangle::start(Config::l3(), &[ServiceSpec::with_all_ports("web")])?,
        |triangle| {
            for vip in VIP.both() {
                let before = (
                    triangle.testbed.sum_verdict(triangle.testbed.machines(), "spoofed")?,
                    triangle.testbed.sum_verdict(triangle.testbed.machines(), "forward_gue")?,
                );
                let echo = socket_address(vip, UDP_ECHO_PORT);
                send_packets(triangle, vip, &datagram(echo, echo, b"hello, me")?)?;
                thread::sleep(Duration::from_millis(200));
                let after = (
                    triangle.testbed.sum_verdict(triangle.testbed.machines(), "spoofed")?,
                    triangle.testbed.sum_verdict(triangle.testbed.machines(), "forward_gue")?,
                );
                println!("from and to {echo}: {before:?} {after:?}");
                ensure!(after == (before.0 + COUNT, before.1 + COUNT), "{before:?} {after:?}");
            }
            Ok(())
        },
    )
}
