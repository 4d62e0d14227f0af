//! `cargo xtask bench`: nanoseconds per packet of Trigon's programs, beside
//! programs that do the least there is to do.
//!
//! `BPF_PROG_TEST_RUN` repeats a program without resetting the packet, so a
//! wrapper restores it before every repetition (`lb-ebpf/src/bench`). What the
//! wrapper costs is measured in the same rounds and subtracted:
//!
//! - A: the wrapper and a program that returns at once;
//! - B: the wrapper and a program that moves the head as an encapsulation
//!   does, which the wrapper has to undo.
//!
//! A program that does not move the head costs T - A. One that does costs
//! T - (A + B) / 2: B - A is its own move and the wrapper's, two calls of one
//! helper, and only the wrapper's is not the program's cost.
//!
//! A figure counts only if every single repetition was right: the wrapper
//! checks its length and a byte, and Trigon's own counters must name the
//! expected verdict as often as it ran.

mod cases;
mod clock;
mod frame;
mod kernel;
mod measure;
mod report;
mod tables;
mod wrapper;

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;

use crate::{
    apt::{self, Package},
    build_ebpf, kubernetes,
    shell::{self, need_root},
    test,
};
use cases::Case;
use measure::Subject;
use tables::Scale;

/// What reloads the configuration of FRR.
const RELOAD: &[Package] = &[Package::new("frr-pythontools", "/usr/lib/frr/frr-reload.py")];

#[derive(clap::Args)]
pub struct BenchArgs {
    /// Measure the control plane instead: CPU and wall time of a start and of changes, from the
    /// event to the proof, by stage, for 1,000 and 10,000 Services.
    #[arg(long, conflicts_with_all = ["rounds", "packets", "cpu", "only", "objects"])]
    control: bool,
    /// Measure announcements instead: the time from a new Service to the table of a router (BIRD), beside that of FRR whose
    /// configuration is reloaded; 50 of each.
    #[arg(long, conflicts_with_all = ["control", "kube", "rounds", "packets", "cpu", "only", "objects"])]
    announce: bool,
    /// Measure agents and a controller with a real API server instead: the time from a write to the kernel's map, and CPU
    /// and memory of the agent, for 1,000 and 10,000 Services; the time until 10,000 Services say that 1,000 agents have
    /// them, and how often that is written. With the controller, some fifteen minutes.
    #[arg(long, conflicts_with_all = ["control", "rounds", "packets", "cpu", "objects"])]
    kube: bool,
    #[arg(long, value_enum, default_value = "text")]
    output: Output,
    /// Every case runs once in each round.
    #[arg(long, default_value_t = 61, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,
    /// Packets of a case in one round.
    #[arg(long, default_value_t = 80_000, value_parser = clap::value_parser!(u32).range(1000..=10_000_000))]
    packets: u32,
    /// The CPU to measure on.
    #[arg(long, default_value_t = 0)]
    cpu: usize,
    /// Only cases whose name contains this, and the baselines; with --kube, those that are measured together.
    #[arg(long, default_value = "")]
    only: String,
    /// The directory of the eBPF objects, if they are not to be built.
    #[arg(long)]
    objects: Option<PathBuf>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Output {
    Text,
    Json,
    /// What `cargo xtask icount` reads.
    #[value(hide = true)]
    Instructions,
}

impl BenchArgs {
    fn wants(&self, case: &Case) -> bool {
        let counts = match self.output {
            // How many flows there are is a matter of caches alone.
            Output::Instructions => case.is_trigon() && case.traffic.flows <= 1,
            Output::Text | Output::Json => true,
        };
        counts && case.name.contains(&self.only)
    }

    fn scale(&self) -> Scale {
        match self.output {
            Output::Instructions => Scale::EMPTY,
            Output::Text | Output::Json => Scale::BUSY,
        }
    }
}

pub fn run(args: BenchArgs) -> Result<()> {
    if args.control {
        return run_in_userspace("control", args.output, &[]);
    }
    if args.announce {
        need_root()?;
        for packages in [test::PACKAGES, test::ROUTERS, RELOAD] {
            apt::install(packages, "announcements")?;
        }
        return run_in_userspace("announce", args.output, &[]);
    }
    if args.kube {
        kubernetes::run()?;
        return run_in_userspace("kube", args.output, &["--only", &args.only]);
    }
    let stats = std::fs::read_to_string("/proc/sys/kernel/bpf_stats_enabled").unwrap_or_default();
    ensure!(
        stats.trim() != "1",
        "kernel.bpf_stats_enabled adds some 46 ns to every run: sysctl -w kernel.bpf_stats_enabled=0"
    );
    clock::pin_to_cpu(args.cpu).with_context(|| format!("--cpu {}", args.cpu))?;
    let subjects = measure(&args)?;
    match args.output {
        Output::Text => report::print_text(&report::results(&subjects)?),
        Output::Json => println!("{}", serde_json::to_string_pretty(&report::results(&subjects)?)?),
        Output::Instructions => report::print_instructions(&subjects),
    }
    Ok(())
}

/// A bench that is in the crate that it measures (`lb-userspace/benches`).
fn run_in_userspace(name: &str, output: Output, extra: &[&str]) -> Result<()> {
    let format = match output {
        Output::Json => "json",
        Output::Text | Output::Instructions => "text",
    };
    build_ebpf::run()?;
    shell::run(shell::cargo().args([
        "build",
        "--quiet",
        "--release",
        "--package",
        "lb-userspace",
        "--bins",
    ]))?;
    let bench = ["bench", "--package", "lb-userspace", "--bench", name, "--", "--output", format];
    shell::run(shell::cargo().args(bench).args(extra))
}

/// All cases, as often as they are to run.
fn measure(args: &BenchArgs) -> Result<Vec<Subject>> {
    let directory = args.objects.clone().map_or_else(build_ebpf::run, Ok)?;
    let objects = kernel::Objects::read(&directory)?;
    let machines = kernel::Machines::load(&objects, args.scale())?;
    let mut subjects = cases::all()
        .into_iter()
        .filter(|case| case.is_reference() || args.wants(case))
        .map(|case| Subject::load(case, &objects, &machines))
        .collect::<Result<Vec<_>>>()?;
    for round in 1..=args.rounds {
        let (rounds, cases, packets) = (args.rounds, subjects.len(), args.packets);
        eprint!("\rround {round} of {rounds}: {cases} cases, {packets} packets each");
        for subject in &mut subjects {
            subject.measure(&machines, args.packets)?;
        }
    }
    eprintln!();
    Ok(subjects)
}
