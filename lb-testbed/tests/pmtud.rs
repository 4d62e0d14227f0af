//! Path MTU discovery (RFC 1191, RFC 8201): connections with large packets work whatever the MTU of the links on
//! their way. Also pings to a VIP, and what clients are told of closed ports.

mod common;

use std::{
    collections::BTreeSet,
    fmt::Write,
    io::ErrorKind,
    net::{IpAddr, SocketAddr, TcpStream, UdpSocket},
    time::Duration,
};

use anyhow::{Result, ensure};
use common::{client_addresses, round::exchange_bulk, run_with_diagnostics, socket_address, wait_at_most};
use lb_testbed::{Config, PortSpec, Protocol, ServiceSpec, TCP_ECHO_PORT, Triangle, VIP, assume_peer_mss};

/// Bytes that a connection sends and gets back.
const LEN: usize = 10 << 20;
/// The longest wait for the next byte. A sender whose packets are lost waits longer after each of them.
const PATIENCE: Duration = Duration::from_secs(3);
/// By when a change of the objects has taken effect.
const PROGRAMMED: Duration = Duration::from_secs(10);

/// Links between directors and nodes carry 1500 bytes, as those to the client do.
fn one_node_config() -> Config {
    Config { nodes: 1, mtu: 1500, ..Config::l3() }
}

fn start_triangle(config: Config, delivery: &str) -> Result<Triangle> {
    Triangle::start(config, &[ServiceSpec::with_all_ports("web").delivery(delivery)])
}

/// An upload by a client that takes the MSS which it is offered.
fn upload(triangle: &Triangle, vip: IpAddr) -> Result<()> {
    triangle
        .testbed
        .client()
        .within(|| exchange_bulk(TcpStream::connect(socket_address(vip, TCP_ECHO_PORT))?, LEN, PATIENCE))
}

/// An upload by a client that fills its link's MTU, whatever MSS it is offered.
fn upload_ignoring_mss(triangle: &Triangle, vip: IpAddr) -> Result<()> {
    let client = triangle.testbed.client();
    // The kernel computes the MSS anew when the MTU of the route changes.
    set_client_mtu(triangle, 1499)?;
    client.within(|| {
        let stream = TcpStream::connect(socket_address(vip, TCP_ECHO_PORT))?;
        assume_peer_mss(&stream, if vip.is_ipv4() { 1460 } else { 1440 })?;
        set_client_mtu(triangle, 1500)?;
        exchange_bulk(stream, LEN, PATIENCE)
    })
}

fn set_client_mtu(triangle: &Triangle, mtu: u32) -> Result<()> {
    let gateways = ["198.51.100.1", "2001:db8:c::1"];
    let lines = gateways.map(|gateway| format!("route replace default via {gateway} dev eth0 mtu {mtu}\n"));
    triangle.testbed.client().ip_batch(&lines.concat())
}

/// The router forwards packets of at most `mtu` bytes to these addresses, and sends ICMP errors for longer ones.
fn limit_path_mtu(triangle: &Triangle, to: &[IpAddr], interface: &str, mtu: u32) -> Result<()> {
    let mut lines = String::new();
    for address in to {
        writeln!(lines, "route replace {address} dev {interface} mtu lock {mtu}")?;
    }
    triangle.testbed.router().ip_batch(&lines)
}

fn check_upload_ignoring_mss(delivery: &str) -> Result<()> {
    run_with_diagnostics(&mut start_triangle(one_node_config(), delivery)?, |triangle| {
        let directors = triangle.testbed.directors();
        for vip in VIP.both() {
            let before = triangle.testbed.sum_verdict(directors.iter().copied(), "tell_too_big")?;
            upload(triangle, vip)?;
            let meanwhile = triangle.testbed.sum_verdict(directors.iter().copied(), "tell_too_big")?;
            ensure!(
                meanwhile == before,
                "{vip}: {} packets too big from a client that keeps to the MSS",
                meanwhile - before
            );
            upload_ignoring_mss(triangle, vip)?;
            let after = triangle.testbed.sum_verdict(directors.iter().copied(), "tell_too_big")?;
            println!("{delivery}, {vip}: {} packets too big", after - meanwhile);
            ensure!(after > meanwhile, "{vip}: nothing was too big: the test shows nothing");
        }
        Ok(())
    })
}

#[test]
fn a_client_that_ignores_the_mss_uploads_by_ipip() -> Result<()> {
    check_upload_ignoring_mss("ipip")
}

#[test]
fn a_client_that_ignores_the_mss_uploads_by_gue() -> Result<()> {
    check_upload_ignoring_mss("gue")
}

/// The path from the router to the node has a smaller MTU than the directors' links.
fn check_path_mtu_is_learnt(delivery: &str) -> Result<()> {
    run_with_diagnostics(&mut start_triangle(one_node_config(), delivery)?, |triangle| {
        let nodes = triangle.testbed.nodes();
        limit_path_mtu(triangle, &nodes[0].addresses(), &nodes[0].name, 1400)?;
        for vip in VIP.both() {
            upload(triangle, vip)?;
            upload_ignoring_mss(triangle, vip)?;
        }
        let mut learnt = BTreeSet::new();
        for director in triangle.testbed.directors() {
            let backends = triangle.testbed.run_trigon_json(director, &["backends"])?;
            let narrow = backends.as_array().into_iter().flatten().filter(|backend| backend["mtu"] == 1400);
            learnt.extend(narrow.map(|backend| backend["address"].to_string()));
        }
        ensure!(learnt.len() == 2, "path MTUs learnt to {learnt:?}");
        Ok(())
    })
}

#[test]
fn a_path_mtu_on_the_way_to_a_node_is_learnt_by_ipip() -> Result<()> {
    check_path_mtu_is_learnt("ipip")
}

#[test]
fn a_path_mtu_on_the_way_to_a_node_is_learnt_by_gue() -> Result<()> {
    check_path_mtu_is_learnt("gue")
}

#[test]
fn status_warns_where_encapsulation_does_not_fit() -> Result<()> {
    for (mtu, warnings) in [(1500, 2), (1568, 0)] {
        run_with_diagnostics(
            &mut start_triangle(Config { mtu, ..one_node_config() }, "auto")?,
            |triangle| {
                for machine in triangle.testbed.machines() {
                    let status = triangle.testbed.agent_status(machine)?;
                    let found = status["warnings"].as_array().map_or(0, Vec::len);
                    // Of IPv4 and of IPv6.
                    ensure!(found == warnings, "{}: {status}", machine.name);
                    ensure!(status["ready"] == true, "{}: {status}", machine.name);
                }
                Ok(())
            },
        )?;
    }
    Ok(())
}

/// The reply's path is narrow. The router's error is routed as anything else
/// that it sends, and comes to a director that never saw the connection.
#[test]
fn an_error_that_comes_by_another_director_finds_the_connection() -> Result<()> {
    run_with_diagnostics(
        &mut start_triangle(Config { mtu: 1600, ..one_node_config() }, "auto")?,
        |triangle| {
            let testbed = &triangle.testbed;
            let directors = testbed.directors();
            testbed.set_directors(&[1])?;
            let mut lines = String::new();
            for vip in VIP.both() {
                let family = if vip.is_ipv4() { "-4" } else { "-6" };
                let via = if vip.is_ipv4() {
                    directors[0].address.v4.into()
                } else {
                    IpAddr::from(directors[0].address.v6)
                };
                testbed.router().ip(&format!("{family} rule add iif client lookup 100"))?;
                writeln!(lines, "route add {vip} via {via} table 100")?;
            }
            testbed.router().ip_batch(&lines)?;
            for vip in VIP.both() {
                limit_path_mtu(triangle, &client_addresses(triangle, vip), "client", 1400)?;
                let before = triangle.testbed.sum_verdict([directors[1]], "forward_gue")?;
                upload(triangle, vip)?;
                let errors = triangle.testbed.sum_verdict([directors[1]], "forward_gue")? - before;
                println!("{vip}: {errors} errors by the other director");
                // An upload has thousands of packets.
                ensure!((1..100).contains(&errors), "{vip}: {errors} packets by the other director");
            }
            Ok(())
        },
    )
}

#[test]
fn directors_answer_pings() -> Result<()> {
    let ping = |triangle: &Triangle, vip: IpAddr| {
        let vip = vip.to_string();
        triangle
            .testbed
            .client()
            .run_for_output(&["ping", "-c", "3", "-i", "0.1", "-W", "1", "-s", "1000", &vip])
    };
    run_with_diagnostics(&mut start_triangle(one_node_config(), "auto")?, |triangle| {
        for vip in VIP.both() {
            let output = ping(triangle, vip)?;
            ensure!(output.status.success(), "{vip}: {}", String::from_utf8_lossy(&output.stdout));
        }
        let answered = triangle.testbed.sum_verdict(triangle.testbed.directors(), "echo_reply")?;
        ensure!(answered == 6, "{answered} answers");
        // A ping would say that there is somebody to take a connection.
        triangle.write_objects(&[ServiceSpec::with_all_ports("web").pods(&[])])?;
        for vip in VIP.both() {
            wait_at_most(PROGRAMMED, "no answer without a backend", || {
                Ok(!ping(triangle, vip)?.status.success())
            })?;
        }
        let unanswered = triangle.testbed.sum_verdict(triangle.testbed.directors(), "icmp")?;
        ensure!(unanswered >= 6, "{unanswered} came without being answered");
        Ok(())
    })?;
    let silent = Config { agent_args: vec!["--answer-echo=false".into()], ..one_node_config() };
    run_with_diagnostics(&mut start_triangle(silent, "auto")?, |triangle| {
        for vip in VIP.both() {
            let output = ping(triangle, vip)?;
            ensure!(!output.status.success(), "{vip}: {}", String::from_utf8_lossy(&output.stdout));
        }
        Ok(())
    })
}

/// The client takes the Pod's error for its own only if it is about what the client has sent to the VIP.
#[test]
fn a_closed_udp_port_is_refused() -> Result<()> {
    const PORT: u16 = 9053;
    const CLOSED_PORT: u16 = 9054;
    let ports = vec![PortSpec::new("closed", Protocol::Udp, PORT, CLOSED_PORT)];
    let services = [ServiceSpec::new("udp", ports)];
    run_with_diagnostics(&mut Triangle::start(one_node_config(), &services)?, |triangle| {
        for vip in VIP.both() {
            for client in client_addresses(triangle, vip) {
                let source = SocketAddr::new(client, 0);
                let socket = triangle.testbed.client().within(|| Ok(UdpSocket::bind(source)?))?;
                socket.connect(socket_address(vip, PORT))?;
                socket.set_read_timeout(Some(PATIENCE))?;
                socket.send(b"a question")?;
                let answer = socket.recv(&mut [0; 64]).map_err(|error| error.kind());
                ensure!(answer == Err(ErrorKind::ConnectionRefused), "{client} -> {vip}: {answer:?}");
            }
        }
        Ok(())
    })
}
