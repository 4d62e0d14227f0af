//! The whole triangle, with routes from BGP: directors die and drain.

use std::{iter, net::IpAddr, thread, time::Duration};

use anyhow::{Result, ensure};
use lb_testbed::{Config, Triangle, UDP_ECHO_PORT, UdpStream, UdpStreamOptions, VIP, report::UdpReport};

use super::{
    common::{client_addresses, held::HeldConnections, round::Round, socket_address},
    lab::{Lab, vip_prefixes},
};

const BIRD: &str = include_str!("bird.conf");
const OBJECTS: &str = include_str!("objects.yaml");

/// Packets a second of each stream that a director's death may cost some.
const RATE: u32 = 1000;
/// Of each that must lose nothing: so few that a busy machine loses none.
const GENTLE_RATE: u32 = 500;
/// From each address of the client. Each stream goes by one of two directors: they must be so many
/// that some go by the one that dies.
const STREAMS: usize = 2;
/// Packets that a stream may lose when a director is killed, 400 ms: BFD's detection time of three
/// times 100 ms, and the router's own work.
const MOST_LOST: u64 = 400;
/// Time for routes and streams to settle before a test acts.
const SETTLE_TIME: Duration = Duration::from_secs(1);

/// Streams from all of the client's addresses, so that some go by each director.
fn start_streams(triangle: &Triangle, rate: u32, length: Duration) -> Result<Vec<UdpStream>> {
    let vip = IpAddr::from(VIP.v4);
    let stream = |source| {
        triangle.testbed.start_udp_stream(&UdpStreamOptions {
            target: socket_address(vip, UDP_ECHO_PORT),
            rate,
            length,
            source: Some(source),
            source_port: 0,
        })
    };
    let sources = client_addresses(triangle, vip).into_iter();
    sources.flat_map(|source| iter::repeat_n(source, STREAMS)).map(stream).collect()
}

fn finish_streams(streams: Vec<UdpStream>) -> Result<Vec<UdpReport>> {
    streams.into_iter().map(UdpStream::finish).collect()
}

/// A triangle of two directors that runs `test` with routes by both, which had time to settle.
fn run_with_both_paths(test: impl FnOnce(&mut Lab) -> Result<()>) -> Result<()> {
    let config = Config { directors: 2, nodes: 2, pods_per_node: 1, ..Config::l3() };
    Lab::start_bird(config, BIRD, OBJECTS)?.run_with_diagnostics(|lab| {
        wait_both_paths(lab)?;
        thread::sleep(SETTLE_TIME);
        test(lab)
    })
}

/// The router has a path to each VIP by each director.
fn wait_both_paths(lab: &Lab) -> Result<()> {
    vip_prefixes().iter().try_for_each(|prefix| lab.wait_routes(prefix, |routes| routes.len() == 2).map(drop))
}

/// The router has one path to each VIP: by director2.
fn check_only_director2(lab: &Lab) -> Result<()> {
    vip_prefixes().iter().try_for_each(|prefix| {
        let routes = lab.router.routes(prefix)?;
        ensure!(routes.len() == 1 && routes[0].from == "director2", "{prefix}: {routes:?}");
        Ok(())
    })
}

/// No stream lost a packet.
fn check_nothing_lost(streams: Vec<UdpStream>) -> Result<()> {
    let reports = finish_streams(streams)?;
    ensure!(reports.iter().all(|report| report.lost == 0), "{reports:?}");
    Ok(())
}

#[test]
fn a_director_killed_hard_costs_few_packets_and_no_connection() -> Result<()> {
    run_with_both_paths(|lab| {
        Round::of_all_pods(&lab.triangle).run(&lab.triangle)?;
        let mut held = HeldConnections::open(&lab.triangle)?;
        let streams = start_streams(&lab.triangle, RATE, 4 * SETTLE_TIME)?;
        thread::sleep(SETTLE_TIME);
        let director = lab.triangle.testbed.machine("director1")?;
        lab.triangle.testbed.set_link(director, false)?;
        let reports = finish_streams(streams)?;
        let lost: Vec<_> = reports.iter().map(|report| report.lost).collect();
        println!("lost of each stream when a director died: {lost:?}");
        let routes = || lab.triangle.testbed.router().ip("route show");
        ensure!(lost.iter().any(|lost| *lost > 0), "no stream went by the director: {}", routes()?);
        ensure!(lost.iter().all(|lost| *lost <= MOST_LOST), "{reports:?}");
        held.check_all_answer("without director1")?;
        lab.triangle.testbed.set_link(lab.triangle.testbed.machine("director1")?, true)?;
        wait_both_paths(lab)?;
        held.check_all_answer("with director1 back").map(drop)
    })
}

/// Without graceful restart: the session goes down, by TCP or by BFD, while the pinned
/// data path forwards what still comes.
#[test]
fn an_agent_that_is_killed_leaves_its_traffic_to_the_other_director() -> Result<()> {
    run_with_both_paths(|lab| {
        let mut held = HeldConnections::open(&lab.triangle)?;
        let streams = start_streams(&lab.triangle, GENTLE_RATE, 4 * SETTLE_TIME)?;
        thread::sleep(SETTLE_TIME);
        lab.triangle.agent("director1")?.kill()?;
        for prefix in vip_prefixes() {
            lab.wait_routes(&prefix, |routes| routes.len() == 1 && routes[0].from == "director2")?;
        }
        check_nothing_lost(streams)?;
        held.check_all_answer("by director2")?;
        lab.triangle.start_agent("director1", &[])?;
        lab.triangle.wait_ready("director1")?;
        wait_both_paths(lab)?;
        held.check_all_answer("with director1 back").map(drop)
    })
}

#[test]
fn a_director_that_drains_costs_no_packet() -> Result<()> {
    run_with_both_paths(|lab| {
        let mut held = HeldConnections::open(&lab.triangle)?;
        let streams = start_streams(&lab.triangle, GENTLE_RATE, 10 * SETTLE_TIME)?;
        thread::sleep(SETTLE_TIME);
        let testbed = &lab.triangle.testbed;
        let director = testbed.machine("director1")?;
        let drained = testbed.run_trigon(director, &["drain"])?;
        ensure!(drained.status.success(), "{drained:?}");
        check_only_director2(lab)?;
        let told = lab.peer_status("director1", "router-at-1")?;
        ensure!(told["state"] != "Established", "{told}");
        check_nothing_lost(streams)?;
        held.check_all_answer("with director1 drained")?;
        let undone = testbed.run_trigon(director, &["drain", "--undo"])?;
        ensure!(undone.status.success(), "{undone:?}");
        wait_both_paths(lab)?;
        held.check_all_answer("with director1 back").map(drop)
    })
}

#[test]
fn a_terminated_agent_drains_first() -> Result<()> {
    run_with_both_paths(|lab| {
        let streams = start_streams(&lab.triangle, GENTLE_RATE, 10 * SETTLE_TIME)?;
        thread::sleep(SETTLE_TIME);
        let ended = lab.triangle.agent("director1")?.terminate(Duration::from_secs(20))?;
        ensure!(ended.success(), "{ended}");
        check_only_director2(lab)?;
        check_nothing_lost(streams)
    })
}
