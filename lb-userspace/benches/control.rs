//! What a change costs in the control plane, by stage, from the event to the proof. Run by
//! `cargo xtask bench --control`, as root: the maps are the kernel's.
//!
//! One machine, a director. Each Service has ten endpoints on ten nodes that no other Service
//! has, and a file of its own, as each Node has. A size is measured in a process of its own.

#[path = "common/layout.rs"]
mod layout;
#[path = "common/memory.rs"]
mod memory;
#[path = "control/site.rs"]
mod site;
#[path = "control/stages.rs"]
mod stages;
#[path = "common/target.rs"]
mod target;
#[path = "control/targets.rs"]
mod targets;

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use clap::{Parser, ValueEnum};
use lb_userspace::{
    agent::bench::ControlPlane,
    datapath::kernel::{self, DatapathConfig, XdpMode},
    plan::{Identity, mirror::Capacity},
};
use serde::{Deserialize, Serialize};

use site::Site;
use stages::{Cost, Stages};

/// How often a change is made. The median counts.
const ROUNDS: usize = 15;
/// Longer than any batch of ring changes waits.
const PAUSE: Duration = Duration::from_secs(1);
/// Services, endpoints, nodes.
const SIZES: [(usize, usize, usize); 2] = [(1_000, 10_000, 100), (10_000, 100_000, 1_000)];

#[derive(Parser)]
struct Args {
    #[arg(long, value_enum, default_value = "text")]
    output: Output,
    /// Measure only this size, in this process.
    #[arg(long, hide = true)]
    size: Option<usize>,
    /// What `cargo bench` says.
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Output {
    Text,
    Json,
}

#[derive(Serialize, Deserialize)]
struct Row {
    case: String,
    services: usize,
    endpoints: usize,
    nodes: usize,
    stage: String,
    cpu_us: f64,
    wall_us: f64,
    /// Of the process, when the case was over.
    #[serde(skip_serializing_if = "Option::is_none")]
    resident_mib: Option<f64>,
}

fn main() -> Result<()> {
    let args = Args::parse();
    if let Some(size) = args.size {
        let rows = measure(SIZES[size])?;
        println!("{}", serde_json::to_string(&rows)?);
        return Ok(());
    }
    let mut rows = Vec::new();
    for (size, counts) in SIZES.iter().enumerate() {
        let output = Command::new(std::env::current_exe()?)
            .args(["--size", &size.to_string()])
            .stderr(std::process::Stdio::inherit())
            .output()?;
        ensure!(output.status.success(), "measuring {counts:?}: {}", output.status);
        rows.extend(serde_json::from_slice::<Vec<Row>>(&output.stdout)?);
    }
    match args.output {
        Output::Json => println!("{}", serde_json::to_string_pretty(&rows)?),
        Output::Text => {
            rows.iter().for_each(print_row);
            println!();
            target::judge_all(&targets::TARGETS, &rows).iter().for_each(|line| println!("{line}"));
        }
    }
    Ok(())
}

fn print_row(row: &Row) {
    let memory = row.resident_mib.map(|mib| format!("  {mib:.0} MiB")).unwrap_or_default();
    println!(
        "{:<17} {:>6} services {:>7} endpoints {:>5} nodes  {:<9} {:>11.0} us CPU {:>11.0} us{memory}",
        row.case, row.services, row.endpoints, row.nodes, row.stage, row.cpu_us, row.wall_us
    );
}

/// Unloads what was pinned, also after a failure.
struct Pins(PathBuf);

impl Drop for Pins {
    fn drop(&mut self) {
        if let Err(error) = kernel::unload(&self.0) {
            eprintln!("unload {}: {error}", self.0.display());
        }
    }
}

fn measure(size: (usize, usize, usize)) -> Result<Vec<Row>> {
    let stages = Stages::install();
    let (services, endpoints, nodes) = size;
    let files = tempfile::tempdir()?;
    let mut site = Site::write(files.path(), services, endpoints / services, nodes)?;
    let pins = Pins(format!("/sys/fs/bpf/trigon-bench-{}", std::process::id()).into());
    let mut rows = Vec::new();
    let mut note = |case: &str, costs: Vec<(&str, Cost)>, resident: Option<f64>| {
        rows.extend(costs.into_iter().map(|(stage, cost)| Row {
            case: case.to_owned(),
            services,
            endpoints,
            nodes,
            stage: stage.to_owned(),
            cpu_us: cost.cpu.as_secs_f64() * 1e6,
            wall_us: cost.wall.as_secs_f64() * 1e6,
            resident_mib: resident.filter(|_| stage == "total"),
        }));
    };
    for case in ["start", "adoption"] {
        let before = own_memory_mib()?;
        let mut started = None;
        let costs = stages.measure(|| {
            let mut plane = start(files.path(), &pins.0)?;
            plane.read_all()?;
            plane.set_hops(site.hops());
            started = Some(plane);
            anyhow::Ok(())
        })?;
        let mut plane = started.context("started")?;
        settle(&mut plane, services)?;
        // Of the site itself, which is not the agent's, there is little.
        note(case, costs, Some(own_memory_mib()? - if case == "start" { before } else { 0.0 }));
        if case == "adoption" {
            changes(&stages, &mut plane, &mut site, services, &mut note)?;
        }
    }
    Ok(rows)
}

type Note<'a> = dyn FnMut(&str, Vec<(&str, Cost)>, Option<f64>) + 'a;

fn changes(
    stages: &Stages,
    plane: &mut ControlPlane,
    site: &mut Site,
    services: usize,
    note: &mut Note<'_>,
) -> Result<()> {
    let mut rounds = Vec::new();
    for round in 0..ROUNDS {
        let file = site.change_endpoint(round * 37 % services)?;
        let before = plane.generation();
        rounds.push(stages.measure(|| {
            plane.read(&file)?;
            // Removals are followed at once, additions in batches.
            plane.advance(PAUSE);
            anyhow::Ok(())
        })?);
        ensure!(plane.generation() > before, "nothing was changed");
        settle(plane, services)?;
    }
    note("endpoint-change", stages::medians(&rounds), None);
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        let file = site.add_node()?;
        let hops = site.hops();
        let before = plane.peers();
        rounds.push(stages.measure(|| {
            plane.read(&file)?;
            plane.set_hops(hops);
            anyhow::Ok(())
        })?);
        ensure!(plane.peers() == before + 1, "no peer was added to the {before}");
        settle(plane, services)?;
    }
    note("node-added", stages::medians(&rounds), None);
    let mut rounds = Vec::new();
    for round in 0..ROUNDS {
        let hops = site.change_hop(round);
        rounds.push(stages.measure(|| {
            plane.set_hops(hops);
            anyhow::Ok(())
        })?);
        let mac = plane.mac_of(layout::node_address(round).into());
        ensure!(mac == Some(site.mac_of(round)), "the way to node {round} is {mac:?}");
        settle(plane, services)?;
    }
    note("next-hop-changed", stages::medians(&rounds), Some(own_memory_mib()?));
    Ok(())
}

/// Lets pass what has to pass until ids and ranges are free again.
fn settle(plane: &mut ControlPlane, services: usize) -> Result<()> {
    for _ in 0..3 {
        plane.advance(PAUSE);
        plane.tick();
    }
    plane.check(services)
}

fn start(files: &Path, pin_dir: &Path) -> Result<ControlPlane> {
    let me = Identity {
        node: "director".into(),
        roles: lb_common::roles::DIRECTOR,
        asks_former_owners: true,
        bare_sources: [].into(),
        answer_echo: true,
        bgp_port: None,
    };
    let capacity = Capacity {
        services: 16_384,
        backends: 4_096,
        endpoints: 1,
        ring_slots: 32 << 20,
        history_slots: 1_024,
        ranges: 1,
        vips: 16_384,
        peers: 16_384,
    };
    let datapath = DatapathConfig {
        pin_dir: pin_dir.to_owned(),
        interfaces: Vec::new(),
        roles: me.roles,
        mode: XdpMode::Generic,
        capacity,
        node_flows: 1,
        affinities: 1,
        bare_flows: 1_024,
        fragments: 1_024,
        log_drops: false,
        bare_sources: Vec::new(),
    };
    ControlPlane::start(files, me, &datapath, site::DEVICE)
}

fn own_memory_mib() -> Result<f64> {
    memory::own_memory_mib(std::process::id())
}
