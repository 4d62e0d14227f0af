//! Decides when to tell the kernel that a neighbour is in use.
//!
//! The kernel asks for a neighbour's MAC, and checks that it still holds, only
//! while it sends packets there itself; what XDP sends it does not see. A
//! nudge stands for such a packet: an unknown neighbour is looked for, a stale
//! one is probed, and a fresh one is left alone. Pure.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use super::routing::NeighbourKey;

/// Time between nudges of a resolved neighbour: well under the 60 s after which the
/// kernel may forget an unused entry (`gc_stale_time`).
const REFRESH: Duration = Duration::from_secs(15);
/// Time between the first two nudges of an unresolved neighbour. It doubles with each,
/// up to `RETRY_LAST`.
const RETRY_FIRST: Duration = Duration::from_millis(100);
const RETRY_LAST: Duration = Duration::from_secs(5);

/// The neighbours to nudge, and when.
#[derive(Default, Debug)]
pub struct Nudges(BTreeMap<NeighbourKey, Nudge>);

#[derive(Debug)]
struct Nudge {
    resolved: bool,
    due: Instant,
    /// Time from this nudge to the next.
    pause: Duration,
}

impl Nudge {
    fn new(resolved: bool, now: Instant) -> Self {
        Self { resolved, due: now, pause: if resolved { REFRESH } else { RETRY_FIRST } }
    }

    fn reschedule(&mut self, now: Instant) {
        self.due = now + self.pause;
        if !self.resolved {
            self.pause = (self.pause * 2).min(RETRY_LAST);
        }
    }
}

impl Nudges {
    /// From now on nudges these neighbours (true: resolved) and no others.
    pub fn track_neighbours(&mut self, hops: &BTreeMap<NeighbourKey, bool>, now: Instant) {
        self.0.retain(|hop, _| hops.contains_key(hop));
        for (&hop, &resolved) in hops {
            let nudge = self.0.entry(hop).or_insert_with(|| Nudge::new(resolved, now));
            if nudge.resolved != resolved {
                *nudge = Nudge::new(resolved, now);
            }
        }
    }

    /// The neighbours to nudge now; each is scheduled anew.
    pub fn take_due(&mut self, now: Instant) -> Vec<NeighbourKey> {
        let mut hops = Vec::new();
        for (&hop, nudge) in self.0.iter_mut().filter(|(_, nudge)| nudge.due <= now) {
            nudge.reschedule(now);
            hops.push(hop);
        }
        hops
    }

    pub fn next_deadline(&self) -> Option<Instant> {
        self.0.values().map(|nudge| nudge.due).min()
    }
}

#[cfg(test)]
mod tests;
