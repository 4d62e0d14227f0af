//! Any bytes at all: the programs never abort, count every packet once, and
//! leave alone what is not theirs.
//!
//! The seeds are the packets of all tables, and the machines are those that the
//! tables ask for. A few packets with another seed each time; many, or the same
//! again, by `cargo xtask fuzz`.

mod mutate;
mod ours;
mod run;

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    env,
    io::Write,
    iter,
    str::FromStr,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use lb_common::Verdict;

use crate::{
    coverage,
    machine::{Hook, Setup},
    random::Random,
};
use run::FuzzRun;

/// The default number of packets, for all machines together.
const PACKETS: u64 = 300_000;
/// Packets per reading of the counters, which takes longer than to run them.
const BATCH: u64 = 1000;

#[test]
fn no_bytes_upset_the_programs() {
    let packets = read_setting("TRIGON_FUZZ_PACKETS").unwrap_or(PACKETS);
    let seed = read_setting("TRIGON_FUZZ_SEED").unwrap_or_else(seed_from_clock);
    write_to_stderr(&format!(
        "fuzz: {packets} packets, seed {seed}: the same again by `cargo xtask fuzz --seed {seed}`\n"
    ));
    let seeds: Vec<_> = seed_frames().into_iter().collect();
    let mut runs: Vec<_> =
        machine_setups().into_iter().filter_map(|(setup, hook)| FuzzRun::new(setup, hook)).collect();
    let machines = runs.len();
    let start = Instant::now();
    let mut progress = Progress::new(packets);
    let mut random = Random::new(seed);
    for batch in 0..packets.div_ceil(BATCH) {
        let sent = batch * BATCH;
        let run = &mut runs[batch as usize % machines];
        let frames: Vec<_> = iter::repeat_with(|| mutate::mutated_frame(&seeds, &mut random))
            .filter(|frame| run.accepts_frame(frame))
            .take(BATCH.min(packets - sent) as usize)
            .collect();
        run.check(&frames).unwrap_or_else(|why| panic!("seed {seed}: {why}"));
        progress.print_if_due(sent);
    }
    write_to_stderr(&format!(
        "\rfuzz: {packets} packets to {machines} machines in {:.1} s\n",
        start.elapsed().as_secs_f64()
    ));
    check_variety(&runs);
}

/// At least three quarters of all verdicts have to be reached.
fn check_variety(runs: &[FuzzRun]) {
    let reached: BTreeMap<_, u64> =
        runs.iter().flat_map(FuzzRun::verdicts).fold(BTreeMap::new(), |mut sums, (verdict, count)| {
            *sums.entry(verdict.label()).or_default() += count;
            sums
        });
    let table: Vec<_> = reached.iter().map(|(label, count)| format!("{label} {count}")).collect();
    write_to_stderr(&format!("fuzz: {}\n", table.join(", ")));
    let due = Verdict::all().count() * 3 / 4;
    assert!(reached.len() >= due, "hardly a fuzz, fewer than {due} verdicts: {reached:?}");
}

/// Good frames, from which the bad ones are made.
fn seed_frames() -> HashSet<Vec<u8>> {
    coverage::all_cases().into_iter().map(|case| case.input).collect()
}

fn machine_setups() -> BTreeSet<(Setup, Hook)> {
    coverage::all_cases().into_iter().map(|case| (case.setup, case.hook)).collect()
}

fn read_setting<T: FromStr>(name: &str) -> Option<T> {
    let value = env::var(name).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("{name}={value} is no number")))
}

fn seed_from_clock() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64 % 1_000_000_000
}

/// To standard error itself: the test runner captures `print!`.
fn write_to_stderr(text: &str) {
    let _ = std::io::stderr().write_all(text.as_bytes());
}

/// Progress in percent, printed every two seconds.
struct Progress {
    packets: u64,
    last: Instant,
}

impl Progress {
    fn new(packets: u64) -> Self {
        Self { packets, last: Instant::now() }
    }

    fn print_if_due(&mut self, sent: u64) {
        if self.last.elapsed() > Duration::from_secs(2) {
            self.last = Instant::now();
            write_to_stderr(&format!("\rfuzz: {} %", sent * 100 / self.packets));
        }
    }
}
