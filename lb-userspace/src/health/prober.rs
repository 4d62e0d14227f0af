//! Probing in rounds: in each, all subjects are asked once, and have until its end
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
    /// The subjects asked in the open round, and the round-trip times of their answers.
    asked: BTreeMap<Subject, Option<Duration>>,
}

impl Prober {
    pub fn new(limits: Limits) -> Self {
        Self { limits, healths: Healths::new(), sequence: 0, asked: BTreeMap::new() }
    }

    /// Asks these from the next round on, and no others. Those asked before keep their health.
    pub fn track(&mut self, subjects: impl IntoIterator<Item = Subject>, now: Instant) {
        let mut before = std::mem::take(&mut self.healths);
        let health = |subject| (subject, before.remove(&subject).unwrap_or_else(|| Health::new(now)));
        self.healths = subjects.into_iter().map(health).collect();
    }

    /// Begins a round. Returns its number, which its probes carry, and the subjects to ask.
    pub fn open_round(&mut self) -> (u64, impl Iterator<Item = Subject> + use<>) {
        self.sequence += 1;
        let subjects: Vec<_> = self.healths.keys().copied().collect();
        self.asked = subjects.iter().map(|subject| (*subject, None)).collect();
        (self.sequence, subjects.into_iter())
    }

    /// Takes an answer. One of another round, or from a subject that was not asked, is ignored.
    pub fn record_answer(&mut self, subject: &Subject, sequence: u64, round_trip: Duration) {
        if let Some(answer) = self.asked.get_mut(subject).filter(|_| sequence == self.sequence) {
            answer.get_or_insert(round_trip);
        }
    }

    /// The subject could not be asked: the round does not change its health.
    pub fn skip_subject(&mut self, subject: &Subject) {
        self.asked.remove(subject);
    }

    /// Ends the round: a subject that has not answered by now has lost its probe.
    pub fn close_round(&mut self, now: Instant) {
        for (subject, answer) in std::mem::take(&mut self.asked) {
            if let Some(health) = self.healths.get_mut(&subject) {
                health.record_result(answer, self.limits, now);
            }
        }
    }

    pub fn healths(&self) -> Healths {
        self.healths.clone()
    }
}

#[cfg(test)]
mod tests;
