//! What the state of a BFD session means for the BGP session (RFC 5882).

use crate::protocols::bfd::{SessionState, SessionStatus};

/// What has been seen of the BFD session.
#[derive(Clone, Debug, Default)]
pub struct BfdTracker {
    was_up: bool,
    downs: u64,
    is_down: bool,
    is_silent: bool,
}

/// What the BGP session is to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BfdEffect {
    Nothing,
    /// BFD has lost the peer: end the session, and stay down.
    Fall,
    /// BFD has lost the peer and found it again: end the session, and begin anew.
    Flap,
    /// BFD has found the peer again: begin anew.
    Rise,
}

impl BfdTracker {
    /// Is the BGP session to be held down?
    pub fn is_down(&self) -> bool {
        self.is_down
    }

    /// Is the session held down, and is the peer silent in BFD?
    pub fn is_silent(&self) -> bool {
        self.is_down && self.is_silent
    }

    /// Stops holding the session down, until BFD comes up and goes down again. Many routers
    /// speak BFD only while they have a BGP session: each side would wait for the other
    /// (RFC 5882, section 4.1).
    pub fn release_hold(&mut self) {
        (self.was_up, self.is_down) = (false, false);
    }

    /// Takes in the status of the BFD session. None: BFD is off, or there is no session yet.
    pub fn observe_status(&mut self, status: Option<SessionStatus>) -> BfdEffect {
        let was_down = self.is_down;
        let Some(status) = status else {
            *self = Self::default();
            return if was_down { BfdEffect::Rise } else { BfdEffect::Nothing };
        };
        let fell = status.downs > self.downs;
        self.downs = status.downs;
        // A peer that never spoke BFD must not be held down (RFC 5882, section 4.1).
        self.was_up |= fell || status.state == SessionState::Up;
        self.is_silent = !status.heard;
        // One side has turned BFD off. Neither that nor turning it on again is a failure
        // (RFC 5882, section 3.2).
        if status.remote == SessionState::AdminDown || status.state == SessionState::AdminDown {
            self.was_up = false;
        }
        self.is_down = match status.state {
            SessionState::Up | SessionState::AdminDown => false,
            SessionState::Down | SessionState::Init => self.was_up,
        };
        match (was_down, self.is_down) {
            (false, true) => BfdEffect::Fall,
            (true, false) => BfdEffect::Rise,
            (false, false) if fell && status.state == SessionState::Up => BfdEffect::Flap,
            _ => BfdEffect::Nothing,
        }
    }
}
