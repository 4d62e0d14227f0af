//! A node is cut off: directors notice by themselves, and send it nothing more;
//! it comes back, and is one of them again. The objects say nothing of it.

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

/// From the cut to the last packet: what the issue asks for.
const BOUND: Duration = Duration::from_millis(500);
/// How long the node stays away.
const AWAY: Duration = Duration::from_secs(2);
/// Retransmissions of that long a silence come within as long again.
const PATIENCE: Duration = Duration::from_secs(8);
const INTERVAL: Duration = Duration::from_millis(200);

/// How a packet of the service goes to a node.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum By {
    Mac,
    Tunnel(Tunnel),
}

/// A packet of the service to this node, and how it gets there. Not a probe.
fn to_node(machine: &Machine) -> Result<impl Fn(&Frame) -> Option<By> + Send + use<>> {
    let link: Value = serde_json::from_str(&machine.namespace.ip("-j link show eth0")?)?;
    let mac = link[0]["address"].as_str().context("eth0 has no address")?;
    let mac: Vec<u8> = mac.split(':').map(|byte| u8::from_str_radix(byte, 16)).collect::<Result<_, _>>()?;
    let (own, vips) = (machine.addresses(), VIP.both());
    Ok(move |frame: &Frame| {
        let packet = frame.packet()?;
        if vips.contains(&packet.to) {
            return (frame.to_mac()? == *mac).then_some(By::Mac);
        }
        let (tunnel, inner) = packet.inner().filter(|_| own.contains(&packet.to))?;
        vips.contains(&inner.to).then_some(By::Tunnel(tunnel))
    })
}

/// Connections of both families that go on.
struct Connections(Vec<TcpHold>);

impl Connections {
    fn open(triangle: &Triangle, each: usize) -> Result<Self> {
        let hold = |vip: IpAddr| {
            triangle.testbed.tcp_hold(&TcpHoldOptions {
                target: socket_address(vip, TCP_ECHO_PORT),
                connections: each,
                sources: client_addresses(triangle, vip),
                interval: INTERVAL,
            })
        };
        let mut connections = Self(VIP.both().into_iter().map(hold).collect::<Result<_>>()?);
        let report = connections.report()?;
        ensure!(report.opened == 2 * each as u64 && report.broken == 0, "not all opened: {report:?}");
        Ok(connections)
    }

    fn report(&mut self) -> Result<TcpReport> {
        let mut sum = TcpReport::default();
        for hold in &mut self.0 {
            let one = hold.status()?;
            sum.opened += one.opened;
            sum.broken += one.broken;
            sum.echoes += one.echoes;
            one.per_pod.into_iter().for_each(|(pod, count)| *sum.per_pod.entry(pod).or_default() += count);
            sum.errors.extend(one.errors);
        }
        Ok(sum)
    }

    /// All but those on Pods of this node get answers, and none is broken.
    fn go_on_but(&mut self, away: Option<&Machine>) -> Result<()> {
        let before = self.report()?;
        let is_away = |pod: &str| away.is_some_and(|node| pod.starts_with(&node.name.replace("node", "pod")));
        let stuck: u64 = before.per_pod.iter().filter(|(pod, _)| is_away(pod)).map(|(_, count)| count).sum();
        let going = before.opened - stuck;
        ensure!(away.is_none() || stuck > 0 && going > 0, "nothing to see: {before:?}");
        // Twice, since one of them may be between two lines.
        wait_at_most(PATIENCE, "connections go on", || {
            let now = self.report()?;
            ensure!(now.broken == 0, "broken: {now:?}");
            Ok(now.echoes >= before.echoes + 2 * going)
        })
        .map(drop)
    }
}

/// Does a director's agent say so of the node?
fn is_alive(triangle: &Triangle, director: &Machine, node: &Machine) -> Result<bool> {
    let backends = triangle.testbed.trigon_json(director, &["backends"])?;
    let rows = backends.as_array().context("no list")?;
    let its: Vec<_> = rows.iter().filter(|row| row["node"] == node.name).collect();
    ensure!(!its.is_empty(), "{director:?} does not know {}", node.name);
    Ok(its.iter().all(|row| row["health"][0]["alive"] == true))
}

fn all_say(triangle: &Triangle, node: &Machine, alive: bool) -> Result<bool> {
    let mut directors = triangle.testbed.directors().into_iter();
    directors.try_fold(true, |all, director| Ok(all && is_alive(triangle, director, node)? == alive))
}

/// The problems of a director that is ready all the same.
fn problems(triangle: &Triangle, director: &Machine) -> Result<Vec<String>> {
    let status = triangle.testbed.status(director)?;
    ensure!(status["ready"] == true, "{status}");
    Ok(serde_json::from_value(status["problems"].clone())?)
}

fn requests_are_answered(triangle: &Triangle) -> Result<()> {
    for vip in VIP.both() {
        let answers = triangle.testbed.requests(socket_address(vip, 80), 10)?;
        ensure!(answers.all_answered(), "{answers:?}");
    }
    Ok(())
}

fn dies_and_returns(config: Config, delivery: &str, by: By) -> Result<()> {
    let services = [ServiceSpec::everything("web").delivery(delivery)];
    run_with_diagnostics(&mut Triangle::start(config, &services)?, |triangle| {
        let testbed = &triangle.testbed;
        let node = testbed.machine("node2")?;
        let capture = Capture::start(&node.upstream, to_node(node)?)?;
        let mut before = Connections::open(triangle, 60)?;
        let mut streams = Vec::new();
        for vip in VIP.both() {
            for source in client_addresses(triangle, vip) {
                let (target, length) = (socket_address(vip, UDP_ECHO_PORT), Duration::from_secs(3));
                let options =
                    UdpStreamOptions { target, rate: 200, length, source: Some(source), source_port: 0 };
                streams.push(testbed.udp_stream(&options)?);
            }
        }
        thread::sleep(Duration::from_secs(1));
        let cut = SystemTime::now();
        testbed.set_link(node, false)?;
        thread::sleep(AWAY);
        ensure!(all_say(triangle, node, false)?, "{} looks alive", node.name);
        for director in testbed.directors() {
            let problems = problems(triangle, director)?;
            ensure!(problems.iter().any(|p| p.contains(&node.address.v4.to_string())), "{problems:?}");
        }
        let passed = capture.finish()?;
        let silence =
            last(&passed, by)?.duration_since(cut).context("nothing was sent to it after the cut")?;
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
        requests_are_answered(triangle)?;
        before.go_on_but(Some(node))?;
        let mut meanwhile = Connections::open(triangle, 60)?;
        for stream in streams {
            let report = stream.finish()?;
            println!("UDP: {} of {} lost, longest gap {} ms", report.lost, report.sent, report.max_gap_ms);
        }
        let capture = Capture::start(&node.upstream, to_node(node)?)?;
        testbed.set_link(node, true)?;
        let after = wait_at_most(PATIENCE, "it is back", || all_say(triangle, node, true))?;
        println!("{} is back {after:?} after its link", node.name);
        meanwhile.go_on_but(None)?;
        before.go_on_but(None)?;
        requests_are_answered(triangle)?;
        last(&capture.finish()?, by)?;
        Ok(())
    })
}

/// When a director last sent a packet this way.
fn last(passed: &[(SystemTime, By)], by: By) -> Result<SystemTime> {
    let its = passed.iter().filter(|(_, how)| *how == by).map(|(at, _)| *at);
    its.max().with_context(|| format!("directors sent nothing by {by:?}"))
}

#[test]
fn a_node_behind_a_router_dies_and_returns() -> Result<()> {
    dies_and_returns(Config::l3(), "auto", By::Tunnel(Tunnel::Gue))
}

#[test]
fn a_node_reached_by_ipip_dies_and_returns() -> Result<()> {
    dies_and_returns(Config::l3(), "ipip", By::Tunnel(Tunnel::Ipip))
}

#[test]
fn a_node_on_the_same_link_dies_and_returns() -> Result<()> {
    dies_and_returns(Config::l2(), "auto", By::Mac)
}

/// `tcp-hold` gives an echo up after 10 s.
const HANGING: Duration = Duration::from_secs(12);

/// A node that asks a dead one for a flow would never hear of it.
#[test]
fn the_death_of_a_node_breaks_no_connection_that_another_one_took_on_before() -> Result<()> {
    let all = [ServiceSpec::everything("web")];
    let on_node3 = [ServiceSpec::everything("web").pods(&["pod3_1", "pod3_2"])];
    run_with_diagnostics(&mut Triangle::start(Config::l3(), &on_node3)?, |triangle| {
        let mut connections = Connections::open(triangle, 60)?;
        triangle.write(&all)?;
        thread::sleep(AWAY);
        connections.go_on_but(None)?;
        let node = triangle.testbed.machine("node2")?;
        triangle.testbed.set_link(node, false)?;
        thread::sleep(HANGING);
        let report = connections.report()?;
        println!("{} of {} connections to node3 broken by the death of node2", report.broken, report.opened);
        ensure!(report.broken == 0, "{report:?}");
        Ok(())
    })
}

/// Datagrams of unknown flows are offered to former owners for a while after a
/// change of owners; here, after the start.
#[test]
fn the_death_of_a_node_costs_no_flow_that_begins_after_it() -> Result<()> {
    run_with_diagnostics(&mut Triangle::start(Config::l3(), &[ServiceSpec::everything("web")])?, |triangle| {
        let testbed = &triangle.testbed;
        testbed.set_link(testbed.machine("node2")?, false)?;
        thread::sleep(AWAY);
        for vip in VIP.both() {
            let answered = testbed.client().within(|| new_flows(vip))?;
            println!("{answered} of {FLOWS} flows to {vip} answered");
            ensure!(answered == FLOWS, "{answered} of {FLOWS} flows to {vip} answered");
        }
        Ok(())
    })
}

const FLOWS: usize = 60;

/// How many of so many UDP flows get an answer to their first datagram.
fn new_flows(vip: IpAddr) -> Result<usize> {
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

/// It is more likely the asking that fails: rings stay as they are, and people are told.
#[test]
fn if_all_nodes_look_dead_none_leaves_the_rings() -> Result<()> {
    run_with_diagnostics(&mut Triangle::start(Config::l3(), &[ServiceSpec::everything("web")])?, |triangle| {
        let testbed = &triangle.testbed;
        let mut connections = Connections::open(triangle, 20)?;
        let slots = || -> Result<Vec<u64>> {
            let services = testbed.trigon_json(testbed.directors()[0], &["services"])?;
            let shares = services[0]["backends"].as_array().context("no backends")?.clone();
            Ok(shares.iter().filter_map(|share| share["slots"].as_u64()).collect())
        };
        let full = slots()?;
        testbed.nodes().into_iter().try_for_each(|node| testbed.set_link(node, false))?;
        let told = wait_at_most(PATIENCE, "the directors say so", || {
            let problems = problems(triangle, testbed.directors()[0])?;
            Ok(problems.iter().any(|problem| problem.contains("none of its backends answers")))
        })?;
        println!("told after {told:?}: {:?}", problems(triangle, testbed.directors()[0])?);
        ensure!(slots()? == full, "{:?}, not {full:?}", slots()?);
        testbed.nodes().into_iter().try_for_each(|node| testbed.set_link(node, true))?;
        wait_at_most(
            PATIENCE,
            "all are back",
            || Ok(problems(triangle, testbed.directors()[0])?.is_empty()),
        )?;
        connections.go_on_but(None)?;
        requests_are_answered(triangle)
    })
}
