//! When to try again: soon at first, then ever less often.

use std::time::Duration;

use super::Jitter;

/// An attempt to connect is given up after this, or after the connect retry time if that is shorter.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Before the first new attempt after a failure; each further one doubles it.
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// A session that lived as long was no flap.
const STABLE: Duration = Duration::from_secs(60);
/// After so many flaps the peer is left alone for a while (RFC 4271, 8.1.1: DampPeerOscillations).
const FREE_FLAPS: u32 = 2;
/// Doublings of that while: 64 s.
const MAX_DOUBLINGS: u32 = 6;

#[derive(Clone, Debug)]
pub struct Retries {
    jitter: Jitter,
    /// The longest time between attempts to connect.
    connect_retry: Duration,
    /// Attempts to connect that failed in a row.
    failures: u32,
    flaps: u32,
}

/// After the end of a session, or of what was to become one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Pause {
    /// Until we call again; the peer may call at any time.
    Wait(Duration),
    /// Nobody calls anybody.
    Hold(Duration),
}

impl Retries {
    pub fn new(connect_retry: Duration, jitter: Jitter) -> Self {
        Self { jitter, connect_retry: connect_retry.max(FIRST_WAIT), failures: 0, flaps: 0 }
    }

    /// For timers of a connection.
    pub fn jitter(&mut self) -> Jitter {
        self.jitter.split()
    }

    pub fn connect_timeout(&self) -> Duration {
        CONNECT_TIMEOUT.min(self.connect_retry)
    }

    /// A connection could not be made.
    pub fn failed(&mut self) -> Duration {
        let wait = FIRST_WAIT * 2_u32.pow(self.failures.min(MAX_DOUBLINGS + 1));
        self.failures = self.failures.saturating_add(1);
        self.jitter.apply(wait.min(self.connect_retry))
    }

    /// The session is established, or all begins anew.
    pub fn succeeded(&mut self) {
        self.failures = 0;
    }

    /// It ended, having been established for so long.
    pub fn ended(&mut self, lasted: Option<Duration>) -> Pause {
        if lasted >= Some(STABLE) {
            self.flaps = 0;
        }
        self.flaps = self.flaps.saturating_add(1);
        self.failures = 0;
        match self.flaps.checked_sub(FREE_FLAPS + 1) {
            None => Pause::Wait(self.jitter.apply(FIRST_WAIT.min(self.connect_retry))),
            Some(doublings) => {
                Pause::Hold(self.jitter.apply(FIRST_WAIT * 2_u32.pow(doublings.min(MAX_DOUBLINGS))))
            }
        }
    }

    /// It ended for a reason that is no flap.
    pub fn forgive(&mut self) {
        self.flaps = 0;
        self.failures = 0;
    }
}
