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
use run::Run;

/// For all machines together, if nobody says how many.
const PACKETS: u64 = 300_000;
/// Counters are read once for so many packets: that costs more than to run them.
const BATCH: u64 = 1000;

#[test]
fn no_bytes_upset_the_programs() {
    let packets = setting("TRIGON_FUZZ_PACKETS").unwrap_or(PACKETS);
    let seed = setting("TRIGON_FUZZ_SEED").unwrap_or_else(by_time);
    say(&format!(
        "fuzz: {packets} packets, seed {seed}: the same again by `cargo xtask fuzz --seed {seed}`\n"
    ));
    let seeds: Vec<_> = seeds().into_iter().collect();
    let mut runs: Vec<_> = machines().into_iter().filter_map(|(setup, hook)| Run::new(setup, hook)).collect();
    let machines = runs.len();
    let start = Instant::now();
    let mut progress = Progress::new(packets);
    let mut random = Random::new(seed);
    for batch in 0..packets.div_ceil(BATCH) {
        let sent = batch * BATCH;
        let run = &mut runs[batch as usize % machines];
        let frames: Vec<_> = iter::repeat_with(|| mutate::frame(&seeds, &mut random))
            .filter(|frame| run.takes(frame))
            .take(BATCH.min(packets - sent) as usize)
            .collect();
        run.check(&frames).unwrap_or_else(|why| panic!("seed {seed}: {why}"));
        progress.tell(sent);
    }
    say(&format!(
        "\rfuzz: {packets} packets to {machines} machines in {:.1} s\n",
        start.elapsed().as_secs_f64()
    ));
    check_variety(&runs);
}

/// What the packets became has to be of some variety.
fn check_variety(runs: &[Run]) {
    let reached: BTreeMap<_, u64> =
        runs.iter().flat_map(Run::verdicts).fold(BTreeMap::new(), |mut sums, (verdict, count)| {
            *sums.entry(verdict.label()).or_default() += count;
            sums
        });
    let table: Vec<_> = reached.iter().map(|(label, count)| format!("{label} {count}")).collect();
    say(&format!("fuzz: {}\n", table.join(", ")));
    let due = Verdict::all().count() * 3 / 4;
    assert!(reached.len() >= due, "hardly a fuzz, fewer than {due} verdicts: {reached:?}");
}

/// Good frames, from which the bad ones are made.
fn seeds() -> HashSet<Vec<u8>> {
    coverage::all().into_iter().map(|case| case.input).collect()
}

fn machines() -> BTreeSet<(Setup, Hook)> {
    coverage::all().into_iter().map(|case| (case.setup, case.hook)).collect()
}

fn setting<T: FromStr>(name: &str) -> Option<T> {
    let value = env::var(name).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("{name}={value} is no number")))
}

fn by_time() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64 % 1_000_000_000
}

/// Past the test runner, which keeps what `print` says to itself.
fn say(text: &str) {
    let _ = std::io::stderr().write_all(text.as_bytes());
}

/// How far it came, said from time to time.
struct Progress {
    packets: u64,
    last: Instant,
}

impl Progress {
    fn new(packets: u64) -> Self {
        Self { packets, last: Instant::now() }
    }

    fn tell(&mut self, sent: u64) {
        if self.last.elapsed() > Duration::from_secs(2) {
            self.last = Instant::now();
            say(&format!("\rfuzz: {} %", sent * 100 / self.packets));
        }
    }
}
