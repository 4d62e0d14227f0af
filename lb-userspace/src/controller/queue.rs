//! When to write which Service: so many in a second, one write of a Service at a time, and each the later, the more
//! often it was written lately: failures, and quarrels with somebody who writes something else, slow down.

#[cfg(test)]
mod tests;

use std::{
    collections::{HashMap, HashSet},
    time::{Duration, Instant},
};

use super::schedule::Schedule;
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
    /// Those that clients wait for, which go first.
    urgent: Schedule,
    others: Schedule,
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
            urgent: Schedule::default(),
            others: Schedule::default(),
            running: HashSet::new(),
            paces: HashMap::new(),
            bucket: Bucket { full_at: now },
            random: Random::new(seed),
        }
    }

    /// This one is to be written, as soon as may be.
    pub fn add(&mut self, this: &ObjectRef, is_urgent: bool, now: Instant) {
        let earliest = self.paces.get(this).map(|pace| pace.last + pace.delay);
        let waiting = if is_urgent { &mut self.urgent } else { &mut self.others };
        waiting.add(this, earliest.unwrap_or(now).max(now));
    }

    /// This one is as it should be.
    pub fn remove(&mut self, this: &ObjectRef) {
        self.urgent.remove(this);
        self.others.remove(this);
    }

    pub fn clear(&mut self) {
        self.urgent.clear();
        self.others.clear();
    }

    /// The next one to be written now; [`Self::end`] is to follow.
    pub fn begin(&mut self, now: Instant) -> Option<ObjectRef> {
        if self.bucket.next_token() > now {
            return None;
        }
        let first = |waiting| Self::first_free(waiting, &self.running).filter(|(due, _)| *due <= now);
        let this = first(&self.urgent).or_else(|| first(&self.others))?.1.clone();
        self.remove(&this);
        self.running.insert(this.clone());
        self.bucket.take(now);
        Some(this)
    }

    /// A request more than the one that [`Self::begin`] has counted.
    pub fn count_request(&mut self, now: Instant) {
        self.bucket.take(now);
    }

    /// May there be a request that is no write of a Service? It is counted then.
    pub fn take_token(&mut self, now: Instant) -> bool {
        let is_free = self.bucket.next_token() <= now;
        if is_free {
            self.bucket.take(now);
        }
        is_free
    }

    /// When there may be one.
    pub fn next_token(&self) -> Instant {
        self.bucket.next_token()
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
        let both = [&self.urgent, &self.others].into_iter();
        let first = both.filter_map(|waiting| Self::first_free(waiting, &self.running)).min()?.0;
        Some(first.max(self.bucket.next_token()))
    }

    /// That is not being written just now.
    fn first_free<'a>(
        waiting: &'a Schedule,
        running: &HashSet<ObjectRef>,
    ) -> Option<(Instant, &'a ObjectRef)> {
        waiting.iter().find(|(_, this)| !running.contains(*this))
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
