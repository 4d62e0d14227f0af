//! Decides when to tell the kernel that a neighbour is in use.
//!
//! The kernel asks for a neighbour's MAC, and checks that it still holds, only
//! while it sends packets there itself; what XDP sends it does not see. A
//! nudge stands for such a packet: an unknown neighbour is looked for, a stale
//! one is probed, and a fresh one is left alone. Pure.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, Instant},
};

use super::{routing::NeighbourKey, view::Nudged};

/// Time between nudges of a resolved neighbour: well under the 60 s after which the
/// kernel may forget an unused entry (`gc_stale_time`).
const REFRESH: Duration = Duration::from_secs(15);
/// The first such nudge of each neighbour comes this much later in the interval than that of
/// the one before it: neighbours that answered at the same time are not probed at the same time.
/// By the golden ratio, they spread evenly however many they are.
const SPREAD: Duration = Duration::from_micros(9_270_510);
/// A resolved neighbour that is due within this time is nudged along with one that is due now:
/// a thousand of them would else wake the agent seventy times a second.
const TOGETHER: Duration = Duration::from_millis(250);
/// Time between the first two nudges of an unresolved neighbour. It doubles with each,
/// up to `RETRY_LAST`.
const RETRY_FIRST: Duration = Duration::from_millis(100);
const RETRY_LAST: Duration = Duration::from_secs(5);

/// The neighbours to nudge, and when.
#[derive(Default, Debug)]
pub struct Nudges {
    nudges: BTreeMap<NeighbourKey, Nudge>,
    /// The same by time: what is done costs what is due.
    queue: BTreeSet<(Instant, NeighbourKey)>,
    /// Where in the interval the next one to be resolved begins.
    offset: Duration,
}

#[derive(Clone, Copy, Debug)]
struct Nudge {
    resolved: bool,
    due: Instant,
    /// Time from this nudge to the next.
    pause: Duration,
}

impl Nudge {
    fn reschedule(&mut self, now: Instant) {
        self.due = now + self.pause;
        if !self.resolved {
            self.pause = (self.pause * 2).min(RETRY_LAST);
        }
    }
}

impl Nudges {
    /// From now on nudges these neighbours and no others.
    pub fn track_only(&mut self, hops: impl IntoIterator<Item = (NeighbourKey, Nudged)>, now: Instant) {
        let hops = BTreeMap::from_iter(hops);
        let gone = |hop: &&NeighbourKey| !hops.contains_key(hop);
        for hop in self.nudges.keys().filter(gone).copied().collect::<Vec<_>>() {
            self.forget(hop);
        }
        for (hop, nudged) in hops {
            self.track(hop, nudged, now);
        }
    }

    /// From now on nudges a neighbour as one that is `nudged`.
    pub fn track(&mut self, hop: NeighbourKey, nudged: Nudged, now: Instant) {
        let resolved = match nudged {
            Nudged::Tended => return self.forget(hop),
            Nudged::Resolved => true,
            Nudged::Unresolved => false,
        };
        if self.nudges.get(&hop).is_none_or(|nudge| nudge.resolved != resolved) {
            let nudge = self.first_nudge(resolved, now);
            self.schedule(hop, nudge);
        }
    }

    /// The neighbours to nudge now; each is scheduled anew.
    pub fn take_due(&mut self, now: Instant) -> Vec<NeighbourKey> {
        if self.next_deadline().is_none_or(|due| due > now) {
            return Vec::new();
        }
        let soon = self.queue.iter().take_while(|(due, _)| *due <= now + TOGETHER);
        let nudges = soon.filter_map(|(_, hop)| Some((*hop, *self.nudges.get(hop)?)));
        let due: Vec<_> = nudges.filter(|(_, nudge)| nudge.resolved || nudge.due <= now).collect();
        for &(hop, mut nudge) in &due {
            nudge.reschedule(now);
            self.schedule(hop, nudge);
        }
        due.into_iter().map(|(hop, _)| hop).collect()
    }

    pub fn next_deadline(&self) -> Option<Instant> {
        self.queue.first().map(|(due, _)| *due)
    }

    /// One that does not answer is looked for at once.
    fn first_nudge(&mut self, resolved: bool, now: Instant) -> Nudge {
        if !resolved {
            return Nudge { resolved, due: now, pause: RETRY_FIRST };
        }
        let due = now + self.offset;
        self.offset += SPREAD;
        if self.offset >= REFRESH {
            self.offset -= REFRESH;
        }
        Nudge { resolved, due, pause: REFRESH }
    }

    fn schedule(&mut self, hop: NeighbourKey, nudge: Nudge) {
        if let Some(before) = self.nudges.insert(hop, nudge) {
            self.queue.remove(&(before.due, hop));
        }
        self.queue.insert((nudge.due, hop));
    }

    fn forget(&mut self, hop: NeighbourKey) {
        if let Some(nudge) = self.nudges.remove(&hop) {
            self.queue.remove(&(nudge.due, hop));
        }
    }
}

#[cfg(test)]
mod tests;
