//! How a node stops announcing: it signals GRACEFUL_SHUTDOWN, waits, withdraws its
//! routes, waits, and closes its sessions (RFC 8326, section 4).

use std::time::{Duration, Instant};

use crate::protocols::bgp::config::Leaving;

/// How long the steps of a departure take.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DrainTimes {
    /// From GRACEFUL_SHUTDOWN, at which routers choose others, to the withdrawal.
    pub drain: Duration,
    /// From the withdrawal, after which packets still come for a moment, to the end of the sessions.
    pub settle: Duration,
}

/// Whether this node departs, and since when.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Departure {
    times: DrainTimes,
    began: Option<Instant>,
}

impl Departure {
    pub fn new(times: DrainTimes) -> Self {
        Self { times, began: None }
    }

    /// Has no effect if it has begun already.
    pub fn begin(&mut self, now: Instant) {
        self.began.get_or_insert(now);
    }

    pub fn undo(&mut self) {
        self.began = None;
    }

    pub fn current_step(&self, now: Instant) -> Leaving {
        let Some(began) = self.began else { return Leaving::No };
        let since = now.saturating_duration_since(began);
        if since < self.times.drain {
            Leaving::Draining
        } else if since < self.times.drain + self.times.settle {
            Leaving::Withdrawn
        } else {
            Leaving::Closed
        }
    }

    /// When the next step is due: None before the departure, and after its last step.
    pub fn next_step_at(&self, now: Instant) -> Option<Instant> {
        let began = self.began?;
        let (withdrawn, closed) = (began + self.times.drain, began + self.times.drain + self.times.settle);
        [withdrawn, closed].into_iter().find(|at| *at > now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMES: DrainTimes = DrainTimes { drain: Duration::from_secs(5), settle: Duration::from_secs(1) };

    fn steps_after(departure: &Departure, start: Instant, seconds: &[u64]) -> Vec<Leaving> {
        seconds.iter().map(|s| departure.current_step(start + Duration::from_secs(*s))).collect()
    }

    #[test]
    fn a_departure_drains_then_withdraws_then_closes() {
        let start = Instant::now();
        let mut departure = Departure::new(TIMES);
        assert_eq!(departure.next_step_at(start), None);
        departure.begin(start);
        let expected = [Leaving::Draining, Leaving::Draining, Leaving::Withdrawn, Leaving::Closed];
        assert_eq!(steps_after(&departure, start, &[0, 4, 5, 6]), expected);
        assert_eq!(departure.next_step_at(start), Some(start + TIMES.drain));
        assert_eq!(departure.next_step_at(start + TIMES.drain), Some(start + TIMES.drain + TIMES.settle));
        assert_eq!(departure.next_step_at(start + Duration::from_secs(6)), None);
    }

    #[test]
    fn a_second_begin_changes_nothing_and_undo_ends_the_departure() {
        let start = Instant::now();
        let mut departure = Departure::new(TIMES);
        departure.begin(start);
        departure.begin(start + Duration::from_secs(4));
        assert_eq!(departure.current_step(start + Duration::from_secs(6)), Leaving::Closed);
        departure.undo();
        assert_eq!(departure.current_step(start + Duration::from_secs(6)), Leaving::No);
    }
}
