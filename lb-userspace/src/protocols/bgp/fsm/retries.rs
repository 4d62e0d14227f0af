//! When to connect again: soon after the first failure, then ever less often.

use std::time::Duration;

use super::Jitter;

/// Time limit of an attempt to connect, unless the connect retry time is shorter.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Wait after the first failure; it doubles with each further failure.
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// A session that lasted this long was no flap.
const STABLE: Duration = Duration::from_secs(60);
/// After more flaps than this we stay in Idle for a while (RFC 4271, section 8.1.1:
/// DampPeerOscillations).
const FREE_FLAPS: u32 = 2;
/// The most doublings of that time: 64 s.
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

/// What to do after the end of a session, or of a connection that did not become one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Pause {
    /// Wait until we call again; the peer may call at any time.
    Wait(Duration),
    /// Neither call nor accept a call.
    Hold(Duration),
}

impl Retries {
    pub fn new(connect_retry: Duration, jitter: Jitter) -> Self {
        Self { jitter, connect_retry: connect_retry.max(FIRST_WAIT), failures: 0, flaps: 0 }
    }

    /// A source of jitter for the timers of a connection.
    pub fn split_jitter(&mut self) -> Jitter {
        self.jitter.split()
    }

    pub fn connect_timeout(&self) -> Duration {
        CONNECT_TIMEOUT.min(self.connect_retry)
    }

    /// A connection could not be made; returns the time until the next attempt.
    pub fn record_failure(&mut self) -> Duration {
        let wait = FIRST_WAIT * 2_u32.pow(self.failures.min(MAX_DOUBLINGS + 1));
        self.failures = self.failures.saturating_add(1);
        self.jitter.apply(wait.min(self.connect_retry))
    }

    /// A session is established, or the peer begins anew: forgets failures to connect.
    pub fn record_success(&mut self) {
        self.failures = 0;
    }

    /// A connection has ended, after being established for `lasted`; None: it never was.
    pub fn record_end(&mut self, lasted: Option<Duration>) -> Pause {
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

    /// The session ended for a reason that is no flap: forgets flaps and failures.
    pub fn reset(&mut self) {
        self.flaps = 0;
        self.failures = 0;
    }
}
