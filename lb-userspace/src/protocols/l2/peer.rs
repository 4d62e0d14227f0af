//! Another agent, as we hear it.

use std::{
    net::IpAddr,
    time::{Duration, Instant},
};

use super::{
    ballot::BallotId,
    hello::{Hello, Verdict},
    readiness::{Ours, Theirs},
    timing::{GRACE, RISE, SILENCE},
};

pub struct Peer {
    pub presence: Presence,
    /// It was, and has not risen since: it may have announced something all the time.
    pub was_lost: bool,
    /// We announce what it may announce too. Of use only if it was lost.
    pub shares: bool,
    pub heard: Instant,
    pub incarnation: u64,
    /// Of its last hello.
    pub sequence: u64,
    pub is_leaving: bool,
    /// How many others it holds for alive.
    pub company: u8,
    /// What it said of us last; of another incarnation of us, it is `Lost` or
    /// `Unknown`.
    pub verdict: Verdict,
    /// How much of our readiness it knows.
    pub known: u64,
    /// How much there is to know of its.
    pub version: u64,
    pub theirs: Theirs,
    pub due: Instant,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Presence {
    /// It may be there.
    Unheard {
        since: Instant,
    },
    Rising {
        since: Instant,
    },
    Risen,
    Lost,
}

/// What has to be said at once when it changes, and decides who announces.
#[derive(PartialEq)]
pub struct View {
    is_heard: bool,
    told: Verdict,
    verdict: Verdict,
    is_leaving: bool,
    incarnation: u64,
    /// Of our readiness, of its, and how much there is of that.
    versions: [u64; 3],
}

impl Peer {
    pub fn new(now: Instant) -> Self {
        Self {
            presence: Presence::Unheard { since: now },
            was_lost: false,
            shares: false,
            heard: now,
            incarnation: 0,
            sequence: 0,
            is_leaving: false,
            company: 0,
            verdict: Verdict::Unknown,
            known: 0,
            version: 0,
            theirs: Theirs::default(),
            due: now,
        }
    }

    /// Is it news, or was it overtaken on its way?
    pub fn admits(&self, hello: &Hello, now: Instant) -> bool {
        let is_newer = (hello.incarnation, hello.sequence) > (self.incarnation, self.sequence);
        // Its clock may have been set back before it began anew.
        let is_other = hello.incarnation != self.incarnation && now >= self.heard + SILENCE;
        is_newer || is_other
    }

    pub fn hear(&mut self, hello: &Hello, own_incarnation: u64, now: Instant) {
        let is_new = hello.incarnation != self.incarnation;
        if is_new {
            // Who has restarted announces nothing yet.
            self.was_lost &= self.incarnation == 0;
            self.incarnation = hello.incarnation;
            self.theirs = Theirs::default();
        }
        if is_new || !self.is_heard() {
            self.presence = Presence::Rising { since: now };
        }
        (self.heard, self.sequence, self.is_leaving) = (now, hello.sequence, hello.is_leaving);
        (self.company, self.version) = (hello.company, hello.version);
        self.theirs.learn(&hello.update);
        let is_about_us = hello.your_incarnation == own_incarnation;
        self.known = if is_about_us { hello.known } else { 0 };
        self.verdict =
            if is_about_us || hello.verdict == Verdict::Lost { hello.verdict } else { Verdict::Unknown };
        if matches!(self.presence, Presence::Rising { since } if now >= since + RISE) {
            (self.presence, self.was_lost) = (Presence::Risen, false);
        }
    }

    /// When it is to be held for lost, unless it is heard before.
    pub fn lost_at(&self) -> Option<Instant> {
        match self.presence {
            Presence::Unheard { since } => Some(since + GRACE),
            Presence::Rising { .. } | Presence::Risen => Some(self.heard + SILENCE),
            Presence::Lost => None,
        }
    }

    pub fn lose(&mut self) {
        (self.presence, self.was_lost) = (Presence::Lost, true);
    }

    pub fn told(&self) -> Verdict {
        match (self.presence, self.verdict) {
            (Presence::Risen, Verdict::Heard | Verdict::Alive) => Verdict::Alive,
            (Presence::Risen, _) => Verdict::Heard,
            _ if self.was_lost && self.shares => Verdict::Lost,
            _ => Verdict::Unknown,
        }
    }

    pub fn is_heard(&self) -> bool {
        matches!(self.presence, Presence::Rising { .. } | Presence::Risen)
    }

    pub fn is_alive(&self) -> bool {
        self.told() == Verdict::Alive
    }

    /// Does each of us count the other, and do we know all that it said?
    pub fn is_settled(&self) -> bool {
        self.verdict == Verdict::Alive && self.is_alive() && self.is_understood()
    }

    fn is_understood(&self) -> bool {
        self.theirs.known() == self.version
    }

    /// May it have the VIP, by another ballot than this one? As a number that
    /// changes with the reason.
    pub fn dissent(&self, vip: &IpAddr, ballot: BallotId) -> Option<u64> {
        const UNHEARD: u64 = 0;
        // Who cannot hear us cannot tell all.
        let will_tell = !self.is_understood() && self.verdict != Verdict::Lost;
        match self.presence {
            Presence::Unheard { .. } => Some(UNHEARD),
            Presence::Rising { .. } | Presence::Risen if will_tell => Some(UNHEARD),
            Presence::Rising { .. } | Presence::Risen => {
                self.theirs.ballot(vip).filter(|theirs| *theirs != ballot).map(|theirs| theirs.get().into())
            }
            Presence::Lost => None,
        }
    }

    pub fn view(&self) -> View {
        View {
            is_heard: self.is_heard(),
            told: self.told(),
            verdict: self.verdict,
            is_leaving: self.is_leaving,
            incarnation: self.incarnation,
            versions: [self.known, self.theirs.known(), self.version],
        }
    }

    /// The next hello to it.
    pub fn address(&mut self, hello: Hello, ours: &Ours, pause: Duration, now: Instant) -> Hello {
        self.due = now + pause;
        Hello {
            verdict: self.told(),
            your_incarnation: self.incarnation,
            known: self.theirs.known(),
            version: ours.version(),
            update: ours.update(self.known),
            ..hello
        }
    }
}
