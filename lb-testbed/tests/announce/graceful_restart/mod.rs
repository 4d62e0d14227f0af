//! An agent that is killed leaves its routes with the routers (RFC 4724), and
//! its data path with the kernel.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use lb_testbed::{Route, ServiceSpec, UDP_ECHO_PORT, UdpStream, UdpStreamOptions, VIP};

use super::{
    common::{socket_address, wait_at_most},
    lab::{Lab, Router, SOON, small_config, vip_prefixes},
};

mod router;

const BIRD: &str = include_str!("bird.conf");
const FRR: &str = include_str!("frr.conf");
const OBJECTS: &str = include_str!("objects.yaml");

const STREAM: Duration = Duration::from_secs(12);
/// Longer than an agent needs to start.
const ABSENCE: Duration = Duration::from_secs(2);
/// Longer than a router needs after End-of-RIB to drop what was not announced again.
const SETTLE_TIME: Duration = Duration::from_secs(3);

/// The path to each VIP; an error if a VIP has none, or more than one.
fn single_paths(lab: &Lab) -> Result<Vec<Route>> {
    let mut paths = Vec::new();
    for prefix in vip_prefixes() {
        let mut routes = lab.router.routes(&prefix)?;
        ensure!(routes.len() == 1, "{prefix}: {routes:?}");
        paths.append(&mut routes);
    }
    Ok(paths)
}

/// How many of the two sessions are down with their routes kept. BIRD says so of
/// the session, FRR of each route.
fn count_kept_sessions(lab: &Lab) -> Result<usize> {
    let paths = single_paths(lab)?;
    match &lab.router {
        Router::Bird(bird) => {
            Ok(bird.run_query("show protocols all")?.matches("Neighbor graceful restart active").count())
        }
        Router::Frr(_) => Ok(paths.iter().filter(|path| path.stale).count()),
    }
}

/// Waits until the routes of `wanted` sessions are kept while these are down; an error if a VIP is
/// without its path meanwhile.
fn wait_kept_sessions(lab: &Lab, wanted: usize, patience: Duration) -> Result<()> {
    let start = Instant::now();
    loop {
        let kept = count_kept_sessions(lab)?;
        if kept == wanted {
            return Ok(());
        }
        ensure!(start.elapsed() < patience, "routes of {kept} sessions are kept, not {wanted}");
    }
}

/// Starts a stream to the VIP of each family.
fn start_streams(lab: &Lab, length: Duration) -> Result<Vec<UdpStream>> {
    let stream = |vip| {
        lab.triangle.testbed.start_udp_stream(&UdpStreamOptions {
            target: socket_address(vip, UDP_ECHO_PORT),
            rate: 1000,
            length,
            source: None,
            source_port: 0,
        })
    };
    VIP.both().into_iter().map(stream).collect()
}

fn check_none_lost(streams: Vec<UdpStream>) -> Result<()> {
    for stream in streams {
        let report = stream.finish()?;
        println!("{} of {} lost, longest silence {} ms", report.lost, report.sent, report.max_gap_ms);
        ensure!(report.lost == 0, "{report:?}");
    }
    Ok(())
}

/// Kills the agent and starts another; the router has the routes all the while, and afterwards.
fn restart_agent(lab: &mut Lab) -> Result<()> {
    let start = Instant::now();
    lab.triangle.agent("director1")?.kill()?;
    wait_kept_sessions(lab, 2, Duration::from_secs(2))?;
    while start.elapsed() < ABSENCE {
        single_paths(lab)?;
    }
    lab.triangle.start_agent("director1", &[])?;
    wait_kept_sessions(lab, 0, SOON)?;
    println!("fresh again {:?} after the kill", start.elapsed());
    lab.triangle.wait_ready("director1")?;
    lab.wait_established("director1", "v4")?;
    lab.wait_established("director1", "v6")?;
    thread::sleep(SETTLE_TIME);
    single_paths(lab)?;
    Ok(())
}

fn check_restart_loses_nothing(lab: &mut Lab) -> Result<()> {
    lab.wait_established("director1", "v4")?;
    lab.wait_established("director1", "v6")?;
    lab.wait_announced()?;
    lab.wait_forwarding()?;
    let streams = start_streams(lab, STREAM)?;
    let start = Instant::now();
    restart_agent(lab)?;
    ensure!(start.elapsed() < STREAM, "the streams were over after {STREAM:?}");
    check_none_lost(streams)
}

#[test]
fn bird_keeps_routes_while_the_agent_restarts() -> Result<()> {
    Lab::start_bird(small_config(), BIRD, OBJECTS)?.run_with_diagnostics(check_restart_loses_nothing)
}

#[test]
fn frr_keeps_routes_while_the_agent_restarts() -> Result<()> {
    Lab::start_frr(small_config(), FRR, OBJECTS)?.run_with_diagnostics(check_restart_loses_nothing)
}

/// The kernel has nothing of such Services that would show the new agent that there was an earlier one.
#[test]
fn bird_keeps_routes_of_services_that_kube_proxy_carries() -> Result<()> {
    Lab::start_bird(small_config(), BIRD, OBJECTS)?.run_with_diagnostics(|lab| {
        lab.triangle
            .write_objects(&[ServiceSpec::with_all_ports("web").annotation("trigon.dev/dsr", "false")])?;
        wait_at_most(SOON, "nothing in the data path", || {
            let testbed = &lab.triangle.testbed;
            let services = testbed.run_trigon_json(testbed.machine("director1")?, &["services"])?;
            Ok(services.as_array().is_some_and(Vec::is_empty))
        })?;
        lab.wait_established("director1", "v4")?;
        lab.wait_established("director1", "v6")?;
        lab.wait_announced()?;
        restart_agent(lab)?;
        // Without the Restart State bit (RFC 4724, 3) BIRD would drop the routes that it kept, until
        // they are announced again.
        let told = lab.router.bird()?.run_query("show protocols all")?;
        ensure!(told.matches("Restart recovery").count() == 2, "{told}");
        Ok(())
    })
}

/// If no agent comes back, the router drops the routes when the restart time is over.
#[test]
fn bird_drops_routes_when_the_restart_time_is_over() -> Result<()> {
    let soon = OBJECTS.replace("gracefulRestartTime: 60s", "gracefulRestartTime: 2s");
    Lab::start_bird(small_config(), BIRD, &soon)?.run_with_diagnostics(|lab| {
        lab.wait_announced()?;
        lab.triangle.agent("director1")?.kill()?;
        vip_prefixes().iter().try_for_each(|prefix| lab.wait_routes(prefix, <[_]>::is_empty).map(drop))
    })
}
