//! The whole triangle, with routes from BGP: directors die and drain.

use std::{iter, net::IpAddr, thread, time::Duration};

use anyhow::{Result, ensure};
use lb_testbed::{Config, Triangle, UDP_ECHO_PORT, UdpStream, UdpStreamOptions, VIP, report::UdpReport};

use super::{
    common::{at, clients, held::Held, round::Round},
    lab::{Lab, prefixes},
};

const BIRD: &str = include_str!("bird.conf");
const OBJECTS: &str = include_str!("objects.yaml");

/// Packets a second of each stream.
const RATE: u32 = 500;
/// From each address of the client. Each stream goes by one of two directors: that all of
/// them avoid the one that dies must not happen.
const STREAMS: usize = 2;
/// Of a stream, when a director is killed: three times 100 ms, and the router's own work.
const MOST_LOST: u64 = 200;
const BEFORE: Duration = Duration::from_secs(1);

fn two_directors() -> Config {
    Config { directors: 2, nodes: 2, pods_per_node: 1, ..Config::l3() }
}

/// Streams from all of the client's addresses, so that some go by each director.
fn streams(triangle: &Triangle, length: Duration) -> Result<Vec<UdpStream>> {
    let vip = IpAddr::from(VIP.v4);
    let stream = |source| {
        triangle.testbed.udp_stream(&UdpStreamOptions {
            target: at(vip, UDP_ECHO_PORT),
            rate: RATE,
            length,
            source: Some(source),
            source_port: 0,
        })
    };
    let sources = clients(triangle, vip).into_iter();
    sources.flat_map(|source| iter::repeat_n(source, STREAMS)).map(stream).collect()
}

fn finish(streams: Vec<UdpStream>) -> Result<Vec<UdpReport>> {
    streams.into_iter().map(UdpStream::finish).collect()
}

/// The router has a path to each VIP by each director.
fn wait_both(lab: &Lab) -> Result<()> {
    prefixes().iter().try_for_each(|prefix| lab.wait_routes(prefix, |routes| routes.len() == 2).map(drop))
}

#[test]
fn a_director_killed_hard_costs_few_packets_and_no_connection() -> Result<()> {
    Lab::bird(two_directors(), BIRD, OBJECTS)?.told(|lab| {
        wait_both(lab)?;
        thread::sleep(BEFORE);
        Round::of(&lab.triangle).run(&lab.triangle)?;
        let mut held = Held::open(&lab.triangle)?;
        let streams = streams(&lab.triangle, 4 * BEFORE)?;
        thread::sleep(BEFORE);
        let director = lab.triangle.testbed.machine("director1")?;
        lab.triangle.testbed.set_link(director, false)?;
        let reports = finish(streams)?;
        let lost: Vec<_> = reports.iter().map(|report| report.lost).collect();
        println!("lost of each stream when a director died: {lost:?}");
        let routes = || lab.triangle.testbed.router().ip("route show");
        ensure!(lost.iter().any(|lost| *lost > 0), "no stream went by the director: {}", routes()?);
        ensure!(lost.iter().all(|lost| *lost <= MOST_LOST), "{reports:?}");
        held.check("without director1")?;
        lab.triangle.testbed.set_link(lab.triangle.testbed.machine("director1")?, true)?;
        wait_both(lab)?;
        held.check("with director1 back").map(drop)
    })
}

/// Without graceful restart: the session falls, by TCP or by BFD, while what is
/// pinned forwards what still comes.
#[test]
fn an_agent_that_is_killed_leaves_its_traffic_to_the_other_director() -> Result<()> {
    Lab::bird(two_directors(), BIRD, OBJECTS)?.told(|lab| {
        wait_both(lab)?;
        thread::sleep(BEFORE);
        let mut held = Held::open(&lab.triangle)?;
        let streams = streams(&lab.triangle, 4 * BEFORE)?;
        thread::sleep(BEFORE);
        lab.triangle.agent("director1")?.kill()?;
        for prefix in prefixes() {
            lab.wait_routes(&prefix, |routes| routes.len() == 1 && routes[0].from == "director2")?;
        }
        let reports = finish(streams)?;
        ensure!(reports.iter().all(|report| report.lost == 0), "{reports:?}");
        held.check("by director2")?;
        lab.triangle.launch("director1", &[])?;
        lab.triangle.wait_ready("director1")?;
        wait_both(lab)?;
        held.check("with director1 back").map(drop)
    })
}

#[test]
fn a_director_that_drains_costs_no_packet() -> Result<()> {
    Lab::bird(two_directors(), BIRD, OBJECTS)?.told(|lab| {
        wait_both(lab)?;
        thread::sleep(BEFORE);
        let mut held = Held::open(&lab.triangle)?;
        let streams = streams(&lab.triangle, 10 * BEFORE)?;
        thread::sleep(BEFORE);
        let testbed = &lab.triangle.testbed;
        let director = testbed.machine("director1")?;
        let drained = testbed.trigon(director, &["drain"])?;
        ensure!(drained.status.success(), "{drained:?}");
        for prefix in prefixes() {
            let routes = lab.router.routes(&prefix)?;
            ensure!(routes.len() == 1 && routes[0].from == "director2", "{prefix}: {routes:?}");
        }
        let told = lab.peer("director1", "router-at-1")?;
        ensure!(told["state"] != "Established", "{told}");
        let reports = finish(streams)?;
        ensure!(reports.iter().all(|report| report.lost == 0), "{reports:?}");
        held.check("with director1 drained")?;
        let undone = testbed.trigon(director, &["drain", "--undo"])?;
        ensure!(undone.status.success(), "{undone:?}");
        wait_both(lab)?;
        held.check("with director1 back").map(drop)
    })
}

#[test]
fn an_agent_told_to_end_drains_first() -> Result<()> {
    Lab::bird(two_directors(), BIRD, OBJECTS)?.told(|lab| {
        wait_both(lab)?;
        thread::sleep(BEFORE);
        let streams = streams(&lab.triangle, 10 * BEFORE)?;
        thread::sleep(BEFORE);
        let ended = lab.triangle.agent("director1")?.terminate(Duration::from_secs(20))?;
        ensure!(ended.success(), "{ended}");
        for prefix in prefixes() {
            let routes = lab.router.routes(&prefix)?;
            ensure!(routes.len() == 1 && routes[0].from == "director2", "{prefix}: {routes:?}");
        }
        let reports = finish(streams)?;
        ensure!(reports.iter().all(|report| report.lost == 0), "{reports:?}");
        Ok(())
    })
}
