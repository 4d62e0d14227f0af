//! `trigon explain` predicts what happens to a packet, without any effect on counters or flows.

mod common;

use std::{
    net::{IpAddr, SocketAddr},
    process::Output,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use common::{client_addresses, run_with_diagnostics, socket_address, wait_at_most};
use lb_testbed::{Config, Machine, ServiceSpec, Triangle, VIP};
use serde_json::{Value, json};

/// Flows in each address family.
const FLOWS: u16 = 25;
/// By when all agents have programmed new objects.
const PROGRAMMED: Duration = Duration::from_secs(10);
/// VIPs of a Service that works, of one that refuses the test's clients, and of one without endpoints.
const WORKING: &str = "192.0.2.10";
const REFUSING: &str = "192.0.2.20";
const EMPTY: &str = "192.0.2.21";

/// What `trigon explain` prints on a machine: one JSON object for each packet of a flow.
fn explain(triangle: &Triangle, machine: &Machine, arguments: &[&str]) -> Result<Vec<Value>> {
    let explanation = triangle.testbed.run_trigon_json(machine, &[&["explain"], arguments].concat())?;
    Ok(explanation["packets"].as_array().context("no packets")?.clone())
}

fn tcp_flow(client: SocketAddr, to: SocketAddr) -> String {
    format!("tcp {client} -> {to}")
}

/// The Pod that is to answer a new connection: the directors, which must agree, name the node, and the node names
/// the endpoint.
fn predict_pod(triangle: &Triangle, flow: &str) -> Result<String> {
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

/// Sends an HTTP request from `client` and returns the name of the Pod that answers.
fn request_pod_name(triangle: &Triangle, client: SocketAddr, to: SocketAddr) -> Result<String> {
    let (source, port) = (client.ip().to_string(), client.port().to_string());
    let words = ["curl", "--silent", "--show-error", "--fail", "--max-time", "5", "--interface", &source];
    let url = format!("http://{to}/");
    let answer = triangle.testbed.client().run(&[&words[..], &["--local-port", &port, &url]].concat())?;
    Ok(answer.trim().to_owned())
}

/// The counts of the verdicts on all machines, without packets passed to the kernel and answered probes.
fn handled_packet_counts(triangle: &Triangle) -> Result<Vec<(String, u64)>> {
    let mut all = Vec::new();
    for machine in triangle.testbed.machines() {
        // Traffic that this test doesn't cause is left out.
        let is_ours = |name: &str| !name.contains("pass") && name != "answer_probe";
        let ours = triangle.testbed.read_verdicts(machine)?.into_iter().filter(|(name, _)| is_ours(name));
        all.extend(ours.map(|(name, count)| (format!("{} {name}", machine.name), count)));
    }
    Ok(all)
}

#[test]
fn packets_go_where_explain_says() -> Result<()> {
    run_with_diagnostics(
        &mut Triangle::start(Config::l3(), &[ServiceSpec::with_all_ports("web")])?,
        |triangle| {
            for vip in VIP.both() {
                let (sources, to) = (client_addresses(triangle, vip), socket_address(vip, 80));
                let flows = (30_000..30_000 + FLOWS).zip(sources.iter().cycle());
                let flows: Vec<_> = flows.map(|(port, source)| SocketAddr::new(*source, port)).collect();
                let before = handled_packet_counts(triangle)?;
                let predictions = flows.iter().map(|client| predict_pod(triangle, &tcp_flow(*client, to)));
                let predictions = predictions.collect::<Result<Vec<_>>>()?;
                ensure!(
                    handled_packet_counts(triangle)? == before,
                    "`explain` changed the counters: {before:?}"
                );
                for (client, told) in flows.into_iter().zip(predictions) {
                    let flow = tcp_flow(client, to);
                    let pod = request_pod_name(triangle, client, to)?;
                    ensure!(pod == told, "{flow}: {told} was to answer, {pod} did");
                    check_flow_is_known(triangle, &pod, &flow)?;
                }
                println!("{vip}: {FLOWS} flows went where they were said to go");
            }
            check_faults(triangle)
        },
    )
}

/// Its later packets: a SYN begins another connection, since the server has closed this one.
fn check_flow_is_known(triangle: &Triangle, pod: &str, flow: &str) -> Result<()> {
    let node = triangle.testbed.node_of(triangle.testbed.pod(pod)?)?;
    let stories = explain(triangle, node, &["--at-node", &node.name, flow])?;
    let known = stories.iter().any(|story| story["packet"] != "a SYN" && story["endpoint"]["known"] == true);
    ensure!(known, "{flow} is not known on {}: {stories:?}", node.name);
    let slot = &stories[0]["slot"];
    ensure!(slot["owner"]["node"].is_string() && slot["former"].is_array(), "owners are not told: {slot}");
    Ok(())
}

/// A Service that refuses the test's clients, and one without endpoints, beside the one that works.
fn write_faulty_services(triangle: &Triangle) -> Result<()> {
    let refusing = ServiceSpec::with_all_ports("refusing")
        .vips([REFUSING.parse::<IpAddr>()?])
        .field("loadBalancerSourceRanges", json!(["203.0.113.0/24"]));
    let empty = ServiceSpec::with_all_ports("empty").vips([EMPTY.parse::<IpAddr>()?]).pods(&[]);
    triangle.write_objects(&[ServiceSpec::with_all_ports("web"), refusing, empty])?;
    wait_at_most(PROGRAMMED, "all services are programmed", || {
        for machine in triangle.testbed.machines() {
            let services = triangle.testbed.run_trigon_json(machine, &["services"])?;
            let services = services.as_array().context("no services")?;
            // Three ports each; the one that works has a VIP of both families.
            if services.len() != 12 || services.iter().any(|service| service["programmed"].is_null()) {
                return Ok(false);
            }
        }
        Ok(true)
    })
    .map(drop)
}

/// Faults on the way of a packet: each has a verdict, and the story says what is wrong and what helps.
fn check_faults(triangle: &Triangle) -> Result<()> {
    write_faulty_services(triangle)?;
    let client = client_addresses(triangle, VIP.v4.into())[0];
    let story = |machine: &str, options: &[&str], flow: &str| -> Result<Value> {
        Ok(explain(triangle, triangle.testbed.machine(machine)?, &[options, &[flow]].concat())?[0].clone())
    };
    let at_director = |options: &[&str], flow: &str| story("director1", options, flow);
    let at_node = |flow: &str| story("node1", &["--at-node", "node1"], flow);
    let tcp = |to: &str| format!("tcp {client}:4242 -> {to}");
    let udp = |to: &str| format!("udp {client}:4242 -> {to}");
    let ping = |vip: &str| format!("icmp {client} -> {vip}");
    let from = |ip: &str| format!("tcp {ip}:4242 -> {WORKING}:80");
    // The story, the verdict, and words of cause or remedy.
    let faults = [
        (at_director(&[], &tcp(&format!("{WORKING}:81")))?, "no_such_port", "tcp 80"),
        (at_director(&[], &udp(&format!("{WORKING}:80")))?, "no_such_port", "udp 5353"),
        (at_director(&[], &tcp("192.0.2.99:80"))?, "pass", "those of its family are 192.0.2.10"),
        (at_director(&["--len", "1580"], &udp(&format!("{WORKING}:5353")))?, "tell_too_big", "\"mtu\":1600"),
        (at_director(&[], &tcp(&format!("{REFUSING}:80")))?, "source_range", "add its address"),
        (at_director(&[], &tcp(&format!("{EMPTY}:80")))?, "no_backend", "kubectl get endpointslices"),
        (at_director(&[], &ping(EMPTY))?, "icmp", "while a backend of the VIP takes connections"),
        (at_node(&tcp(&format!("{WORKING}:81")))?, "tunnel_no_such_port", "give its agent the same objects"),
        (at_node(&tcp(&format!("{REFUSING}:80")))?, "source_range", "add its address"),
        (at_node(&tcp(&format!("{EMPTY}:80")))?, "no_endpoint", "see `trigon services` for what is ready"),
        (at_node(&ping(WORKING))?, "icmp", "nodes never do"),
        (at_node(&from("127.0.0.1"))?, "spoofed", "BCP 38"),
        (at_node(&from(WORKING))?, "spoofed", "no client has: a VIP"),
    ];
    for (story, verdict, words) in &faults {
        println!("{story}");
        ensure!(story["verdict"] == *verdict, "not {verdict}: {story}");
        ensure!(story.to_string().contains(words), "nothing of `{words}`: {story}");
        ensure!(story["fate"] != "drop" || story["remedy"].is_string(), "no remedy: {story}");
    }
    check_printed_text(triangle, triangle.testbed.machine("director1")?, &udp(&format!("{WORKING}:5353")))
}

/// The text output, and the exit codes for wrong arguments (2) and for an agent that doesn't answer (1).
fn check_printed_text(triangle: &Triangle, director: &Machine, flow: &str) -> Result<()> {
    let run = |words: &[&str]| triangle.testbed.run_trigon(director, words);
    let separate =
        [&["explain"], &flow.split(' ').filter(|word| *word != "->").collect::<Vec<_>>()[..]].concat();
    let text = check_exit_code(&run(&separate)?, 0)?;
    println!("{text}");
    for expected in
        [flow, " 1. service default/web (udp ", " 2. slot ", " => forward_", "trigon explain --at-node"]
    {
        ensure!(text.contains(expected), "no `{expected}` in:\n{text}");
    }
    check_exit_code(&run(&["explain", "sctp 1.2.3.4:5 -> 6.7.8.9:10"])?, 2)?;
    check_exit_code(&run(&["explain", "--at-node", "node1", flow])?, 2)?;
    check_exit_code(&run(&["explain", "--interface", "lo", flow])?, 2)?;
    check_exit_code(&run(&["explain", "--socket", "/nonexistent", flow])?, 1)?;
    Ok(())
}

/// Checks the exit code, and that only standard output (code 0) or only standard error (others) has text, which is
/// returned.
fn check_exit_code(output: &Output, code: i32) -> Result<String> {
    let [out, err] =
        [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    ensure!(output.status.code() == Some(code), "{}, not {code}:\n{out}{err}", output.status);
    let (said, silent) = if code == 0 { (out, err) } else { (err, out) };
    ensure!(!said.is_empty() && silent.is_empty(), "said `{said}` and `{silent}`");
    Ok(said)
}

#[test]
fn explain_on_a_machine_of_both_roles_names_endpoint_or_path() -> Result<()> {
    let config = Config { directors: 0, nodes: 2, node_role: lb_testbed::NodeRole::Both, ..Config::l2() };
    run_with_diagnostics(&mut Triangle::start(config, &[ServiceSpec::with_all_ports("web")])?, |triangle| {
        let node = triangle.testbed.machine("node1")?;
        let client: IpAddr = client_addresses(triangle, VIP.v6.into())[0];
        let mut verdicts = std::collections::BTreeMap::<String, u32>::new();
        for port in 0..20 {
            let flow = tcp_flow(SocketAddr::new(client, 20_000 + port), socket_address(VIP.v6.into(), 80));
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
