//! What several of the tests need.

#![allow(dead_code, reason = "no test needs everything")]

pub mod download;
pub mod held;
pub mod raw;
pub mod remaking;
pub mod round;
pub mod streams;

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, bail, ensure};
use lb_testbed::{Triangle, VIP};

pub const TOOL: &str = env!("CARGO_BIN_EXE_testbed-tool");
/// How long to wait for what takes its time.
const PATIENCE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(20);

/// Waits for what takes its time.
pub fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < deadline, "{what}: not within {PATIENCE:?}");
        thread::sleep(PAUSE);
    }
}

/// The same for what may fail; how long it took.
pub fn wait_at_most(
    patience: Duration,
    what: &str,
    mut done: impl FnMut() -> Result<bool>,
) -> Result<Duration> {
    let start = Instant::now();
    loop {
        let last = done();
        if matches!(last, Ok(true)) {
            return Ok(start.elapsed());
        }
        if start.elapsed() > patience {
            bail!("{what}: not within {patience:?}: {last:?}");
        }
        thread::sleep(PAUSE);
    }
}

/// An error comes with what all agents know.
pub fn run_with_diagnostics<T>(
    triangle: &mut Triangle,
    act: impl FnOnce(&mut Triangle) -> Result<T>,
) -> Result<T> {
    act(triangle).map_err(|error| {
        let story = triangle.describe_agents();
        error.context(story)
    })
}

/// The client's addresses of a family.
pub fn client_addresses(triangle: &Triangle, like: IpAddr) -> Vec<IpAddr> {
    let addresses = triangle.testbed.client_addresses().iter().flat_map(|dual| dual.both());
    addresses.filter(|address| address.is_ipv4() == like.is_ipv4()).collect()
}

/// The Pod that answers each client address at a port of both VIPs; an error if several answer the same one.
pub fn pods_of_clients(triangle: &Triangle, port: u16) -> Result<BTreeMap<IpAddr, String>> {
    let mut pods = BTreeMap::new();
    for vip in VIP.both() {
        for client in client_addresses(triangle, vip) {
            let answers = triangle.testbed.send_requests_from(client, socket_address(vip, port), 10)?;
            ensure!(answers.all_answered() && answers.per_pod.len() == 1, "{client}: {answers:?}");
            pods.extend(answers.per_pod.into_keys().map(|pod| (client, pod)));
        }
    }
    Ok(pods)
}

/// Waits until the first service of all directors has so many backends.
pub fn wait_for_backends(triangle: &mut Triangle, count: usize) -> Result<()> {
    let directors: Vec<_> = triangle.testbed.directors().iter().map(|d| d.name.clone()).collect();
    for name in directors {
        let director = triangle.testbed.machine(&name)?;
        wait_at_most(PATIENCE, &format!("{count} backends"), || {
            let services = triangle.testbed.run_trigon_json(director, &["services"])?;
            Ok(services[0]["backends"].as_array().is_some_and(|backends| backends.len() == count))
        })?;
        triangle.wait_ready(&name)?;
    }
    Ok(())
}

pub fn socket_address(vip: IpAddr, port: u16) -> SocketAddr {
    SocketAddr::new(vip, port)
}
