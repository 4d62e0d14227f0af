//! `trigon explain` tells what happens, and does nothing.

mod common;

use std::{
    net::{IpAddr, SocketAddr},
    process::Output,
};

use anyhow::{Context, Result, ensure};
use common::{client_addresses, run_with_diagnostics, socket_address};
use lb_testbed::{Config, Machine, ServiceSpec, Triangle, VIP};
use serde_json::Value;

/// Of each family.
const FLOWS: u16 = 25;

/// The stories of a flow's packets, as a machine tells them.
fn explain(triangle: &Triangle, on: &Machine, words: &[&str]) -> Result<Vec<Value>> {
    let told = triangle.testbed.trigon_json(on, &[&["explain"], words].concat())?;
    Ok(told["packets"].as_array().context("no packets")?.clone())
}

fn tcp(client: SocketAddr, to: SocketAddr) -> String {
    format!("tcp {client} -> {to}")
}

/// Who is to answer a new connection: a director names the node, and the node
/// the endpoint, whose Pod this is.
fn predicted(triangle: &Triangle, flow: &str) -> Result<String> {
    let directors = triangle.testbed.directors();
    let stories = directors.iter().map(|director| explain(triangle, director, &[flow]));
    let stories = stories.collect::<Result<Vec<_>>>()?;
    let choice = |story: &Vec<Value>| story.iter().map(|packet| packet["choice"].clone()).collect::<Vec<_>>();
    ensure!(
        stories.iter().all(|story| choice(story) == choice(&stories[0])),
        "directors differ: {stories:?}"
    );
    let syn = &stories[0][0];
    ensure!(syn["packet"] == "a SYN" && syn["fate"] == "transmit", "{syn}");
    let node = syn["choice"]["peer"]["node"].as_str().context("no node")?;
    ensure!(syn["slot"]["owner"]["node"] == node, "not the owner: {syn}");
    let node = triangle.testbed.machine(node)?;
    let stories = explain(triangle, node, &["--at-node", &node.name, flow])?;
    ensure!(stories[0]["verdict"] == "deliver" && stories[0]["endpoint"]["known"] == false, "{stories:?}");
    let endpoint = stories[0]["endpoint"]["endpoint"].as_str().context("no endpoint")?;
    let endpoint = endpoint.parse::<SocketAddr>()?.ip();
    let pod = triangle.testbed.pods().iter().find(|pod| pod.addresses().contains(&endpoint));
    Ok(pod.with_context(|| format!("{endpoint} is no Pod's"))?.name.clone())
}

/// The Pod that answers.
fn connect(triangle: &Triangle, client: SocketAddr, to: SocketAddr) -> Result<String> {
    let (source, port) = (client.ip().to_string(), client.port().to_string());
    let words = ["curl", "--silent", "--show-error", "--fail", "--max-time", "5", "--interface", &source];
    let url = format!("http://{to}/");
    let answer = triangle.testbed.client().run(&[&words[..], &["--local-port", &port, &url]].concat())?;
    Ok(answer.trim().to_owned())
}

/// All that was not passed on to the kernel, on all machines.
fn counted(triangle: &Triangle) -> Result<Vec<(String, u64)>> {
    let mut all = Vec::new();
    for machine in triangle.testbed.machines() {
        // But for what there is without us: probes too.
        let is_ours = |name: &str| !name.contains("pass") && name != "answer_probe";
        let ours = triangle.testbed.verdicts(machine)?.into_iter().filter(|(name, _)| is_ours(name));
        all.extend(ours.map(|(name, count)| (format!("{} {name}", machine.name), count)));
    }
    Ok(all)
}

#[test]
fn what_is_told_is_what_happens() -> Result<()> {
    run_with_diagnostics(&mut Triangle::start(Config::l3(), &[ServiceSpec::everything("web")])?, |triangle| {
        for vip in VIP.both() {
            let (sources, to) = (client_addresses(triangle, vip), socket_address(vip, 80));
            let flows = (30_000..30_000 + FLOWS).zip(sources.iter().cycle());
            let flows: Vec<_> = flows.map(|(port, source)| SocketAddr::new(*source, port)).collect();
            let before = counted(triangle)?;
            let told = flows.iter().map(|client| predicted(triangle, &tcp(*client, to)));
            let told = told.collect::<Result<Vec<_>>>()?;
            ensure!(counted(triangle)? == before, "telling was counted: {before:?}");
            for (client, told) in flows.into_iter().zip(told) {
                let flow = tcp(client, to);
                let pod = connect(triangle, client, to)?;
                ensure!(pod == told, "{flow}: {told} was to answer, {pod} did");
                is_known_now(triangle, &pod, &flow)?;
            }
            println!("{vip}: {FLOWS} flows went where they were said to go");
        }
        drops_and_passes(triangle)
    })
}

fn is_known_now(triangle: &Triangle, pod: &str, flow: &str) -> Result<()> {
    let node = triangle.testbed.node_of(triangle.testbed.pod(pod)?)?;
    let stories = explain(triangle, node, &["--at-node", &node.name, flow])?;
    let known = stories.iter().all(|story| story["endpoint"]["known"] == true);
    ensure!(known, "{flow} is not known on {}: {stories:?}", node.name);
    Ok(())
}

fn drops_and_passes(triangle: &Triangle) -> Result<()> {
    let director = triangle.testbed.machine("director1")?;
    let client = SocketAddr::new(client_addresses(triangle, VIP.v4.into())[0], 4242);
    let story = &explain(triangle, director, &[&tcp(client, socket_address(VIP.v4.into(), 81))])?[0];
    println!("{story}");
    ensure!(story["verdict"] == "no_such_port" && story["remedy"].is_string(), "{story}");
    ensure!(story["hints"].to_string().contains("tcp 80"), "the ports there are, are not told: {story}");
    let story = &explain(triangle, director, &[&tcp(client, "192.0.2.99:80".parse()?)])?[0];
    ensure!(story["verdict"] == "pass" && story["hints"].to_string().contains("192.0.2.10"), "{story}");
    let udp = format!("udp {client} -> {}", socket_address(VIP.v4.into(), 5353));
    let story = &explain(triangle, director, &["--len", "1580", &udp])?[0];
    ensure!(story["verdict"] == "tell_too_big" && story["way"]["mtu"] == 1600, "{story}");
    words(triangle, director, &udp)
}

/// What people see, and what they did wrong.
fn words(triangle: &Triangle, director: &Machine, flow: &str) -> Result<()> {
    let run = |words: &[&str]| triangle.testbed.trigon(director, words);
    let separate =
        [&["explain"], &flow.split(' ').filter(|word| *word != "->").collect::<Vec<_>>()[..]].concat();
    let text = told_by(&run(&separate)?, 0)?;
    println!("{text}");
    for expected in
        [flow, " 1. service default/web (udp ", " 2. slot ", " => forward_", "trigon explain --at-node"]
    {
        ensure!(text.contains(expected), "no `{expected}` in:\n{text}");
    }
    told_by(&run(&["explain", "sctp 1.2.3.4:5 -> 6.7.8.9:10"])?, 2)?;
    told_by(&run(&["explain", "--at-node", "node1", flow])?, 2)?;
    told_by(&run(&["explain", "--interface", "lo", flow])?, 2)?;
    told_by(&run(&["explain", "--socket", "/nonexistent", flow])?, 1)?;
    Ok(())
}

/// What was printed, to whichever output the exit code is for.
fn told_by(output: &Output, code: i32) -> Result<String> {
    let [out, err] =
        [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    ensure!(output.status.code() == Some(code), "{}, not {code}:\n{out}{err}", output.status);
    let (said, silent) = if code == 0 { (out, err) } else { (err, out) };
    ensure!(!said.is_empty() && silent.is_empty(), "said `{said}` and `{silent}`");
    Ok(said)
}

#[test]
fn a_machine_of_both_roles_tells_of_what_stays() -> Result<()> {
    let config = Config { directors: 0, nodes: 2, node_role: lb_testbed::NodeRole::Both, ..Config::l2() };
    run_with_diagnostics(&mut Triangle::start(config, &[ServiceSpec::everything("web")])?, |triangle| {
        let node = triangle.testbed.machine("node1")?;
        let client: IpAddr = client_addresses(triangle, VIP.v6.into())[0];
        let mut verdicts = std::collections::BTreeMap::<String, u32>::new();
        for port in 0..20 {
            let flow = tcp(SocketAddr::new(client, 20_000 + port), socket_address(VIP.v6.into(), 80));
            let story = &explain(triangle, node, &[&flow])?[0];
            let verdict = story["verdict"].as_str().context("no verdict")?.to_owned();
            ensure!((verdict == "deliver") != story["endpoint"].is_null(), "{story}");
            ensure!((verdict == "forward_l2") != story["way"].is_null(), "{story}");
            *verdicts.entry(verdict).or_default() += 1;
        }
        println!("{verdicts:?}");
        ensure!(verdicts.keys().map(String::as_str).eq(["deliver", "forward_l2"]), "{verdicts:?}");
        Ok(())
    })
}
