//! Probing in rounds: in each, everybody is asked once, and has until its end
//! to answer. Pure.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use super::record::{Health, Healths, Limits};
use crate::plan::Subject;

pub struct Prober {
    limits: Limits,
    healths: Healths,
    /// The number of the round.
    sequence: u64,
    /// Who was asked in the round that is open, and the answers.
    asked: BTreeMap<Subject, Option<Duration>>,
}

impl Prober {
    pub fn new(limits: Limits) -> Self {
        Self { limits, healths: Healths::new(), sequence: 0, asked: BTreeMap::new() }
    }

    /// Ask these from the next round on, and nobody else.
    pub fn track(&mut self, subjects: impl IntoIterator<Item = Subject>, now: Instant) {
        let mut before = std::mem::take(&mut self.healths);
        let health = |subject| (subject, before.remove(&subject).unwrap_or_else(|| Health::new(now)));
        self.healths = subjects.into_iter().map(health).collect();
    }

    /// Begins a round: its number, which is on its probes, and whom to ask.
    pub fn open(&mut self) -> (u64, impl Iterator<Item = Subject> + use<>) {
        self.sequence += 1;
        let subjects: Vec<_> = self.healths.keys().copied().collect();
        self.asked = subjects.iter().map(|subject| (*subject, None)).collect();
        (self.sequence, subjects.into_iter())
    }

    /// An answer; too late, or to nobody's question, it says nothing.
    pub fn answered(&mut self, subject: &Subject, sequence: u64, round_trip: Duration) {
        if let Some(answer) = self.asked.get_mut(subject).filter(|_| sequence == self.sequence) {
            answer.get_or_insert(round_trip);
        }
    }

    /// It could not be asked: the round says nothing of it.
    pub fn excuse(&mut self, subject: &Subject) {
        self.asked.remove(subject);
    }

    /// Ends the round: who has not answered by now has lost its probe.
    pub fn close(&mut self, now: Instant) {
        for (subject, answer) in std::mem::take(&mut self.asked) {
            if let Some(health) = self.healths.get_mut(&subject) {
                health.note(answer, self.limits, now);
            }
        }
    }

    pub fn healths(&self) -> Healths {
        self.healths.clone()
    }
}

#[cfg(test)]
mod tests;
