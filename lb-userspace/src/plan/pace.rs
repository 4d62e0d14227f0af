//! When a ring follows its members: removals at once, additions and new
//! weights in batches. A Service that is scaled from 2 to 20 endpoints comes as
//! a dozen changes, and each change of a ring makes former owners, of whom a
//! slot remembers only seven.
//!
//! The first change after a pause is let through at once.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use crate::objects::model::Frontend;

/// The least time between two additions to a ring.
pub const BATCH_INTERVAL: Duration = Duration::from_millis(300);

/// Members by name, with their weights.
pub type Weights = BTreeMap<String, u32>;

/// The members that each service's ring has, and since when.
#[derive(Default)]
pub struct RingPace {
    rings: BTreeMap<Frontend, PacedRing>,
    used: BTreeMap<Frontend, PacedRing>,
    due: Option<Instant>,
}

#[derive(Clone)]
struct PacedRing {
    members: Weights,
    /// When it last got all members that were wanted.
    at: Instant,
}

impl RingPace {
    /// The members that a service's ring is to have now.
    pub fn admit(&mut self, frontend: Frontend, wanted: Weights, now: Instant) -> &Weights {
        let next = match self.rings.remove(&frontend) {
            Some(old) if old.members == wanted => old,
            Some(old) if now < old.at + BATCH_INTERVAL => old.remove_gone(&wanted, now),
            _ => PacedRing { members: wanted.clone(), at: now },
        };
        if next.members != wanted {
            let due = next.at + BATCH_INTERVAL;
            self.due = Some(self.due.map_or(due, |earlier| earlier.min(due)));
        }
        &self.used.entry(frontend).or_insert(next).members
    }

    /// Keeps what a service had, in a round in which it is not planned.
    pub fn keep(&mut self, frontend: Frontend) {
        if let Some(old) = self.rings.remove(&frontend) {
            self.used.insert(frontend, old);
        }
    }

    /// Ends a round of admissions, and forgets services that were not in
    /// it. Returns when the next round is due, if some ring did not get all
    /// members that were wanted.
    pub fn finish_round(&mut self) -> Option<Instant> {
        self.rings = std::mem::take(&mut self.used);
        self.due.take()
    }
}

impl PacedRing {
    /// The ring without members that are no longer wanted. If none is left, it
    /// gets all wanted ones at once: no ring stays empty to wait for a batch.
    fn remove_gone(mut self, wanted: &Weights, now: Instant) -> Self {
        self.members.retain(|name, _| wanted.contains_key(name));
        if self.members.is_empty() { Self { members: wanted.clone(), at: now } } else { self }
    }
}

#[cfg(test)]
mod tests;
