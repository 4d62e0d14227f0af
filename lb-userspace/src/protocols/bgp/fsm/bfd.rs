//! What a BFD session means for BGP (RFC 5882).

use crate::protocols::bfd::{State, Status};

/// What has been seen of it.
#[derive(Clone, Debug, Default)]
pub struct Watch {
    was_up: bool,
    downs: u64,
    is_down: bool,
    is_silent: bool,
}

/// What the session is to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    Nothing,
    /// BFD lost the peer.
    Fall,
    /// It did, and has found it again since: fall and rise.
    Flap,
    /// It has it again.
    Rise,
}

impl Watch {
    /// Is the session to be held down?
    pub fn is_down(&self) -> bool {
        self.is_down
    }

    /// Is it held down for somebody who says nothing at all?
    pub fn is_silent(&self) -> bool {
        self.is_down && self.is_silent
    }

    /// Hold it down no longer, until BFD comes up and falls again: many routers speak
    /// BFD only with those with whom they have a session, so that each would wait for
    /// the other (RFC 5882, 4.1).
    pub fn forgive(&mut self) {
        (self.was_up, self.is_down) = (false, false);
    }

    /// None: no BFD is asked for, or none is known of yet.
    pub fn observe(&mut self, status: Option<Status>) -> Verdict {
        let was_down = self.is_down;
        let Some(status) = status else {
            *self = Self::default();
            return if was_down { Verdict::Rise } else { Verdict::Nothing };
        };
        let fell = status.downs > self.downs;
        self.downs = status.downs;
        // A peer without BFD must not be held down (RFC 5882, 4.1): only one that had it.
        self.was_up |= fell || status.state == State::Up;
        self.is_silent = !status.heard;
        // Somebody wants no BFD; neither that nor its way back is a failure (3.2).
        if status.remote == State::AdminDown || status.state == State::AdminDown {
            self.was_up = false;
        }
        self.is_down = match status.state {
            State::Up | State::AdminDown => false,
            State::Down | State::Init => self.was_up,
        };
        match (was_down, self.is_down) {
            (false, true) => Verdict::Fall,
            (true, false) => Verdict::Rise,
            (false, false) if fell && status.state == State::Up => Verdict::Flap,
            _ => Verdict::Nothing,
        }
    }
}
