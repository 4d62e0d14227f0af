//! How long a change takes from the API server to the kernel's maps, and what an agent costs there; and what it takes a
//! controller until Services say that all agents have them. Run by `cargo xtask bench --kube`, as root: API server, agent,
//! maps and controller are real; nodes and endpoints are only objects.
//!
//! Of an agent: one machine, a director. Each Service has ten endpoints on ten nodes.

#[path = "kube/cluster.rs"]
mod cluster;
#[path = "kube/conditions.rs"]
mod conditions;
#[path = "kube/controller.rs"]
mod controller;
#[path = "common/layout.rs"]
mod layout;
#[path = "common/memory.rs"]
mod memory;
#[path = "kube/process.rs"]
mod process;
#[path = "common/target.rs"]
mod target;
#[path = "kube/targets.rs"]
mod targets;

use std::{
    net::IpAddr,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use aya::maps::{HashMap, Map, MapData};
use clap::{Parser, ValueEnum};
use lb_common::maps::{Service, ServiceKey, names};
use lb_testbed::{
    Config, Machine, Process, Testbed,
    kubernetes::{ApiServer, Programs},
};
use serde::Serialize;

use cluster::Cluster;

/// Services, nodes.
const SIZES: [(usize, usize); 2] = [(1_000, 100), (10_000, 1_000)];
/// How many changes.
const CHANGES: usize = 200;
/// Between two of them, so that each is one by itself.
const PAUSE: Duration = Duration::from_millis(50);
const PATIENCE: Duration = Duration::from_secs(120);

#[derive(Parser)]
struct Args {
    #[arg(long, value_enum, default_value = "text")]
    output: Output,
    /// Only what gives cases whose name contains this.
    #[arg(long, default_value = "")]
    only: String,
    /// What `cargo bench` says.
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Output {
    Text,
    Json,
}

/// Times of a start are those of the only one.
#[derive(Serialize)]
struct Row {
    case: String,
    p50_ms: f64,
    p99_ms: f64,
    /// Of the agent or the controller, for each change.
    cpu_ms: f64,
    /// Of its own memory, when the case was over.
    memory_mib: f64,
    /// What was written to the API server, for each change.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    writes: Option<controller::Written>,
}

fn main() -> Result<()> {
    let args = Args::parse();
    let is_wanted = |cases: &[String]| cases.iter().any(|case| case.contains(&args.only));
    let mut rows = Vec::new();
    for (services, nodes) in SIZES {
        if is_wanted(&cases(services)) {
            rows.extend(measure(services, nodes)?);
        }
    }
    if is_wanted(&controller::cases()) {
        rows.extend(controller::measure()?);
    }
    ensure!(!rows.is_empty(), "--only {}: no case has this in its name", args.only);
    match args.output {
        Output::Json => println!("{}", serde_json::to_string_pretty(&rows)?),
        Output::Text => {
            rows.iter().for_each(print_row);
            target::judge_all(&targets::TARGETS, &rows).iter().for_each(|line| println!("{line}"));
        }
    }
    Ok(())
}

fn print_row(row: &Row) {
    print!(
        "{:<47} median {:>8.1} ms  p99 {:>8.1} ms  {:>8.2} ms CPU  {:>4.0} MiB",
        row.case, row.p50_ms, row.p99_ms, row.cpu_ms, row.memory_mib
    );
    if let Some(controller::Written { writes, reports }) = row.writes {
        print!("  {writes} writes, {reports} reports");
    }
    println!();
}

fn cases(services: usize) -> [String; 2] {
    [format!("start-{services}"), format!("endpoint-change-{services}")]
}

fn measure(services: usize, nodes: usize) -> Result<[Row; 2]> {
    let [start_case, change_case] = cases(services);
    let testbed = Testbed::new(Config { directors: 1, nodes: 0, ..Config::l3() })?;
    let api_server = ApiServer::start(&testbed, Programs::find()?)?;
    let director = testbed.machine("director1")?;
    let kubeconfig = api_server.admin_kubeconfig();
    let cluster = Cluster::new(testbed.router().clone(), kubeconfig.to_owned(), services, nodes);
    eprintln!("making {services} Services with {} endpoints on {nodes} nodes", services * cluster::ENDPOINTS);
    cluster.create()?;
    cluster.create_endpoints(director)?;

    let began = Instant::now();
    let agent = start_agent(&testbed, director, &api_server)?;
    wait_programmed(&testbed, director, services)?;
    let took = millis(began.elapsed());
    let cpu = process::cpu_time(agent.id())?;
    let start = Row {
        case: start_case,
        p50_ms: took,
        p99_ms: took,
        cpu_ms: millis(cpu),
        memory_mib: memory::own_memory_mib(agent.id())?,
        writes: None,
    };

    let (mut times, cpu) = change_endpoints(&testbed, director, &cluster, &agent)?;
    let [p50_ms, p99_ms] = percentiles(&mut times);
    let change = Row {
        case: change_case,
        p50_ms,
        p99_ms,
        cpu_ms: millis(cpu) / times.len() as f64,
        memory_mib: memory::own_memory_mib(agent.id())?,
        writes: None,
    };
    Ok([start, change])
}

fn start_agent(testbed: &Testbed, director: &Machine, api_server: &ApiServer) -> Result<Process> {
    let kubeconfig = api_server.agents_kubeconfig().display().to_string();
    let sizes = ["--max-services", "16384", "--max-backends", "4096", "--ring-slots", "33554432"];
    let extra = [&["--kubeconfig", &kubeconfig, "--no-probing"], &sizes[..]].concat();
    testbed.start_agent(director, "director", "kube".as_ref(), &extra)
}

fn wait_programmed(testbed: &Testbed, director: &Machine, services: usize) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let status = testbed.agent_status(director);
        if status.as_ref().is_ok_and(|status| status["services"]["good"] == services) {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "not programmed within {PATIENCE:?}: {status:?}");
        thread::sleep(Duration::from_millis(20));
    }
}

/// From the request to the API server until the service has another entry in the map; and the agent's CPU time.
fn change_endpoints(
    testbed: &Testbed,
    director: &Machine,
    cluster: &Cluster,
    agent: &Process,
) -> Result<(Vec<Duration>, Duration)> {
    let path = testbed.maps_dir(director).join(names::SERVICES);
    let map = MapData::from_pin(&path).with_context(|| format!("opening {}", path.display()))?;
    let map: HashMap<_, ServiceKey, Service> = HashMap::try_from(Map::HashMap(map))?;
    let before = process::cpu_time(agent.id())?;
    let mover = cluster.start_mover()?;
    let mut times = Vec::new();
    for number in 0..CHANGES {
        let service = number * 37 % cluster.services();
        let key = service_key(layout::vip(service).into());
        let old = map.get(&key, 0).with_context(|| format!("service {service}"))?.generation;
        let began = Instant::now();
        mover.begin(service)?;
        while map.get(&key, 0)?.generation == old {
            ensure!(began.elapsed() < PATIENCE, "service {service} was not changed within {PATIENCE:?}");
            thread::sleep(Duration::from_micros(200));
        }
        times.push(began.elapsed());
        mover.wait()?;
        thread::sleep(PAUSE);
    }
    Ok((times, process::cpu_time(agent.id())?.saturating_sub(before)))
}

fn service_key(vip: IpAddr) -> ServiceKey {
    ServiceKey { addr: vip.into(), port: cluster::PORT.to_be(), protocol: 6, pad: 0 }
}

/// The median and the 99th percentile, in milliseconds.
fn percentiles(times: &mut [Duration]) -> [f64; 2] {
    times.sort_unstable();
    [times.len() / 2, times.len() * 99 / 100].map(|rank| millis(times[rank]))
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
