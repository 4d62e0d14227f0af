//! When a ring follows its members: removals at once, additions and new
//! weights in batches. A Service that is scaled from 2 to 20 endpoints comes as
//! a dozen changes, and each change of a ring makes former owners, of whom a
//! slot remembers only seven.
//!
//! The first change after a pause is let through at once.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
    time::{Duration, Instant},
};

use super::members::Weights;
use crate::objects::model::Frontend;

/// The least time between two additions to a ring.
pub const BATCH_INTERVAL: Duration = Duration::from_millis(300);

/// The members that each service's ring has, and since when.
#[derive(Clone, Default)]
pub struct RingPace {
    rings: BTreeMap<Frontend, PacedRing>,
    /// Rings that did not get all members that were wanted, and when they get the rest.
    pending: BTreeMap<Frontend, Instant>,
}

#[derive(Clone)]
struct PacedRing {
    members: Weights,
    /// When it last got all members that were wanted.
    at: Instant,
}

impl RingPace {
    /// The members that a service's ring is to have now.
    pub fn admit(&mut self, frontend: Frontend, wanted: &Weights, now: Instant) -> &Weights {
        let next = match self.rings.remove(&frontend) {
            Some(old) if old.members == *wanted => old,
            Some(old) if now < old.at + BATCH_INTERVAL => old.remove_gone(wanted, now),
            _ => PacedRing { members: Arc::clone(wanted), at: now },
        };
        if next.members == *wanted {
            self.pending.remove(&frontend);
        } else {
            self.pending.insert(frontend, next.at + BATCH_INTERVAL);
        }
        &self.rings.entry(frontend).or_insert(next).members
    }

    /// May a service's ring have this member already? Of a service that is not known, nobody knows.
    pub fn may_have(&self, frontend: &Frontend, name: &Arc<str>) -> bool {
        self.rings.get(frontend).is_none_or(|ring| ring.members.iter().any(|(member, _)| member == name))
    }

    /// The service keeps what it has, and does not wait for more.
    pub fn keep(&mut self, frontend: &Frontend) {
        self.pending.remove(frontend);
    }

    /// Forgets a service.
    pub fn forget(&mut self, frontend: &Frontend) {
        self.rings.remove(frontend);
        self.pending.remove(frontend);
    }

    /// Forgets all but these services.
    pub fn retain(&mut self, is_there: impl Fn(&Frontend) -> bool) {
        self.rings.retain(|frontend, _| is_there(frontend));
        self.pending.retain(|frontend, _| is_there(frontend));
    }

    /// When a ring is to get more members. None: all have what they want.
    pub fn due(&self) -> Option<Instant> {
        self.pending.values().min().copied()
    }

    /// The services that are to get more members now.
    pub fn due_services(&self, now: Instant) -> impl Iterator<Item = Frontend> {
        self.pending.iter().filter(move |(_, at)| **at <= now).map(|(frontend, _)| *frontend)
    }
}

impl PacedRing {
    /// The ring without members that are no longer wanted. If none is left, it
    /// gets all wanted ones at once: no ring stays empty to wait for a batch.
    fn remove_gone(self, wanted: &Weights, now: Instant) -> Self {
        let names: HashSet<_> = wanted.iter().map(|(name, _)| name).collect();
        let members: Weights =
            self.members.iter().filter(|(name, _)| names.contains(name)).cloned().collect();
        if members.is_empty() {
            return Self { members: Arc::clone(wanted), at: now };
        }
        Self { members, at: self.at }
    }
}

#[cfg(test)]
mod tests;
