//! The maps in the kernel: bpftool prints them with field names, and their size is bounded.

mod common;

use std::{fs, net::Ipv4Addr, process::Command, time::Instant};

use anyhow::{Context, Result, ensure};
use common::run_with_diagnostics;
use lb_testbed::{
    Config, Machine, NodeRole, ServiceSpec, Testbed, Triangle, process_memory, run, write_manifest,
};
use serde_json::{Value, json};

fn run_bpftool(words: &[&str]) -> Result<String> {
    let mut command = Command::new("bpftool");
    command.args(words);
    run(command, "")
}

#[test]
fn bpftool_prints_named_fields() -> Result<()> {
    // Small maps: bpftool prints all of an array.
    let agent_args = ["--ring-slots", "16384", "--max-backends", "64"].map(str::to_owned).into();
    let config = Config { directors: 1, nodes: 1, agent_args, ..Config::l3() };
    run_with_diagnostics(&mut Triangle::start(config, &[ServiceSpec::with_all_ports("web")])?, |triangle| {
        let pins = triangle.testbed.maps_dir(triangle.testbed.machine("director1")?);
        let fields = [
            ("SERVICES", &["\"addr\"", "\"port\"", "\"protocol\"", "\"ring_offset\"", "\"generation\""][..]),
            ("BACKENDS", &["\"macs\"", "\"outer_dst\"", "\"delivery\"", "\"mtu\""]),
            ("RINGS", &["\"slots\""]),
        ];
        for (map, fields) in fields {
            let pinned = run_bpftool(&["map", "dump", "pinned", &pins.join(map).to_string_lossy()])?;
            let named = run_bpftool(&["map", "dump", "name", map])?;
            for text in [&pinned, &named] {
                ensure!(
                    fields.iter().all(|field| text.contains(field)),
                    "{map}: {fields:?} not in {text:.2000}"
                );
            }
            println!("{map}: {} bytes of JSON with {}", pinned.len(), fields.join(", "));
        }
        Ok(())
    })
}

const SERVICES: usize = 1000;
const BACKENDS: usize = 16;
const MAX_MAP_BYTES: u64 = 128 << 20;

/// The manifest of 16 Nodes, of which only node1 exists, and of 1,000 Services with a backend on each of them.
fn manifest_of_many_services(testbed: &Testbed) -> Result<String> {
    let own = testbed.machine("node1")?.address.v4;
    let address = |number: usize| if number == 1 { own } else { Ipv4Addr::new(10, 77, 100, number as u8) };
    let node = |number: usize| {
        json!({
            "apiVersion": "v1", "kind": "Node", "metadata": {"name": format!("node{number}")},
            "status": {"addresses": [{"type": "InternalIP", "address": address(number)}]},
        })
    };
    let mut objects: Vec<_> = (1..=BACKENDS).map(node).collect();
    for number in 0..SERVICES {
        objects.extend([service(number), endpoint_slice(number)]);
    }
    let documents: Vec<_> = objects.iter().map(Value::to_string).collect();
    Ok(documents.join("\n---\n"))
}

fn service(number: usize) -> Value {
    let vip = Ipv4Addr::new(192, 0, 2, (number % 250) as u8 + 1);
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": format!("s{number}"), "annotations": {"trigon.dev/dsr": "true"}},
        "spec": {
            "type": "LoadBalancer", "loadBalancerClass": "trigon.dev/lb",
            "ports": [{"name": "http", "port": 80 + number / 250}],
        },
        "status": {"loadBalancer": {"ingress": [{"ip": vip}]}},
    })
}

fn endpoint_slice(number: usize) -> Value {
    let endpoint = |node: usize| {
        let address = Ipv4Addr::new(10, 88 + (number / 250) as u8, (number % 250) as u8, node as u8);
        json!({"addresses": [address], "nodeName": format!("node{node}")})
    };
    json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {
            "name": format!("s{number}-1"),
            "labels": {"kubernetes.io/service-name": format!("s{number}")},
        },
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": 8080}],
        "endpoints": (1..=BACKENDS).map(endpoint).collect::<Vec<_>>(),
    })
}

/// Each map's name and kernel memory in bytes, largest first.
fn map_sizes(testbed: &Testbed, machine: &Machine) -> Result<Vec<(String, u64)>> {
    let pins = testbed.maps_dir(machine);
    let mut sizes = Vec::new();
    for pin in fs::read_dir(&pins)? {
        let path = pin?.path();
        let shown = run_bpftool(&["-j", "map", "show", "pinned", &path.to_string_lossy()])?;
        let shown: Value = serde_json::from_str(&shown)?;
        let bytes = shown["bytes_memlock"].as_u64().context("bpftool shows no bytes_memlock")?;
        sizes.push((path.file_name().unwrap_or_default().to_string_lossy().into_owned(), bytes));
    }
    sizes.sort_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
    Ok(sizes)
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

#[test]
fn a_thousand_services_of_sixteen_backends_take_less_than_128_mib() -> Result<()> {
    let testbed = Testbed::new(Config {
        directors: 0,
        nodes: 1,
        node_role: NodeRole::Both,
        pods_per_node: 0,
        ..Config::l3()
    })?;
    let source = testbed.dir().join("source");
    write_manifest(&source, "many.yaml", &manifest_of_many_services(&testbed)?)?;
    let machine = testbed.machine("node1")?;
    let start = |what: &str| {
        let began = Instant::now();
        let mut agent = testbed.start_agent(machine, "director,node", &source, &["--no-probing"])?;
        testbed.wait_ready(machine, &mut agent)?;
        println!("{what} of {SERVICES} services of {BACKENDS} backends: ready after {:?}", began.elapsed());
        anyhow::Ok(agent)
    };
    let mut agent = start("first start")?;
    let sizes = map_sizes(&testbed, machine)?;
    let maps: u64 = sizes.iter().map(|(_, bytes)| bytes).sum();
    let (resident, own) = (process_memory(agent.id(), "VmRSS")?, process_memory(agent.id(), "RssAnon")?);
    for (name, bytes) in &sizes {
        println!("{name}: {:.1} MiB", mib(*bytes));
    }
    println!(
        "maps {:.1} MiB; agent {:.1} MiB, {:.1} MiB of them its own",
        mib(maps),
        mib(resident),
        mib(own)
    );
    ensure!(maps < MAX_MAP_BYTES, "maps take {maps} bytes");
    agent.kill()?;
    let before = testbed.run_trigon_json(machine, &["status"]);
    ensure!(before.is_err(), "the killed agent still answers");
    let _agent = start("restart")?;
    let status = testbed.agent_status(machine)?;
    ensure!(status["interfaces"][0]["adopted"] == true && status["generation"] == 1, "{status}");
    ensure!(status["services"] == json!({"total": SERVICES, "good": SERVICES}), "{status}");
    Ok(())
}
