//! What is known of somebody's health, and when to change one's mind.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use tokio::sync::watch;

use crate::plan::Subject;

/// When to change one's mind, in answers that differ from it in a row.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Lost ones until somebody counts as dead.
    pub fall: u32,
    /// Good ones until somebody counts as alive again.
    pub rise: u32,
}

/// How to probe nodes, or to check bare servers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Probing {
    /// From one probe to the next. Half of it is the time to answer for nodes,
    /// all of it for bare servers.
    pub interval: Duration,
    pub limits: Limits,
}

/// Of everybody who is asked.
pub type Healths = BTreeMap<Subject, Health>;

/// What is known of somebody's health.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Health {
    pub alive: bool,
    /// When that began, or was first supposed.
    pub since: Instant,
    /// How often it was asked, and did not answer.
    pub asked: u64,
    pub lost: u64,
    /// Of the last answer.
    pub round_trip: Option<Duration>,
    /// The last results in a row that speak against `alive`.
    against: u32,
}

impl Health {
    /// Alive until the contrary is known: who starts must not empty rings.
    pub fn new(now: Instant) -> Self {
        Self { alive: true, since: now, asked: 0, lost: 0, round_trip: None, against: 0 }
    }

    /// One more result: how long the answer took, or that there was none.
    pub fn note(&mut self, answer: Option<Duration>, limits: Limits, now: Instant) {
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

/// Replaces what `out` tells of some of them.
pub fn publish(out: &watch::Sender<Healths>, healths: Healths, are_these: impl Fn(&Subject) -> bool) {
    out.send_modify(|all| {
        all.retain(|subject, _| !are_these(subject));
        all.extend(healths);
    });
}
