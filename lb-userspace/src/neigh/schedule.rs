//! Decides when everything is read from the kernel. Pure.

use std::time::{Duration, Instant};

/// Time from a change until the kernel is asked. Changes come in bursts: a link that
/// goes down takes its routes along.
const SETTLE: Duration = Duration::from_millis(5);
/// After work, pause this many times as long as the work took: so a storm of
/// changes costs a fifth of a CPU at most, however many targets there are.
const REST: u32 = 4;
/// The kernel is asked again even if it announced no change: its path MTUs expire
/// without a message.
const RESYNC: Duration = Duration::from_secs(30);
/// Time until the next attempt after the kernel failed to answer.
const RETRY: Duration = Duration::from_secs(1);

/// When to work again after what took from `started` to `ended`.
pub fn end_of_rest(started: Instant, ended: Instant) -> Instant {
    ended + REST * (ended - started)
}

/// When to read next.
#[derive(Debug)]
pub struct Schedule {
    due: Instant,
    rest_until: Instant,
    has_changed: bool,
}

impl Schedule {
    /// The first reading is due now.
    pub fn new(now: Instant) -> Self {
        Self { due: now, rest_until: now, has_changed: false }
    }

    pub fn due(&self) -> Instant {
        self.due
    }

    /// A change is known that the last reading may not have seen. Further ones need not be listened to.
    pub fn has_changed(&self) -> bool {
        self.has_changed
    }

    pub fn note_change(&mut self, now: Instant) {
        self.has_changed = true;
        self.due = self.due.min(self.rest_until.max(now + SETTLE));
    }

    /// Everything was read, or could not be. Changes from before `started` are done with.
    pub fn note_reading(&mut self, started: Instant, ended: Instant, is_read: bool) {
        self.has_changed = false;
        self.rest_until = end_of_rest(started, ended);
        self.due = ended + if is_read { RESYNC } else { RETRY };
    }
}

#[cfg(test)]
mod tests;
