//! Measuring one case: the program, and the wrapper's own cost beside it.

use anyhow::{Context, Result, ensure};

use super::{
    cases::{Case, Output, Program, Side},
    kernel::{Counters, Machines, Objects},
    wrapper::Wrapper,
};

/// A case, loaded, and what has been measured of it so far.
pub struct Subject {
    pub case: Case,
    program: Wrapper,
    empty: Wrapper,
    /// If the program changes the length of the packet.
    move_head: Option<Wrapper>,
    pub rounds: Vec<Round>,
}

/// The cost of a packet in one round.
#[derive(Clone, Copy)]
pub struct Round {
    program: f64,
    empty: f64,
    move_head: f64,
}

impl Round {
    /// What the program itself costs; see the head of `bench.rs`.
    pub fn net_cost(&self) -> f64 {
        self.program - (self.empty + self.move_head) / 2.0
    }

    /// The least of each part.
    pub fn least_parts(self, other: &Self) -> Self {
        Self {
            program: self.program.min(other.program),
            empty: self.empty.min(other.empty),
            move_head: self.move_head.min(other.move_head),
        }
    }
}

impl Subject {
    pub fn load(case: Case, objects: &Objects, machines: &Machines) -> Result<Self> {
        let wrapper = |output, program| Wrapper::load(objects, &case, output, program, machines);
        Self::with_wrappers(case, wrapper).with_context(|| format!("case {}", case.name))
    }

    fn with_wrappers(case: Case, wrapper: impl Fn(Output, Program) -> Result<Wrapper>) -> Result<Self> {
        let growth = case.output.growth(&case.traffic);
        // The head alone moves: what was the frame lies behind it unchanged.
        let moved = || wrapper(Output::Moved(growth), Program::Baseline("move_head"));
        let empty = if case.side == Side::Egress { "empty_egress" } else { "empty" };
        Ok(Self {
            program: wrapper(case.output, case.program)?,
            empty: wrapper(Output::Unchanged, Program::Baseline(empty))?,
            move_head: (growth != 0).then(moved).transpose()?,
            rounds: Vec::new(),
            case,
        })
    }

    /// One round: program, A and B, one after the other.
    pub fn measure(&mut self, machines: &Machines, packets: u32) -> Result<()> {
        self.measure_round(machines, packets).with_context(|| format!("case {}", self.case.name))
    }

    fn measure_round(&mut self, machines: &Machines, packets: u32) -> Result<()> {
        let before = machines.counters(self.case.side)?;
        let program = self.program.run(packets)?;
        self.check_verdicts(&before, &machines.counters(self.case.side)?, packets)?;
        let empty = self.empty.run(packets)?;
        let move_head = match &mut self.move_head {
            Some(wrapper) => wrapper.run(packets)?,
            None => empty,
        };
        self.rounds.push(Round { program, empty, move_head });
        Ok(())
    }

    /// Trigon must have counted the expected verdict for every packet.
    fn check_verdicts(&self, before: &Counters, after: &Counters, packets: u32) -> Result<()> {
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
