//! When to write which Service: so many in a second, one write of a Service at a time, and each the later, the more
//! often it was written lately: failures, and quarrels with somebody who writes something else, slow down.

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    time::{Duration, Instant},
};

use crate::{hash::Random, objects::source::ObjectRef};

/// Requests in a second, and how many at once after a rest.
const RATE: u32 = 20;
/// Until a Service may be written again: after the first time, and at most. Up to half as much is added at random.
const FIRST_DELAY: Duration = Duration::from_millis(200);
const LAST_DELAY: Duration = Duration::from_secs(20);
/// After so long without a write, the next delay is the first again.
const QUIET: Duration = Duration::from_secs(60);

/// The Services to be written.
#[derive(Debug)]
pub struct Queue {
    waiting: BTreeSet<(Instant, ObjectRef)>,
    due: HashMap<ObjectRef, Instant>,
    running: HashSet<ObjectRef>,
    paces: HashMap<ObjectRef, Pace>,
    bucket: Bucket,
    random: Random,
}

/// How often a Service was written lately.
#[derive(Debug)]
struct Pace {
    last: Instant,
    delay: Duration,
}

/// A token bucket.
#[derive(Debug)]
struct Bucket {
    /// When it is full again.
    full_at: Instant,
}

impl Queue {
    pub fn new(seed: u64, now: Instant) -> Self {
        Self {
            waiting: BTreeSet::new(),
            due: HashMap::new(),
            running: HashSet::new(),
            paces: HashMap::new(),
            bucket: Bucket { full_at: now },
            random: Random::new(seed),
        }
    }

    /// This one is to be written, as soon as may be.
    pub fn add(&mut self, this: &ObjectRef, now: Instant) {
        if self.due.contains_key(this) {
            return;
        }
        let earliest = self.paces.get(this).map(|pace| pace.last + pace.delay);
        let due = earliest.unwrap_or(now).max(now);
        self.due.insert(this.clone(), due);
        self.waiting.insert((due, this.clone()));
    }

    /// This one is as it should be.
    pub fn remove(&mut self, this: &ObjectRef) {
        if let Some(due) = self.due.remove(this) {
            self.waiting.remove(&(due, this.clone()));
        }
    }

    pub fn clear(&mut self) {
        self.due.clear();
        self.waiting.clear();
    }

    /// The next one to be written now; [`Self::end`] is to follow.
    pub fn begin(&mut self, now: Instant) -> Option<ObjectRef> {
        if self.bucket.next_token() > now {
            return None;
        }
        let is_free = |(due, this): &&(Instant, ObjectRef)| *due <= now && !self.running.contains(this);
        let this = self.waiting.iter().take_while(|(due, _)| *due <= now).find(is_free)?.1.clone();
        self.remove(&this);
        self.running.insert(this.clone());
        self.bucket.take(now);
        Some(this)
    }

    /// A request more than the one that [`Self::begin`] has counted.
    pub fn count_request(&mut self, now: Instant) {
        self.bucket.take(now);
    }

    /// It was written, or that has failed.
    pub fn end(&mut self, this: &ObjectRef, now: Instant) {
        self.running.remove(this);
        self.paces.retain(|_, pace| now < pace.last + QUIET);
        let delay = self.paces.get(this).map_or(FIRST_DELAY, |pace| (pace.delay * 2).min(LAST_DELAY));
        let half = u64::try_from(delay.as_millis() / 2).unwrap_or(u64::MAX).max(1);
        let delay = delay + Duration::from_millis(self.random.below(half));
        self.paces.insert(this.clone(), Pace { last: now, delay });
    }

    /// When there is something to begin. None: when something ends or is added.
    pub fn due(&self) -> Option<Instant> {
        let first = self.waiting.iter().find(|(_, this)| !self.running.contains(this))?.0;
        Some(first.max(self.bucket.next_token()))
    }
}

impl Bucket {
    const INTERVAL: Duration = Duration::from_millis(1000 / RATE as u64);

    fn next_token(&self) -> Instant {
        let burst = Self::INTERVAL * (RATE - 1);
        self.full_at.checked_sub(burst).unwrap_or(self.full_at)
    }

    fn take(&mut self, now: Instant) {
        self.full_at = self.full_at.max(now) + Self::INTERVAL;
    }
}
