//! A node's link is cut: directors notice by their own probes and stop forwarding to it. The link comes back:
//! they forward to it again. The Kubernetes objects do not change meanwhile.

mod common;

use std::{
    net::{IpAddr, UdpSocket},
    thread,
    time::{Duration, SystemTime},
};

use anyhow::{Context, Result, ensure};
use common::{client_addresses, run_with_diagnostics, socket_address, wait_at_most};
use lb_testbed::{
    Capture, Config, Frame, Machine, ServiceSpec, TCP_ECHO_PORT, TcpHold, TcpHoldOptions, Triangle, Tunnel,
    UDP_ECHO_PORT, UdpStreamOptions, VIP, report::TcpReport,
};
use serde_json::Value;

/// The longest time allowed from the cut to the last packet that is forwarded to the node.
const BOUND: Duration = Duration::from_millis(500);
/// How long the node's link stays cut.
const AWAY: Duration = Duration::from_secs(2);
/// TCP backs off exponentially: after a silence of `AWAY`, the next retransmission comes within about `AWAY`.
const PATIENCE: Duration = Duration::from_secs(8);
const INTERVAL: Duration = Duration::from_millis(200);

/// How a packet of the service is addressed to a node: by its MAC address on the same link, or in a tunnel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum ForwardingMethod {
    Mac,
    Tunnel(Tunnel),
}

/// A filter for captures: how a packet of the service is sent to this node; `None` for others, probes included.
fn filter_packets_to_node(
    machine: &Machine,
) -> Result<impl Fn(&Frame) -> Option<ForwardingMethod> + Send + use<>> {
    let link: Value = serde_json::from_str(&machine.namespace.ip("-j link show eth0")?)?;
    let mac = link[0]["address"].as_str().context("eth0 has no address")?;
    let mac: Vec<u8> = mac.split(':').map(|byte| u8::from_str_radix(byte, 16)).collect::<Result<_, _>>()?;
    let (own, vips) = (machine.addresses(), VIP.both());
    Ok(move |frame: &Frame| {
        let packet = frame.packet()?;
        if vips.contains(&packet.to) {
            return (frame.to_mac()? == *mac).then_some(ForwardingMethod::Mac);
        }
        let (tunnel, inner) = packet.inner_packet().filter(|_| own.contains(&packet.to))?;
        vips.contains(&inner.to).then_some(ForwardingMethod::Tunnel(tunnel))
    })
}

/// TCP connections of both families that exchange echoes all the time.
struct Connections(Vec<TcpHold>);

impl Connections {
    fn open(triangle: &Triangle, each: usize) -> Result<Self> {
        let hold = |vip: IpAddr| {
            triangle.testbed.start_tcp_hold(&TcpHoldOptions {
                target: socket_address(vip, TCP_ECHO_PORT),
                connections: each,
                sources: client_addresses(triangle, vip),
                interval: INTERVAL,
            })
        };
        let mut connections = Self(VIP.both().into_iter().map(hold).collect::<Result<_>>()?);
        let report = connections.read_report()?;
        ensure!(report.opened == 2 * each as u64 && report.broken == 0, "not all opened: {report:?}");
        Ok(connections)
    }

    fn read_report(&mut self) -> Result<TcpReport> {
        let mut sum = TcpReport::default();
        for hold in &mut self.0 {
            let one = hold.read_report()?;
            sum.opened += one.opened;
            sum.broken += one.broken;
            sum.echoes += one.echoes;
            one.per_pod.into_iter().for_each(|(pod, count)| *sum.per_pod.entry(pod).or_default() += count);
            sum.errors.extend(one.errors);
        }
        Ok(sum)
    }

    /// Checks that all connections but those to Pods of `away` get echoes, and that none is broken.
    fn check_echoes_except(&mut self, away: Option<&Machine>) -> Result<()> {
        let before = self.read_report()?;
        let is_away = |pod: &str| away.is_some_and(|node| pod.starts_with(&node.name.replace("node", "pod")));
        let stuck: u64 = before.per_pod.iter().filter(|(pod, _)| is_away(pod)).map(|(_, count)| count).sum();
        let going = before.opened - stuck;
        ensure!(
            away.is_none() || stuck > 0 && going > 0,
            "all or no connections are to the node: {before:?}"
        );
        // Twice as many echoes as connections, since some may be counted in the middle of an exchange.
        wait_at_most(PATIENCE, "connections go on", || {
            let now = self.read_report()?;
            ensure!(now.broken == 0, "broken: {now:?}");
            Ok(now.echoes >= before.echoes + 2 * going)
        })
        .map(drop)
    }
}

/// Whether a director's agent shows all backends on the node as alive.
fn is_alive(triangle: &Triangle, director: &Machine, node: &Machine) -> Result<bool> {
    let backends = triangle.testbed.run_trigon_json(director, &["backends"])?;
    let rows = backends.as_array().context("no list")?;
    let its: Vec<_> = rows.iter().filter(|row| row["node"] == node.name).collect();
    ensure!(!its.is_empty(), "{director:?} does not know {}", node.name);
    Ok(its.iter().all(|row| row["health"][0]["alive"] == true))
}

fn all_directors_report(triangle: &Triangle, node: &Machine, alive: bool) -> Result<bool> {
    let mut directors = triangle.testbed.directors().into_iter();
    directors.try_fold(true, |all, director| Ok(all && is_alive(triangle, director, node)? == alive))
}

/// The problems in a director's status; an error if it is not ready.
fn read_problems(triangle: &Triangle, director: &Machine) -> Result<Vec<String>> {
    let status = triangle.testbed.agent_status(director)?;
    ensure!(status["ready"] == true, "{status}");
    Ok(serde_json::from_value(status["problems"].clone())?)
}

fn check_requests(triangle: &Triangle) -> Result<()> {
    for vip in VIP.both() {
        let answers = triangle.testbed.send_requests(socket_address(vip, 80), 10)?;
        ensure!(answers.all_answered(), "{answers:?}");
    }
    Ok(())
}

fn check_node_death_and_return(config: Config, delivery: &str, by: ForwardingMethod) -> Result<()> {
    let services = [ServiceSpec::with_all_ports("web").delivery(delivery)];
    run_with_diagnostics(&mut Triangle::start(config, &services)?, |triangle| {
        let testbed = &triangle.testbed;
        let node = testbed.machine("node2")?;
        let capture = Capture::start(&node.upstream, filter_packets_to_node(node)?)?;
        let mut before = Connections::open(triangle, 60)?;
        let mut streams = Vec::new();
        for vip in VIP.both() {
            for source in client_addresses(triangle, vip) {
                let (target, length) = (socket_address(vip, UDP_ECHO_PORT), Duration::from_secs(3));
                let options =
                    UdpStreamOptions { target, rate: 200, length, source: Some(source), source_port: 0 };
                streams.push(testbed.start_udp_stream(&options)?);
            }
        }
        thread::sleep(Duration::from_secs(1));
        let cut = SystemTime::now();
        testbed.set_link(node, false)?;
        thread::sleep(AWAY);
        ensure!(all_directors_report(triangle, node, false)?, "{} looks alive", node.name);
        for director in testbed.directors() {
            let problems = read_problems(triangle, director)?;
            ensure!(problems.iter().any(|p| p.contains(&node.address.v4.to_string())), "{problems:?}");
        }
        let passed = capture.finish()?;
        let silence = last_forwarded_at(&passed, by)?
            .duration_since(cut)
            .context("nothing was sent to it after the cut")?;
        let handed_on: Vec<_> = passed.iter().filter(|(at, how)| *how != by && *at > cut).collect();
        println!(
            "{by:?}: the last packet {silence:?} after the cut; nodes handed {} on since",
            handed_on.len()
        );
        ensure!(silence <= BOUND, "a director sent to it {silence:?} after the cut");
        ensure!(
            handed_on.iter().all(|(at, _)| *at <= cut + BOUND),
            "a node handed on to it later than {BOUND:?} after the cut"
        );
        check_requests(triangle)?;
        before.check_echoes_except(Some(node))?;
        let mut meanwhile = Connections::open(triangle, 60)?;
        for stream in streams {
            let report = stream.finish()?;
            println!("UDP: {} of {} lost, longest gap {} ms", report.lost, report.sent, report.max_gap_ms);
        }
        let capture = Capture::start(&node.upstream, filter_packets_to_node(node)?)?;
        testbed.set_link(node, true)?;
        let after = wait_at_most(PATIENCE, "it is back", || all_directors_report(triangle, node, true))?;
        println!("{} is back {after:?} after its link", node.name);
        meanwhile.check_echoes_except(None)?;
        before.check_echoes_except(None)?;
        check_requests(triangle)?;
        last_forwarded_at(&capture.finish()?, by)?;
        Ok(())
    })
}

/// When the last packet was sent to the node this way; an error if there was none.
fn last_forwarded_at(passed: &[(SystemTime, ForwardingMethod)], by: ForwardingMethod) -> Result<SystemTime> {
    let its = passed.iter().filter(|(_, how)| *how == by).map(|(at, _)| *at);
    its.max().with_context(|| format!("directors sent nothing by {by:?}"))
}

#[test]
fn traffic_avoids_a_dead_node_behind_a_router_until_it_returns() -> Result<()> {
    check_node_death_and_return(Config::l3(), "auto", ForwardingMethod::Tunnel(Tunnel::Gue))
}

#[test]
fn traffic_avoids_a_dead_node_reached_by_ipip_until_it_returns() -> Result<()> {
    check_node_death_and_return(Config::l3(), "ipip", ForwardingMethod::Tunnel(Tunnel::Ipip))
}

#[test]
fn traffic_avoids_a_dead_node_on_the_same_link_until_it_returns() -> Result<()> {
    check_node_death_and_return(Config::l2(), "auto", ForwardingMethod::Mac)
}

/// `tcp-hold` gives an echo up after 10 s.
const PAST_ECHO_TIMEOUT: Duration = Duration::from_secs(12);

/// A packet that a node hands on to a dead former owner of its slot would be lost.
#[test]
fn the_death_of_a_node_breaks_no_connection_that_another_one_took_on_before() -> Result<()> {
    let all = [ServiceSpec::with_all_ports("web")];
    let on_node3 = [ServiceSpec::with_all_ports("web").pods(&["pod3_1", "pod3_2"])];
    run_with_diagnostics(&mut Triangle::start(Config::l3(), &on_node3)?, |triangle| {
        let mut connections = Connections::open(triangle, 60)?;
        triangle.write_objects(&all)?;
        thread::sleep(AWAY);
        connections.check_echoes_except(None)?;
        let node = triangle.testbed.machine("node2")?;
        triangle.testbed.set_link(node, false)?;
        thread::sleep(PAST_ECHO_TIMEOUT);
        let report = connections.read_report()?;
        println!("{} of {} connections to node3 broken by the death of node2", report.broken, report.opened);
        ensure!(report.broken == 0, "{report:?}");
        Ok(())
    })
}

/// Datagrams of unknown flows are offered to former owners for a while after a
/// change of owners; here, after the start.
#[test]
fn the_death_of_a_node_costs_no_flow_that_begins_after_it() -> Result<()> {
    run_with_diagnostics(
        &mut Triangle::start(Config::l3(), &[ServiceSpec::with_all_ports("web")])?,
        |triangle| {
            let testbed = &triangle.testbed;
            testbed.set_link(testbed.machine("node2")?, false)?;
            thread::sleep(AWAY);
            for vip in VIP.both() {
                let answered = testbed.client().within(|| count_answered_flows(vip))?;
                println!("{answered} of {FLOWS} flows to {vip} answered");
                ensure!(answered == FLOWS, "{answered} of {FLOWS} flows to {vip} answered");
            }
            Ok(())
        },
    )
}

const FLOWS: usize = 60;

/// How many of `FLOWS` new UDP flows get an answer to their first datagram.
fn count_answered_flows(vip: IpAddr) -> Result<usize> {
    let any = if vip.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let mut sockets = Vec::new();
    for _ in 0..FLOWS {
        let socket = UdpSocket::bind(any)?;
        socket.set_read_timeout(Some(Duration::from_secs(1)))?;
        socket.send_to(b"hello", socket_address(vip, UDP_ECHO_PORT))?;
        sockets.push(socket);
    }
    Ok(sockets.iter().filter(|socket| socket.recv(&mut [0; 64]).is_ok()).count())
}

/// If no node answers, the probes are more likely at fault than all nodes: rings do not change, status reports it.
#[test]
fn if_all_nodes_look_dead_none_leaves_the_rings() -> Result<()> {
    run_with_diagnostics(
        &mut Triangle::start(Config::l3(), &[ServiceSpec::with_all_ports("web")])?,
        |triangle| {
            let testbed = &triangle.testbed;
            let mut connections = Connections::open(triangle, 20)?;
            let slots = || -> Result<Vec<u64>> {
                let services = testbed.run_trigon_json(testbed.directors()[0], &["services"])?;
                let shares = services[0]["backends"].as_array().context("no backends")?.clone();
                Ok(shares.iter().filter_map(|share| share["slots"].as_u64()).collect())
            };
            let full = slots()?;
            testbed.nodes().into_iter().try_for_each(|node| testbed.set_link(node, false))?;
            let told = wait_at_most(PATIENCE, "the directors say so", || {
                let problems = read_problems(triangle, testbed.directors()[0])?;
                Ok(problems.iter().any(|problem| problem.contains("none of its backends answers")))
            })?;
            println!("told after {told:?}: {:?}", read_problems(triangle, testbed.directors()[0])?);
            ensure!(slots()? == full, "{:?}, not {full:?}", slots()?);
            testbed.nodes().into_iter().try_for_each(|node| testbed.set_link(node, true))?;
            wait_at_most(PATIENCE, "all are back", || {
                Ok(read_problems(triangle, testbed.directors()[0])?.is_empty())
            })?;
            connections.check_echoes_except(None)?;
            check_requests(triangle)
        },
    )
}
