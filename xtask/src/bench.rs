//! `cargo xtask bench`: nanoseconds per packet of the director's XDP program,
//! beside programs that do the least there is to do.
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
mod frame;
mod kernel;
mod measure;
mod report;
mod tables;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use clap::ValueEnum;

use measure::Subject;

#[derive(clap::Args)]
pub struct Args {
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
    /// Only cases whose name contains this; the baseline `encap` always runs.
    #[arg(long, default_value = "")]
    only: String,
    /// Where `cargo xtask build-ebpf` left the objects.
    #[arg(long, default_value_os_t = built())]
    objects: PathBuf,
}

#[derive(Clone, Copy, ValueEnum)]
enum Output {
    Text,
    Json,
}

/// The directory of the eBPF objects, whatever the working directory is.
fn built() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../lb-ebpf/target/bpfel-unknown-none/release")
}

pub fn run(args: Args) -> Result<()> {
    let stats = std::fs::read_to_string("/proc/sys/kernel/bpf_stats_enabled").unwrap_or_default();
    ensure!(
        stats.trim() != "1",
        "kernel.bpf_stats_enabled adds some 46 ns to every run: sysctl -w kernel.bpf_stats_enabled=0"
    );
    measure::pin(args.cpu).with_context(|| format!("--cpu {}", args.cpu))?;
    let objects = kernel::Objects::read(&args.objects)?;
    let director = kernel::Director::load(&objects)?;
    let mut subjects = cases::all()
        .into_iter()
        .filter(|case| case.name == cases::REFERENCE || case.name.contains(&args.only))
        .map(|case| Subject::load(case, &objects, &director))
        .collect::<Result<Vec<_>>>()?;
    for round in 1..=args.rounds {
        eprint!(
            "\rround {round} of {}: {} cases, {} packets each",
            args.rounds,
            subjects.len(),
            args.packets
        );
        for subject in &mut subjects {
            subject.measure(&director, args.packets)?;
        }
    }
    eprintln!();
    let results = report::results(&subjects)?;
    match args.output {
        Output::Text => report::text(&results),
        Output::Json => println!("{}", serde_json::to_string_pretty(&results)?),
    }
    Ok(())
}
