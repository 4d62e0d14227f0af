//! Maps that a start makes anew, under traffic.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use lb_testbed::{Config, EndpointState, ServiceSpec, Triangle};

use super::{
    held::HeldConnections,
    run_with_diagnostics,
    streams::{check_nothing_lost, start_streams},
};

/// Of node 1 all Pods drain: that it has their flows, only its tables know.
pub fn service(state: EndpointState) -> ServiceSpec {
    let others = ["pod2_1", "pod2_2", "pod3_1", "pod3_2"].map(|pod| (pod, EndpointState::Ready));
    let all = [&[("pod1_1", state), ("pod1_2", state)], &others[..]].concat();
    ServiceSpec::with_all_ports("web").endpoints(&all)
}

/// Runs `act` while connections are held and datagrams come, of which node 1 has some by its tables alone.
/// `others` are services beside [`service`].
pub fn with_traffic(
    config: Config,
    others: &[ServiceSpec],
    length: Duration,
    act: impl FnOnce(&mut Triangle, &mut HeldConnections) -> Result<()>,
) -> Result<()> {
    let services = |state| [&[service(state)], others].concat();
    run_with_diagnostics(&mut Triangle::start(config, &services(EndpointState::Ready))?, |triangle| {
        let mut held = HeldConnections::open(triangle)?;
        let streams = start_streams(triangle, 200, length)?;
        triangle.write_objects(&services(EndpointState::Terminating))?;
        thread::sleep(Duration::from_secs(1));
        held.check_all_answer("with node 1 draining")?;
        let start = Instant::now();
        act(triangle, &mut held)?;
        ensure!(start.elapsed() < length, "the streams were over after {length:?}");
        held.check_all_answer("with other maps")?;
        check_nothing_lost(streams)
    })
}

/// How far a start is with a machine's maps.
pub fn moment(triangle: &Triangle, machine: &str) -> Result<&'static str> {
    let maps = triangle.testbed.maps_dir(triangle.testbed.machine(machine)?);
    Ok(match (maps.join("next").exists(), maps.join("switch").exists()) {
        (true, _) => "while it copied",
        (_, true) => "while it switched",
        _ => "before or after",
    })
}

pub fn wait_for_moment(triangle: &Triangle, machine: &str, wanted: &str) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(10);
    while moment(triangle, machine)? != wanted {
        ensure!(Instant::now() < deadline, "{machine} was never seen {wanted}");
        thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}
