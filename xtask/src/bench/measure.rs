//! Measuring one case: the program, and the wrapper's own cost beside it.

use std::mem;

use anyhow::{Context, Result, ensure};

use super::{
    cases::{Case, Output, Program},
    kernel::{Counters, Director, Objects, Wrapper},
};

/// A case, loaded, and what has been measured of it so far.
pub struct Subject {
    pub case: Case,
    program: Wrapper,
    empty: Wrapper,
    /// If the program lengthens the packet.
    move_head: Option<Wrapper>,
    pub rounds: Vec<Round>,
}

/// Nanoseconds per packet in one round.
#[derive(Clone, Copy)]
pub struct Round {
    program: f64,
    empty: f64,
    move_head: f64,
}

impl Round {
    /// What the program itself costs; see the head of `bench.rs`.
    pub fn net(&self) -> f64 {
        self.program - (self.empty + self.move_head) / 2.0
    }

    /// The least of each part.
    pub fn least(self, other: &Self) -> Self {
        Self {
            program: self.program.min(other.program),
            empty: self.empty.min(other.empty),
            move_head: self.move_head.min(other.move_head),
        }
    }
}

impl Subject {
    pub fn load(case: Case, objects: &Objects, director: &Director) -> Result<Self> {
        let wrapper = |output, program| Wrapper::load(objects, &case, output, program, director);
        let moves = case.output.growth() > 0;
        Self::with(case, wrapper, moves).with_context(|| format!("case {}", case.name))
    }

    fn with(case: Case, wrapper: impl Fn(Output, Program) -> Result<Wrapper>, moves: bool) -> Result<Self> {
        // The head alone moves: what was the frame lies behind it unchanged.
        let moved = || wrapper(Output::Moved(case.output.growth()), Program::Baseline("move_head"));
        Ok(Self {
            program: wrapper(case.output, case.program)?,
            empty: wrapper(Output::Unchanged, Program::Baseline("empty"))?,
            move_head: moves.then(moved).transpose()?,
            rounds: Vec::new(),
            case,
        })
    }

    /// One round: program, A and B, one after the other.
    pub fn measure(&mut self, director: &Director, packets: u32) -> Result<()> {
        self.round(director, packets).with_context(|| format!("case {}", self.case.name))
    }

    fn round(&mut self, director: &Director, packets: u32) -> Result<()> {
        let before = director.counters()?;
        let program = self.program.run(packets)?;
        self.check(&before, &director.counters()?, packets)?;
        let empty = self.empty.run(packets)?;
        let move_head = match &mut self.move_head {
            Some(wrapper) => wrapper.run(packets)?,
            None => empty,
        };
        self.rounds.push(Round { program, empty, move_head });
        Ok(())
    }

    /// Trigon must have counted the expected verdict for every packet.
    fn check(&self, before: &Counters, after: &Counters, packets: u32) -> Result<()> {
        let Program::Trigon(expected) = self.case.program else { return Ok(()) };
        for verdict in lb_common::Verdict::all() {
            let counted = after[verdict as usize] - before[verdict as usize];
            let due = if verdict == expected { u64::from(packets) } else { 0 };
            ensure!(
                counted == due,
                "verdict {} counted {counted} times instead of {due}: not the path that was to be measured",
                verdict.label()
            );
        }
        Ok(())
    }
}

/// Stay on one CPU.
pub fn pin(cpu: usize) -> Result<()> {
    ensure!(cpu < libc::CPU_SETSIZE as usize, "no such CPU");
    // SAFETY: the set is a plain bit field, and lives as long as the call.
    let done = unsafe {
        let mut set: libc::cpu_set_t = mem::zeroed();
        libc::CPU_SET(cpu, &mut set);
        libc::sched_setaffinity(0, size_of_val(&set), &set)
    };
    ensure!(done == 0, std::io::Error::last_os_error());
    Ok(())
}

/// Nanoseconds that this thread has had the CPU. Unlike the kernel's own
/// figure it is not rounded to whole nanoseconds per packet, and unlike the
/// wall clock it leaves out the time of others.
pub fn cpu_time() -> Result<f64> {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: writes to `time` and nothing else.
    let done = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    ensure!(done == 0, std::io::Error::last_os_error());
    Ok(time.tv_sec as f64 * 1e9 + time.tv_nsec as f64)
}
