//! When to look whether there is something to tell, and when to tell it: a thousand agents share one API server.

#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

use crate::hash::Random;

/// From news to a look at what they mean, so that what comes at once is told at once. Up to as much as `SPREAD` is
/// added at random: all agents hear of a Service at the same time.
const FIRST: Duration = Duration::from_millis(500);
const SPREAD: Duration = Duration::from_secs(1);
/// Between two reports, where somebody waits for the second one.
const SOON: Duration = Duration::from_secs(5);
/// The same, where nobody does; up to `LATER_SPREAD` is added at random.
const LATER: Duration = Duration::from_secs(60);
const LATER_SPREAD: Duration = Duration::from_secs(15);
/// After a report that could not be written: for the first time, and at most. Up to half as much is added at random.
const FIRST_RETRY: Duration = Duration::from_secs(2);
const LAST_RETRY: Duration = Duration::from_secs(60);

/// How soon a difference is to be told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Urgency {
    /// There is none.
    None,
    /// Only versions have gone on that nobody waits for.
    Later,
    Soon,
}

pub struct Pace {
    random: Random,
    /// When to look. None: nothing is new since the last look.
    due: Option<Instant>,
    /// No report before that.
    earliest: Option<Instant>,
    /// The same for one that nobody waits for.
    earliest_later: Option<Instant>,
    /// After the next failure.
    retry: Duration,
}

impl Pace {
    /// `seed`: of the random parts.
    pub fn new(seed: u64) -> Self {
        Self {
            random: Random::new(seed),
            due: None,
            earliest: None,
            earliest_later: None,
            retry: FIRST_RETRY,
        }
    }

    /// Something has happened that may have to be told.
    pub fn note_news(&mut self, now: Instant) {
        let due = now + FIRST + self.up_to(SPREAD);
        let due = self.earliest.map_or(due, |earliest| due.max(earliest));
        self.due = Some(self.due.map_or(due, |before| before.min(due)));
    }

    /// When to look.
    pub fn due(&self) -> Option<Instant> {
        self.due
    }

    /// After a look: is it time to tell what it has found? Otherwise there will be another look, if it found anything.
    pub fn is_time(&mut self, urgency: Urgency, now: Instant) -> bool {
        self.due = match urgency {
            Urgency::None => return self.forget_due(),
            Urgency::Later => self.earliest_later.max(self.earliest),
            Urgency::Soon => self.earliest,
        }
        .filter(|earliest| *earliest > now);
        self.due.is_none()
    }

    /// A report was written, or could not be.
    pub fn note_attempt(&mut self, is_written: bool, now: Instant) {
        if is_written {
            self.retry = FIRST_RETRY;
            self.earliest = Some(now + SOON);
            self.earliest_later = Some(now + LATER + self.up_to(LATER_SPREAD));
        } else {
            let earliest = now + self.retry + self.up_to(self.retry / 2);
            (self.earliest, self.due) = (Some(earliest), Some(earliest));
            self.retry = (self.retry * 2).min(LAST_RETRY);
        }
    }

    fn forget_due(&mut self) -> bool {
        self.due = None;
        false
    }

    fn up_to(&mut self, most: Duration) -> Duration {
        let millis = u64::try_from(most.as_millis()).unwrap_or(u64::MAX).max(1);
        Duration::from_millis(self.random.below(millis))
    }
}
