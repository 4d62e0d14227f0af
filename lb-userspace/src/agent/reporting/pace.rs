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
/// From a look to the report, where nobody waits for it; up to `LATER_SPREAD` is added at random, since all agents look
/// at the same time.
const LATER: Duration = Duration::from_secs(30);
const LATER_SPREAD: Duration = Duration::from_secs(60);
/// From a report to the next one without news, in case that it was lost; up to half as much is added at random.
const RENEWAL: Duration = Duration::from_secs(600);
/// After a report that could not be written: for the first time, and at most. Up to half as much is added at random.
const FIRST_RETRY: Duration = Duration::from_secs(2);
const LAST_RETRY: Duration = Duration::from_secs(60);

/// How soon a difference is to be told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Urgency {
    /// There is none.
    None,
    /// Only numbers have gone on that nobody waits for.
    Later,
    Soon,
}

pub struct Pace {
    random: Random,
    /// When to look. None: nothing is new since the last look.
    due: Option<Instant>,
    /// No report before that.
    earliest: Option<Instant>,
    /// When to tell what nobody waits for.
    later: Option<Instant>,
    /// When to tell without news. None: now, if ever: nobody knows what the server has.
    renewal: Option<Instant>,
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
            later: None,
            renewal: None,
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
        self.due.into_iter().chain(self.renewal).min()
    }

    /// After a look: is it time to tell what it has found? Otherwise there will be another look, if it found anything.
    pub fn is_time(&mut self, urgency: Urgency, now: Instant) -> bool {
        self.renewal = self.renewal.filter(|renewal| now < *renewal);
        let is_certain = self.renewal.is_some();
        let from = match urgency {
            Urgency::None if is_certain => {
                (self.due, self.later) = (None, None);
                return false;
            }
            Urgency::Later if is_certain => {
                let later = now + LATER + self.up_to(LATER_SPREAD);
                Some(*self.later.get_or_insert(later)).max(self.earliest)
            }
            _ => self.earliest,
        };
        self.due = from.filter(|from| *from > now);
        self.due.is_none()
    }

    /// A report was written, or could not be.
    pub fn note_attempt(&mut self, is_written: bool, now: Instant) {
        if is_written {
            self.retry = FIRST_RETRY;
            (self.earliest, self.later) = (Some(now + SOON), None);
            self.renewal = Some(now + RENEWAL + self.up_to(RENEWAL / 2));
        } else {
            // One that was not answered may have been taken all the same.
            let earliest = now + self.retry + self.up_to(self.retry / 2);
            (self.earliest, self.due, self.renewal) = (Some(earliest), Some(earliest), None);
            self.retry = (self.retry * 2).min(LAST_RETRY);
        }
    }

    fn up_to(&mut self, most: Duration) -> Duration {
        let millis = u64::try_from(most.as_millis()).unwrap_or(u64::MAX).max(1);
        Duration::from_millis(self.random.below(millis))
    }
}
