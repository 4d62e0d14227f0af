//! Of root's capabilities, agents have those that the manifests give to their containers. They need no others, and
//! without any one of these they say which it is.

mod common;

use std::{fs, path::Path, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use common::{held::HeldConnections, round::Round, run_with_diagnostics, socket_address, wait_at_most};
use lb_testbed::{
    Config, Process, ServiceSpec, Triangle, VIP,
    capabilities::{agent_capabilities, words_to_limit},
    locate_program, write_manifest,
};

const NODE: &str = "node1";
/// For an agent to end, or to tell what it cannot do.
const PATIENCE: Duration = Duration::from_secs(30);
/// What the kernel says to who may not do something, and what we say then.
const COMPLAINTS: [&str; 3] = ["not permitted", "Permission denied", "CAP_"];
/// Only who has a peer listens at BGP's port. Nobody answers there.
const PEER: &str = "
apiVersion: trigon.dev/v1alpha1
kind: BgpPeer
metadata: {name: router}
spec: {myASN: 64512, peerASN: 64513, peerAddress: 198.51.100.1}
";

fn web() -> ServiceSpec {
    ServiceSpec::with_all_ports("web")
}

#[test]
fn agents_need_no_more_than_the_manifests_give() -> Result<()> {
    let capabilities = agent_capabilities()?;
    let config = Config { agent_capabilities: Some(capabilities.clone()), ..Config::l3() };
    run_with_diagnostics(&mut Triangle::start(config, &[web()])?, |triangle| {
        Round::of_all_pods(triangle).run(triangle)?;
        let mut held = HeldConnections::open(triangle)?;
        for name in triangle.agent_names() {
            triangle.restart_agent(&name)?;
            check_capabilities(triangle.agent(&name)?, &capabilities)?;
            let status = triangle.testbed.agent_status(triangle.testbed.machine(&name)?)?;
            let interface = &status["interfaces"][0];
            ensure!(interface["xdp"] == "native" && interface["adopted"] == true, "{name}: {status}");
        }
        held.check_all_answer("after all agents were killed and restarted")?;
        Round::of_all_pods(triangle).run(triangle)?;
        for director in triangle.testbed.directors() {
            // It loads programs of its own, and runs them.
            let flow = format!("tcp 198.51.100.7:4242 -> {}", socket_address(VIP.v4.into(), 80));
            triangle.testbed.run_trigon_json(director, &["explain", &flow])?;
        }
        for name in triangle.agent_names() {
            let log = triangle.agent(&name)?.log();
            ensure!(!COMPLAINTS.iter().any(|complaint| log.contains(complaint)), "{name}: {log}");
        }
        Ok(())
    })
}

/// Exactly these, and no way to get others.
fn check_capabilities(agent: &Process, wanted: &[String]) -> Result<()> {
    let status = fs::read_to_string(format!("/proc/{}/status", agent.id())).context("reading its status")?;
    let value = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    for set in ["CapPrm:", "CapEff:", "CapBnd:"] {
        let bits = u64::from_str_radix(value(set).with_context(|| format!("no line {set}"))?, 16)?;
        ensure!(bits.count_ones() as usize == wanted.len(), "{set} {bits:#x}, and not {wanted:?}");
    }
    ensure!(value("NoNewPrivs:") == Some("1"), "it may get more: {status}");
    Ok(())
}

/// What becomes of an agent that lacks a capability.
enum Outcome {
    /// It changes nothing, and ends.
    Ends,
    /// It does what it can, and warns.
    Warns,
}

fn outcome_without(capability: &str) -> Result<Outcome> {
    match capability {
        "BPF" | "NET_ADMIN" | "PERFMON" | "SYS_RESOURCE" => Ok(Outcome::Ends),
        "NET_BIND_SERVICE" | "NET_RAW" | "SYS_NICE" => Ok(Outcome::Warns),
        _ => bail!("the manifests give {capability}: what do agents need it for?"),
    }
}

#[test]
fn agents_name_the_capability_that_they_lack() -> Result<()> {
    let config = Config { directors: 1, nodes: 1, ..Config::l3() };
    run_with_diagnostics(&mut Triangle::start(config, &[web()])?, |triangle| {
        write_manifest(triangle.source_dir(), "peer.yaml", PEER)?;
        triangle.agent(NODE)?.kill()?;
        let given = agent_capabilities()?;
        for missing in &given {
            check_without(triangle, &given, missing).with_context(|| format!("without {missing}"))?;
            let answers = triangle.testbed.send_requests(socket_address(VIP.v4.into(), 80), 4)?;
            ensure!(answers.all_answered(), "without {missing}: {answers:?}");
        }
        triangle.start_agent(NODE, &[])?;
        triangle.wait_ready(NODE)
    })
}

/// Its log has the name of the missing one, and of no other.
fn check_without(triangle: &Triangle, given: &[String], missing: &str) -> Result<()> {
    let (named, others): (Vec<_>, Vec<_>) = given.iter().partition(|name| *name == missing);
    let mut agent = start_agent_with(triangle, &others, &format!("without-{missing}"))?;
    let is_named = |log: &str, name: &str| log.contains(&format!("CAP_{name}"));
    match outcome_without(missing)? {
        Outcome::Ends => {
            let status = agent.wait(PATIENCE)?;
            ensure!(status.code() == Some(1), "{status}: {}", agent.log());
        }
        Outcome::Warns => {
            wait_at_most(PATIENCE, "a warning", || Ok(is_named(&agent.log(), missing)))
                .with_context(|| agent.log())?;
            ensure!(agent.is_running(), "it has ended: {}", agent.log());
            agent.kill()?;
        }
    }
    let log = agent.log();
    println!("without {missing}: {}", log.trim());
    ensure!(named.iter().all(|name| is_named(&log, name)), "{missing} is not named: {log}");
    ensure!(!others.iter().any(|name| is_named(&log, name)), "others are named: {log}");
    Ok(())
}

/// In the place of the node's agent, whose programs go on meanwhile.
fn start_agent_with(triangle: &Triangle, capabilities: &[&String], label: &str) -> Result<Process> {
    let testbed = &triangle.testbed;
    let machine = testbed.machine(NODE)?;
    let text = |path: &Path| path.display().to_string();
    let program = text(&locate_program("trigon", "TRIGON_BIN")?);
    let (socket, pins) = (text(&testbed.socket_path(machine)), text(&testbed.pin_dir(machine)));
    let source = text(triangle.source_dir());
    let limited = words_to_limit(capabilities);
    let mut words: Vec<_> = limited.iter().map(String::as_str).collect();
    words.extend([&*program, "--socket", &socket, "agent", "--role", "node", "--node-name", NODE]);
    words.extend(["--interface", machine.interface, "--source", &source, "--pin-dir", &pins]);
    let (first, rest) = words.split_first().context("no words")?;
    machine.namespace.spawn(label, first, rest)
}
