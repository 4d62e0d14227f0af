//! The data path stays in place when its agent stops or restarts, until `unload` removes it.

mod common;

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use aya::programs::{SchedClassifier, TcAttachType};
use common::{held::HeldConnections, round::Round, run_with_diagnostics, socket_address, wait_at_most};
use lb_testbed::{Config, Machine, ServiceSpec, Triangle, UDP_ECHO_PORT, UdpStreamOptions, VIP};
use serde_json::{Value, json};

const STREAM: Duration = Duration::from_secs(9);

/// The status of a machine's agent.
fn agent_status(triangle: &Triangle, machine: &str) -> Result<Value> {
    triangle.testbed.agent_status(triangle.testbed.machine(machine)?)
}

/// Kills the agent (SIGKILL), sends requests for the time of its absence, starts a new one that has to adopt the link.
fn restart_agent(triangle: &mut Triangle, machine: &str, absence: Duration) -> Result<()> {
    let before = agent_status(triangle, machine)?;
    triangle.agent(machine)?.kill()?;
    let start = Instant::now();
    while start.elapsed() < absence {
        let answers = triangle.testbed.send_requests(socket_address(VIP.v4.into(), 80), 4)?;
        ensure!(answers.all_answered(), "without the agent of {machine}: {answers:?}");
    }
    let start = Instant::now();
    triangle.start_agent(machine, &[])?;
    triangle.wait_ready(machine)?;
    let after = agent_status(triangle, machine)?;
    println!("{machine}: killed, adopted and ready again in {:?}", start.elapsed());
    ensure!(after["interfaces"][0]["adopted"] == true, "{machine} did not adopt its link: {after}");
    ensure!(after["generation"] == before["generation"], "{machine} wrote again: {before} {after}");
    Ok(())
}

#[test]
fn nothing_is_lost_when_agents_are_killed_and_restarted() -> Result<()> {
    run_with_diagnostics(
        &mut Triangle::start(Config::l3(), &[ServiceSpec::with_all_ports("web")])?,
        |triangle| {
            let mut held = HeldConnections::open(triangle)?;
            let stream = triangle.testbed.start_udp_stream(&UdpStreamOptions {
                target: socket_address(VIP.v4.into(), UDP_ECHO_PORT),
                rate: 10_000,
                length: STREAM,
                source: None,
                source_port: 0,
            })?;
            let start = Instant::now();
            for (number, machine) in triangle.agent_names().into_iter().enumerate() {
                // One of the directors, and one of the nodes, for a while.
                let absence = if number % 3 == 0 { Duration::from_secs(2) } else { Duration::ZERO };
                restart_agent(triangle, &machine, absence)?;
            }
            ensure!(start.elapsed() < STREAM, "the stream was over after {STREAM:?}");
            let report = stream.finish()?;
            println!(
                "of {} datagrams, 10,000 a second, {} were lost; longest silence {} ms",
                report.sent, report.lost, report.max_gap_ms
            );
            ensure!(report.lost == 0 && report.duplicates == 0, "{report:?}");
            held.check_all_answer("after all agents were killed and restarted").map(drop)
        },
    )
}

#[test]
fn a_restart_may_change_mode_and_roles() -> Result<()> {
    run_with_diagnostics(
        &mut Triangle::start(Config::l3(), &[ServiceSpec::with_all_ports("web")])?,
        |triangle| {
            let changes: [(&str, &[&str], Value); 4] = [
                ("node1", &["--xdp-mode", "generic"], json!(["node"])),
                ("node1", &[], json!(["node"])),
                ("node1", &["--role", "director"], json!(["director", "node"])),
                ("director1", &["--role", "node"], json!(["director", "node"])),
            ];
            for (name, arguments, roles) in changes {
                triangle.agent(name)?.kill()?;
                triangle.start_agent(name, arguments)?;
                triangle.wait_ready(name)?;
                let status = agent_status(triangle, name)?;
                println!("{name} {arguments:?}: {} {}", status["roles"], status["interfaces"][0]);
                let mode = if arguments.contains(&"generic") { "generic" } else { "native" };
                ensure!(status["roles"] == roles && status["interfaces"][0]["xdp"] == mode, "{status}");
                for vip in VIP.both() {
                    let answers = triangle.testbed.send_requests(socket_address(vip, 80), 5)?;
                    ensure!(answers.all_answered(), "{name} {arguments:?}: {answers:?}");
                }
            }
            let testbed = &triangle.testbed;
            testbed.route_vips_via(&[testbed.machine("node1")?])?;
            for vip in VIP.both() {
                let answers = testbed.send_requests(socket_address(vip, 80), 5)?;
                println!("{vip} by node1 as a director: {answers:?}");
                ensure!(answers.all_answered() && answers.per_pod.len() == 6, "{answers:?}");
            }
            Ok(())
        },
    )
}

/// What is attached to a machine's uplink, and pinned.
#[derive(PartialEq, Eq, Debug)]
struct KernelState {
    xdp: bool,
    egress: bool,
    pins: bool,
}

impl KernelState {
    fn read(triangle: &Triangle, machine: &Machine) -> Result<Self> {
        let link = machine.namespace.ip(&format!("link show {}", machine.interface))?;
        let query = || Ok(SchedClassifier::query_tcx(machine.interface, TcAttachType::Egress)?);
        let (_, egress) = machine.namespace.within(query)?;
        Ok(Self {
            xdp: link.contains("prog/xdp"),
            egress: !egress.is_empty(),
            pins: triangle.testbed.pin_dir(machine).exists(),
        })
    }
}

/// Checks that `unload` is refused while the agent runs, which would not notice that its programs are gone.
fn check_unload_is_refused(triangle: &Triangle, machine: &Machine) -> Result<()> {
    let pins = triangle.testbed.pin_dir(machine);
    let output = triangle.testbed.run_trigon(machine, &["unload", "--pin-dir", &pins.to_string_lossy()])?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.code() == Some(1) && said.contains("stop it first"), "{output:?}");
    ensure!(KernelState::read(triangle, machine)?.xdp && pins.exists(), "{}: detached", machine.name);
    Ok(())
}

#[test]
fn unload_removes_everything_and_a_start_begins_anew() -> Result<()> {
    run_with_diagnostics(
        &mut Triangle::start(Config::l3(), &[ServiceSpec::with_all_ports("web")])?,
        |triangle| {
            for name in triangle.agent_names() {
                let machine = triangle.testbed.machine(&name)?.clone();
                check_unload_is_refused(triangle, &machine)?;
                triangle.agent(&name)?.kill()?;
                let there = KernelState::read(triangle, &machine)?;
                let expected = KernelState { xdp: true, egress: true, pins: true };
                ensure!(there == expected, "{name}, with its agent killed: {there:?}");
                let pins = triangle.testbed.pin_dir(&machine);
                for removed in [true, false] {
                    let words = ["unload", "--pin-dir", &pins.to_string_lossy()];
                    let said = triangle.testbed.run_trigon_json(&machine, &words)?;
                    ensure!(said["removed"] == removed, "{name}: {said}");
                }
                let left = KernelState::read(triangle, &machine)?;
                println!("{name}: with its agent killed {there:?}, unloaded {left:?}");
                ensure!(left == KernelState { xdp: false, egress: false, pins: false }, "{name}: {left:?}");
            }
            for name in triangle.agent_names() {
                triangle.start_agent(&name, &[])?;
            }
            triangle.wait_all_ready()?;
            for name in triangle.agent_names() {
                let status = agent_status(triangle, &name)?;
                ensure!(status["interfaces"][0]["adopted"] == false, "{status}");
            }
            Round::of_all_pods(triangle).run(triangle)
        },
    )
}

/// As a Pod that takes another one's place.
#[test]
fn an_agent_waits_until_the_one_before_it_has_left() -> Result<()> {
    let config = Config { directors: 1, nodes: 1, ..Config::l3() };
    run_with_diagnostics(&mut Triangle::start(config, &[ServiceSpec::with_all_ports("web")])?, |triangle| {
        let machine = triangle.testbed.machine("node1")?;
        let mut next = triangle.testbed.start_agent(machine, "node", triangle.source_dir(), &[])?;
        thread::sleep(Duration::from_secs(2));
        ensure!(next.is_running(), "it did not wait: {}", next.log());
        let status = triangle.agent("node1")?.terminate(Duration::from_secs(30))?;
        ensure!(status.success(), "{status}");
        let start = Instant::now();
        triangle.testbed.wait_ready(triangle.testbed.machine("node1")?, &mut next)?;
        println!("ready {:?} after the one before", start.elapsed());
        let status = agent_status(triangle, "node1")?;
        ensure!(status["interfaces"][0]["adopted"] == true, "{status}");
        next.kill()
    })
}

/// A default route may be away just when an agent starts.
#[test]
fn what_is_attached_stays_without_a_default_route() -> Result<()> {
    let config = Config { directors: 1, nodes: 1, ..Config::l3() };
    run_with_diagnostics(&mut Triangle::start(config, &[ServiceSpec::with_all_ports("web")])?, |triangle| {
        triangle.agent("node1")?.kill()?;
        let testbed = &triangle.testbed;
        let machine = testbed.machine("node1")?;
        let paths = [&testbed.socket_path(machine), triangle.source_dir(), &testbed.pin_dir(machine)];
        let [socket, source, pins] = paths.map(|path| path.display().to_string());
        let args = ["--socket", &socket, "agent", "--role", "node", "--node-name", "node1"];
        let args = [&args[..], &["--source", &source, "--pin-dir", &pins]].concat();
        for routes in ["with default routes", "without"] {
            let mut agent = testbed.start_trigon(machine, "by-routes", &args)?;
            let mut interfaces = Value::Null;
            wait_at_most(Duration::from_secs(20), routes, || {
                interfaces = agent_status(triangle, "node1").map(|status| status["interfaces"].clone())?;
                Ok(true)
            })
            .with_context(|| agent.log())?;
            println!("{routes}: {interfaces}");
            let [interface] = interfaces.as_array().map(Vec::as_slice).unwrap_or_default() else {
                bail!("{interfaces}")
            };
            ensure!(interface["name"] == machine.interface && interface["adopted"] == true, "{interface}");
            agent.kill()?;
            machine.namespace.ip("route flush default")?;
            machine.namespace.ip("-6 route flush default")?;
        }
        Ok(())
    })
}

/// The next start finishes a change that its predecessor was killed in.
#[test]
fn agents_killed_in_the_middle_of_changes_finish_them_later() -> Result<()> {
    const ROUNDS: u64 = 8;
    let few = |round: u64| ServiceSpec::with_all_ports("web").pods(POD_SETS[round as usize % POD_SETS.len()]);
    run_with_diagnostics(&mut Triangle::start(Config::l3(), &[few(0)])?, |triangle| {
        for round in 1..=ROUNDS {
            let more: Vec<_> =
                (0..50 * (round % 4)).map(|number| service_on_other_vip(number, few(round))).collect();
            triangle.write_objects(&[&[few(round)], &more[..]].concat())?;
            // From before the change is seen to after it is made.
            thread::sleep(Duration::from_millis(20) + Duration::from_micros(round * 500));
            for name in triangle.agent_names() {
                triangle.agent(&name)?.kill()?;
            }
            for name in triangle.agent_names() {
                triangle.start_agent(&name, &[])?;
            }
            triangle.wait_all_ready()?;
            for vip in VIP.both() {
                let answers = triangle.testbed.send_requests(socket_address(vip, 80), 3)?;
                let strangers = answers
                    .per_pod
                    .keys()
                    .any(|pod| !POD_SETS[round as usize % POD_SETS.len()].contains(&&**pod));
                ensure!(answers.all_answered() && !strangers, "round {round}: {answers:?}");
            }
        }
        println!("{ROUNDS} changes, each with all agents killed in the middle of it");
        Ok(())
    })
}

const POD_SETS: [&[&str]; 3] =
    [&["pod1_1"], &["pod1_1", "pod1_2", "pod2_1", "pod3_1", "pod3_2"], &["pod2_1", "pod2_2", "pod3_2"]];

fn service_on_other_vip(number: u64, spec: ServiceSpec) -> ServiceSpec {
    let vip = std::net::Ipv4Addr::new(192, 0, 2, 100 + number as u8);
    ServiceSpec { name: format!("other{number}"), ..spec }.vips([vip.into()])
}
