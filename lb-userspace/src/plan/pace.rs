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

/// From one addition to the next.
pub const BATCH: Duration = Duration::from_millis(300);

/// Members by name, with their weights.
pub type Weights = BTreeMap<String, u32>;

/// What the rings were made of.
#[derive(Default)]
pub struct Pace {
    rings: BTreeMap<Frontend, Paced>,
    used: BTreeMap<Frontend, Paced>,
    due: Option<Instant>,
}

#[derive(Clone)]
struct Paced {
    members: Weights,
    /// When it got all that was wanted.
    at: Instant,
}

impl Pace {
    /// What a service's ring is to be made of now.
    pub fn admit(&mut self, frontend: Frontend, wanted: Weights, now: Instant) -> &Weights {
        let next = match self.rings.remove(&frontend) {
            Some(old) if old.members == wanted => old,
            Some(old) if now < old.at + BATCH => old.without_the_gone(&wanted, now),
            _ => Paced { members: wanted.clone(), at: now },
        };
        if next.members != wanted {
            let due = next.at + BATCH;
            self.due = Some(self.due.map_or(due, |earlier| earlier.min(due)));
        }
        &self.used.entry(frontend).or_insert(next).members
    }

    /// All services were asked for: forget those that were not. Tells when to
    /// ask again, if some did not get all that they want.
    pub fn turn_over(&mut self) -> Option<Instant> {
        self.rings = std::mem::take(&mut self.used);
        self.due.take()
    }
}

impl Paced {
    /// Only those of before, if there are any left; a ring must not be empty
    /// for the sake of order.
    fn without_the_gone(mut self, wanted: &Weights, now: Instant) -> Self {
        self.members.retain(|name, _| wanted.contains_key(name));
        if self.members.is_empty() { Self { members: wanted.clone(), at: now } } else { self }
    }
}

#[cfg(test)]
mod tests;
