//! Objects change while agents run: the data path follows, and other services are not touched.

mod common;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr, UdpSocket},
    time::Duration,
};

use anyhow::{Result, ensure};
use common::{held::HeldConnections, run_with_diagnostics, socket_address, wait_at_most};
use lb_testbed::{
    Answers, Config, DirectorCounters, HTTP_PORT, Machine, PortSpec, Protocol, ServiceSpec, TCP_ECHO_PORT,
    Triangle, VIP,
};
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(5);
const OTHER_VIP: [IpAddr; 2] = [
    IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 20)),
    IpAddr::V6(std::net::Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 0x20)),
];

fn list_services(triangle: &Triangle, machine: &Machine) -> Result<Vec<Value>> {
    let listed = triangle.testbed.run_trigon_json(machine, &["services"])?;
    Ok(listed.as_array().cloned().unwrap_or_default())
}

/// The number of services, and the number of endpoints of those that are programmed: at a director the sum of the
/// backends' weights, at a node its own endpoints.
fn service_and_endpoint_counts(triangle: &Triangle, machine: &Machine) -> Result<(usize, u64)> {
    let services = list_services(triangle, machine)?;
    let programmed = services.iter().filter(|service| !service["programmed"].is_null());
    let endpoints = programmed.map(|service| {
        if !machine.is_director() {
            return service["endpoints"].as_array().map_or(0, Vec::len) as u64;
        }
        let weights = service["backends"].as_array().into_iter().flatten();
        weights.filter_map(|share| share["weight"].as_u64()).sum()
    });
    Ok((services.len(), endpoints.sum()))
}

/// Writes the objects, and waits until every agent has programmed what they say.
fn write_and_wait(triangle: &Triangle, what: &str, specs: &[ServiceSpec], pods: &[&str]) -> Result<()> {
    triangle.write_objects(specs)?;
    let testbed = &triangle.testbed;
    let ports = |spec: &ServiceSpec| spec.vips.len() * spec.ports.len();
    let service_count: usize = specs.iter().map(ports).sum();
    let waited = wait_at_most(PATIENCE, what, || {
        for machine in testbed.machines() {
            let here = pods.iter().filter(|pod| {
                machine.is_director() || testbed.pod(pod).is_ok_and(|pod| pod.node == machine.name)
            });
            if service_and_endpoint_counts(triangle, machine)?
                != (service_count, (service_count * here.count()) as u64)
            {
                return Ok(false);
            }
        }
        Ok(true)
    })?;
    println!("{what}: programmed everywhere within {} ms", waited.as_millis());
    triangle.agent_names().iter().try_for_each(|name| triangle.check_ready(name))
}

fn check_answers_from(triangle: &Triangle, vips: &[IpAddr], pods: &[&str]) -> Result<()> {
    for vip in vips {
        let answers: Answers = triangle.testbed.send_requests(socket_address(*vip, 80), 10)?;
        let names: BTreeSet<_> = answers.per_pod.keys().map(String::as_str).collect();
        println!("{vip}: {} of {} answered: {:?}", answers.answered, answers.requests, answers.per_pod);
        ensure!(answers.all_answered() && names == pods.iter().copied().collect(), "{vip}: {answers:?}");
    }
    Ok(())
}

const ALL_PODS: [&str; 6] = ["pod1_1", "pod1_2", "pod2_1", "pod2_2", "pod3_1", "pod3_2"];

#[test]
fn requests_reach_exactly_the_current_endpoints() -> Result<()> {
    let endpoint_sets: [&[&str]; 4] = [&["pod1_1", "pod2_1"], &ALL_PODS, &["pod3_2"], &["pod3_1", "pod3_2"]];
    let web = |pods: &[&str]| ServiceSpec::with_all_ports("web").pods(pods);
    run_with_diagnostics(&mut Triangle::start(Config::l3(), &[web(endpoint_sets[0])])?, |triangle| {
        check_answers_from(triangle, &VIP.both(), endpoint_sets[0])?;
        for pods in &endpoint_sets[1..] {
            write_and_wait(triangle, &format!("{} endpoints", pods.len()), &[web(pods)], pods)?;
            check_answers_from(triangle, &VIP.both(), pods)?;
        }
        write_and_wait(triangle, "no endpoint", &[web(&[])], &[])?;
        let answers = triangle.testbed.get(socket_address(VIP.v4.into(), 80), "/");
        ensure!(answers.is_err(), "{answers:?} without an endpoint");
        ensure!(sum_of_directors(triangle, "no_backend")? > 0, "not counted as no_backend");
        write_and_wait(triangle, "one endpoint", &[web(endpoint_sets[2])], endpoint_sets[2])?;
        check_answers_from(triangle, &VIP.both(), endpoint_sets[2])
    })
}

/// How many packets all directors counted under this verdict.
fn sum_of_directors(triangle: &Triangle, verdict: &str) -> Result<u64> {
    triangle.testbed.sum_verdict(triangle.testbed.directors(), verdict)
}

/// The generations that each machine has programmed for the service `name`, one for each VIP and port.
fn service_generations(triangle: &Triangle, name: &str) -> Result<BTreeMap<String, Vec<Value>>> {
    let of_machine = |machine: &Machine| {
        let services = list_services(triangle, machine)?;
        let ours = services.into_iter().filter(|service| service["name"] == name);
        let ours = ours.map(|service| service["programmed"].clone()).collect();
        Ok((machine.name.clone(), ours))
    };
    triangle.testbed.machines().iter().map(of_machine).collect()
}

#[test]
fn adding_and_removing_services_leaves_others_untouched() -> Result<()> {
    let web = ServiceSpec::new("web", vec![PortSpec::new("http", Protocol::Tcp, 80, HTTP_PORT)]);
    let echo = PortSpec::new("echo", Protocol::Tcp, TCP_ECHO_PORT, TCP_ECHO_PORT);
    let echo = ServiceSpec::new("echo", vec![echo]);
    let other = ServiceSpec { name: "other".to_owned(), ..web.clone() }.vips(OTHER_VIP);
    run_with_diagnostics(&mut Triangle::start(Config::l3(), std::slice::from_ref(&echo))?, |triangle| {
        let mut held = HeldConnections::open(triangle)?;
        let before = service_generations(triangle, "default/echo")?;
        write_and_wait(triangle, "a service more", &[echo.clone(), web.clone()], &ALL_PODS)?;
        check_answers_from(triangle, &VIP.both(), &ALL_PODS)?;
        write_and_wait(triangle, "a VIP more", &[echo.clone(), web, other], &ALL_PODS)?;
        check_answers_from(triangle, &OTHER_VIP, &ALL_PODS)?;
        write_and_wait(triangle, "two services less", &[echo], &ALL_PODS)?;
        held.check_all_answer("while other services came and went")?;
        let after = service_generations(triangle, "default/echo")?;
        ensure!(before == after, "the service was written again: {before:?}, {after:?}");
        check_deleted_services(triangle)
    })
}

/// Datagrams to port 80 of a VIP that still has another port are dropped as `no_such_port`; those to a VIP that no
/// service has any more are passed to the kernel.
fn check_deleted_services(triangle: &Triangle) -> Result<()> {
    let counts =
        || anyhow::Ok([sum_of_directors(triangle, "no_such_port")?, sum_of_directors(triangle, "pass")?]);
    let start = counts()?;
    let sent = send_datagrams(triangle, VIP.v4.into(), 80)?;
    let dropped = counts()?;
    println!("to a deleted service: {sent} sent, {} dropped as no_such_port", dropped[0] - start[0]);
    ensure!(dropped[0] - start[0] == sent, "{sent} sent, {start:?} {dropped:?}");
    let sent = send_datagrams(triangle, OTHER_VIP[0], 80)?;
    let passed = counts()?;
    println!("to a deleted VIP: {sent} sent, {} passed by the directors' programs", passed[1] - dropped[1]);
    ensure!(passed[0] == dropped[0] && passed[1] >= dropped[1] + sent, "{sent} sent, {dropped:?} {passed:?}");
    Ok(())
}

/// Sends 50 datagrams, each from a port of its own so that all directors get some; returns their number.
fn send_datagrams(triangle: &Triangle, vip: IpAddr, port: u16) -> Result<u64> {
    const COUNT: u64 = 50;
    triangle.testbed.client().within(|| {
        let anywhere: IpAddr =
            if vip.is_ipv4() { [0, 0, 0, 0].into() } else { std::net::Ipv6Addr::UNSPECIFIED.into() };
        for _ in 0..COUNT {
            UdpSocket::bind(SocketAddr::new(anywhere, 0))?.send_to(b"anybody?", socket_address(vip, port))?;
        }
        Ok(())
    })?;
    std::thread::sleep(Duration::from_millis(100));
    Ok(COUNT)
}

#[test]
fn ports_that_no_service_has_are_dropped_and_do_not_loop() -> Result<()> {
    run_with_diagnostics(
        &mut Triangle::start(Config::l3(), &[ServiceSpec::with_all_ports("web")])?,
        |triangle| {
            let counters = DirectorCounters::attach(&triangle.testbed)?;
            for vip in VIP.both() {
                let before = sum_of_directors(triangle, "no_such_port")?;
                counters.reset()?;
                let sent = send_datagrams(triangle, vip, 9)?;
                let packets = counters.read()?.packets;
                let dropped = sum_of_directors(triangle, "no_such_port")? - before;
                println!("{vip} port 9: {sent} sent, {packets} at the directors' links, {dropped} dropped");
                ensure!(dropped == sent, "{vip}: {sent} sent, {dropped} dropped");
                // Probes and neighbour discovery add some; a loop would multiply by the TTL.
                ensure!((sent..10 * sent).contains(&packets), "{vip}: {sent} sent, {packets} packets");
                let refused = triangle.testbed.client().run(&[
                    "curl",
                    "--silent",
                    "--max-time",
                    "0.2",
                    &format!("http://{}/", socket_address(vip, 81)),
                ]);
                ensure!(refused.is_err(), "{vip} port 81 answers {refused:?}");
                ensure!(
                    sum_of_directors(triangle, "no_such_port")? > before + dropped,
                    "a SYN was not counted"
                );
            }
            Ok(())
        },
    )
}
