//! The health of a node or bare server, and how many results change it.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use tokio::sync::watch;

use crate::plan::Subject;

/// How many results in a row change whether a subject counts as alive.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Lost answers until it counts as dead.
    pub fall: u32,
    /// Answers until it counts as alive again.
    pub rise: u32,
}

/// How to probe nodes, or to check bare servers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Probing {
    /// From one probe or check to the next. A node has half of it to answer, a bare
    /// server all of it.
    pub interval: Duration,
    pub limits: Limits,
}

/// The health of all subjects that are asked.
pub type Healths = BTreeMap<Subject, Health>;

/// The health of a node or bare server, by the results so far.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Health {
    pub alive: bool,
    /// When `alive` last changed; at first, when probing began.
    pub since: Instant,
    /// Results so far.
    pub asked: u64,
    /// Those of them without an answer.
    pub lost: u64,
    /// Of the last answer.
    pub round_trip: Option<Duration>,
    /// The last results in a row that speak against `alive`.
    against: u32,
}

impl Health {
    /// Alive until results say otherwise: an agent that starts must not empty rings.
    pub fn new(now: Instant) -> Self {
        Self { alive: true, since: now, asked: 0, lost: 0, round_trip: None, against: 0 }
    }

    /// Counts one result. `answer`: the round-trip time, or None if there was no answer in time.
    pub fn record_result(&mut self, answer: Option<Duration>, limits: Limits, now: Instant) {
        self.asked += 1;
        self.lost += u64::from(answer.is_none());
        self.round_trip = answer.or(self.round_trip);
        if answer.is_some() == self.alive {
            self.against = 0;
            return;
        }
        self.against += 1;
        if self.against >= if self.alive { limits.fall } else { limits.rise } {
            *self = Self { alive: !self.alive, since: now, against: 0, ..*self };
        }
    }
}

/// Replaces the healths in `out` of the subjects for which `are_these` is true.
pub fn publish_healths(out: &watch::Sender<Healths>, healths: Healths, are_these: impl Fn(&Subject) -> bool) {
    out.send_modify(|all| {
        all.retain(|subject, _| !are_these(subject));
        all.extend(healths);
    });
}
