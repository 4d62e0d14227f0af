//! An agent that is killed leaves its routes with the routers (RFC 4724), and
//! its data path with the kernel.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use lb_testbed::{Route, ServiceSpec, UDP_ECHO_PORT, UdpStream, UdpStreamOptions, VIP};

use super::{
    common::{at, within},
    lab::{Lab, Router, SOON, prefixes, small},
};

mod router;

const BIRD: &str = include_str!("bird.conf");
const FRR: &str = include_str!("frr.conf");
const OBJECTS: &str = include_str!("objects.yaml");

const STREAM: Duration = Duration::from_secs(12);
/// Longer than an agent needs to start.
const ABSENCE: Duration = Duration::from_secs(2);
/// The End-of-RIB is over, and what was not told again is gone.
const SETTLED: Duration = Duration::from_secs(3);

/// The one path to each VIP that there always is.
fn paths(lab: &Lab) -> Result<Vec<Route>> {
    let mut paths = Vec::new();
    for prefix in prefixes() {
        let mut routes = lab.router.routes(&prefix)?;
        ensure!(routes.len() == 1, "{prefix}: {routes:?}");
        paths.append(&mut routes);
    }
    Ok(paths)
}

/// How many of the two sessions are down with their routes kept. BIRD says so of
/// the session, FRR of each route.
fn kept(lab: &Lab) -> Result<usize> {
    let paths = paths(lab)?;
    match &lab.router {
        Router::Bird(bird) => {
            Ok(bird.ask("show protocols all")?.matches("Neighbor graceful restart active").count())
        }
        Router::Frr(_) => Ok(paths.iter().filter(|path| path.stale).count()),
    }
}

/// Looks until routes of so many sessions are but kept; there must be no moment without them.
fn watch(lab: &Lab, wanted: usize, patience: Duration) -> Result<()> {
    let start = Instant::now();
    loop {
        let kept = kept(lab)?;
        if kept == wanted {
            return Ok(());
        }
        ensure!(start.elapsed() < patience, "routes of {kept} sessions are kept, not {wanted}");
    }
}

/// By each family.
fn streams(lab: &Lab, length: Duration) -> Result<Vec<UdpStream>> {
    let stream = |vip| {
        lab.triangle.testbed.udp_stream(&UdpStreamOptions {
            target: at(vip, UDP_ECHO_PORT),
            rate: 1000,
            length,
            source: None,
            source_port: 0,
        })
    };
    VIP.both().into_iter().map(stream).collect()
}

fn none_lost(streams: Vec<UdpStream>) -> Result<()> {
    for stream in streams {
        let report = stream.finish()?;
        println!("{} of {} lost, longest silence {} ms", report.lost, report.sent, report.max_gap_ms);
        ensure!(report.lost == 0, "{report:?}");
    }
    Ok(())
}

/// Kills the agent and starts another; the router has the routes all the while, and afterwards.
fn restart(lab: &mut Lab) -> Result<()> {
    let start = Instant::now();
    lab.triangle.agent("director1")?.kill()?;
    watch(lab, 2, Duration::from_secs(2))?;
    while start.elapsed() < ABSENCE {
        paths(lab)?;
    }
    lab.triangle.launch("director1", &[])?;
    watch(lab, 0, SOON)?;
    println!("fresh again {:?} after the kill", start.elapsed());
    lab.triangle.wait_ready("director1")?;
    lab.wait_established("director1", "v4")?;
    lab.wait_established("director1", "v6")?;
    thread::sleep(SETTLED);
    paths(lab)?;
    Ok(())
}

fn nothing_is_lost(lab: &mut Lab) -> Result<()> {
    lab.wait_established("director1", "v4")?;
    lab.wait_established("director1", "v6")?;
    lab.wait_announced()?;
    lab.wait_forwarding()?;
    let streams = streams(lab, STREAM)?;
    let start = Instant::now();
    restart(lab)?;
    ensure!(start.elapsed() < STREAM, "the streams were over after {STREAM:?}");
    none_lost(streams)
}

#[test]
fn bird_keeps_routes_while_the_agent_restarts() -> Result<()> {
    Lab::bird(small(), BIRD, OBJECTS)?.told(nothing_is_lost)
}

#[test]
fn frr_keeps_routes_while_the_agent_restarts() -> Result<()> {
    Lab::frr(small(), FRR, OBJECTS)?.told(nothing_is_lost)
}

/// Of such Services nothing is in the kernel that would tell of an earlier agent.
#[test]
fn bird_keeps_routes_of_services_that_kube_proxy_carries() -> Result<()> {
    Lab::bird(small(), BIRD, OBJECTS)?.told(|lab| {
        lab.triangle.write(&[ServiceSpec::everything("web").annotation("trigon.dev/dsr", "false")])?;
        within(SOON, "nothing in the data path", || {
            let testbed = &lab.triangle.testbed;
            let services = testbed.trigon_json(testbed.machine("director1")?, &["services"])?;
            Ok(services.as_array().is_some_and(Vec::is_empty))
        })?;
        lab.wait_established("director1", "v4")?;
        lab.wait_established("director1", "v6")?;
        lab.wait_announced()?;
        restart(lab)?;
        // Else it drops what it kept, if only for the moment until it is told again.
        let told = lab.router.bird()?.ask("show protocols all")?;
        ensure!(told.matches("Restart recovery").count() == 2, "{told}");
        Ok(())
    })
}

/// A router that finds no agent again takes the routes for lost when the time is over.
#[test]
fn bird_drops_routes_when_the_restart_time_is_over() -> Result<()> {
    let soon = OBJECTS.replace("gracefulRestartTime: 60s", "gracefulRestartTime: 2s");
    Lab::bird(small(), BIRD, &soon)?.told(|lab| {
        lab.wait_announced()?;
        lab.triangle.agent("director1")?.kill()?;
        prefixes().iter().try_for_each(|prefix| lab.wait_routes(prefix, <[_]>::is_empty).map(drop))
    })
}
