//! The way out: say so, wait, withdraw, wait, close (RFC 8326, section 4).

use std::time::{Duration, Instant};

use crate::protocols::bgp::config::Leaving;

/// How long the steps take.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pace {
    /// From GRACEFUL_SHUTDOWN, at which routers choose others, to the withdrawal.
    pub drain: Duration,
    /// From the withdrawal, after which packets still come for a moment, to the end of the sessions.
    pub settle: Duration,
}

/// When it began, if it did.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Departure {
    pace: Pace,
    began: Option<Instant>,
}

impl Departure {
    pub fn new(pace: Pace) -> Self {
        Self { pace, began: None }
    }

    /// Once begun, it goes on: another word for it does not begin it anew.
    pub fn begin(&mut self, now: Instant) {
        self.began.get_or_insert(now);
    }

    pub fn undo(&mut self) {
        self.began = None;
    }

    pub fn step(&self, now: Instant) -> Leaving {
        let Some(began) = self.began else { return Leaving::No };
        let since = now.saturating_duration_since(began);
        if since < self.pace.drain {
            Leaving::Draining
        } else if since < self.pace.drain + self.pace.settle {
            Leaving::Withdrawn
        } else {
            Leaving::Closed
        }
    }

    /// When the next step is due.
    pub fn due(&self, now: Instant) -> Option<Instant> {
        let began = self.began?;
        let (withdrawn, closed) = (began + self.pace.drain, began + self.pace.drain + self.pace.settle);
        [withdrawn, closed].into_iter().find(|at| *at > now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACE: Pace = Pace { drain: Duration::from_secs(5), settle: Duration::from_secs(1) };

    fn steps(departure: &Departure, start: Instant, seconds: &[u64]) -> Vec<Leaving> {
        seconds.iter().map(|s| departure.step(start + Duration::from_secs(*s))).collect()
    }

    #[test]
    fn goes_out_step_by_step() {
        let start = Instant::now();
        let mut departure = Departure::new(PACE);
        assert_eq!(departure.due(start), None);
        departure.begin(start);
        let expected = [Leaving::Draining, Leaving::Draining, Leaving::Withdrawn, Leaving::Closed];
        assert_eq!(steps(&departure, start, &[0, 4, 5, 6]), expected);
        assert_eq!(departure.due(start), Some(start + PACE.drain));
        assert_eq!(departure.due(start + PACE.drain), Some(start + PACE.drain + PACE.settle));
        assert_eq!(departure.due(start + Duration::from_secs(6)), None);
    }

    #[test]
    fn a_second_word_changes_nothing_and_undo_takes_it_back() {
        let start = Instant::now();
        let mut departure = Departure::new(PACE);
        departure.begin(start);
        departure.begin(start + Duration::from_secs(4));
        assert_eq!(departure.step(start + Duration::from_secs(6)), Leaving::Closed);
        departure.undo();
        assert_eq!(departure.step(start + Duration::from_secs(6)), Leaving::No);
    }
}
