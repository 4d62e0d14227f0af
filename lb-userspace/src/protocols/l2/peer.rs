//! What is known of another agent from its hellos.

use std::{
    net::IpAddr,
    time::{Duration, Instant},
};

use super::{
    ballot::BallotId,
    hello::{Hello, Opinion},
    readiness::{OwnReadiness, PeerReadiness},
    timing::{GRACE, RISE, SILENCE},
};

pub struct OtherAgent {
    pub presence: Presence,
    /// It was lost and has not risen since: it may still announce VIPs.
    pub was_lost: bool,
    /// It was lost, and we announce VIPs that it may still announce.
    pub shares_vips: bool,
    /// When its last hello came.
    pub heard: Instant,
    pub incarnation: u64,
    /// The number of its last hello.
    pub sequence: u64,
    pub is_leaving: bool,
    /// How many other agents it counts as alive.
    pub alive_count: u8,
    /// Its last opinion of us. If its hello named another incarnation of us, only `Lost`
    /// is kept, and anything else is `Unknown`.
    pub its_opinion: Opinion,
    /// The version of our readiness that it knows.
    pub known: u64,
    /// The current version of its readiness.
    pub version: u64,
    pub readiness: PeerReadiness,
    /// When the next hello to it is due.
    pub due: Instant,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Presence {
    /// Not heard yet; it may live.
    Unheard { since: Instant },
    /// Heard, but not for long enough.
    Rising { since: Instant },
    /// Heard for `RISE` or longer.
    Risen,
    /// Not heard for too long.
    Lost,
}

/// The part of the state that decides who announces. When it changes, a hello is sent at
/// once.
#[derive(PartialEq)]
pub struct ElectionView {
    is_heard: bool,
    ours: Opinion,
    its: Opinion,
    is_leaving: bool,
    incarnation: u64,
    /// The version of our readiness that it knows, the version of its readiness that we know,
    /// and the current version of its readiness.
    versions: [u64; 3],
}

impl OtherAgent {
    pub fn new(now: Instant) -> Self {
        Self {
            presence: Presence::Unheard { since: now },
            was_lost: false,
            shares_vips: false,
            heard: now,
            incarnation: 0,
            sequence: 0,
            is_leaving: false,
            alive_count: 0,
            its_opinion: Opinion::Unknown,
            known: 0,
            version: 0,
            readiness: PeerReadiness::default(),
            due: now,
        }
    }

    /// Is the hello newer than the last one, and not overtaken on its way?
    pub fn is_newer_hello(&self, hello: &Hello, now: Instant) -> bool {
        let is_newer = (hello.incarnation, hello.sequence) > (self.incarnation, self.sequence);
        // After a restart its incarnation is smaller if its clock was set back.
        let is_other = hello.incarnation != self.incarnation && now >= self.heard + SILENCE;
        is_newer || is_other
    }

    pub fn process_hello(&mut self, hello: &Hello, own_incarnation: u64, now: Instant) {
        let is_new = hello.incarnation != self.incarnation;
        if is_new {
            // An agent that has restarted announces nothing yet.
            self.was_lost &= self.incarnation == 0;
            self.incarnation = hello.incarnation;
            self.readiness = PeerReadiness::default();
        }
        if is_new || !self.is_heard() {
            self.presence = Presence::Rising { since: now };
        }
        (self.heard, self.sequence, self.is_leaving) = (now, hello.sequence, hello.is_leaving);
        (self.alive_count, self.version) = (hello.alive_count, hello.version);
        self.readiness.apply_update(&hello.update);
        let is_about_us = hello.your_incarnation == own_incarnation;
        self.known = if is_about_us { hello.known } else { 0 };
        self.its_opinion =
            if is_about_us || hello.opinion == Opinion::Lost { hello.opinion } else { Opinion::Unknown };
        if matches!(self.presence, Presence::Rising { since } if now >= since + RISE) {
            (self.presence, self.was_lost) = (Presence::Risen, false);
        }
    }

    /// When it counts as lost, unless it is heard before.
    pub fn silence_deadline(&self) -> Option<Instant> {
        match self.presence {
            Presence::Unheard { since } => Some(since + GRACE),
            Presence::Rising { .. } | Presence::Risen => Some(self.heard + SILENCE),
            Presence::Lost => None,
        }
    }

    pub fn mark_lost(&mut self) {
        (self.presence, self.was_lost) = (Presence::Lost, true);
    }

    pub fn our_opinion(&self) -> Opinion {
        match (self.presence, self.its_opinion) {
            (Presence::Risen, Opinion::Heard | Opinion::Alive) => Opinion::Alive,
            (Presence::Risen, _) => Opinion::Heard,
            _ if self.was_lost && self.shares_vips => Opinion::Lost,
            _ => Opinion::Unknown,
        }
    }

    pub fn is_heard(&self) -> bool {
        matches!(self.presence, Presence::Rising { .. } | Presence::Risen)
    }

    pub fn is_alive(&self) -> bool {
        self.our_opinion() == Opinion::Alive
    }

    /// Do both agents count each other as alive, and do we know all of its readiness?
    pub fn is_synchronised(&self) -> bool {
        self.its_opinion == Opinion::Alive && self.is_alive() && self.is_readiness_known()
    }

    fn is_readiness_known(&self) -> bool {
        self.readiness.known() == self.version
    }

    /// May it announce the VIP by another ballot than this one, or begin to, since it does not
    /// know version `to_know` of our readiness yet? The number stands for the reason and
    /// changes with it.
    pub fn ballot_conflict(&self, vip: &IpAddr, ballot: BallotId, to_know: u64) -> Option<u64> {
        const UNHEARD: u64 = 0;
        // An agent that still has lost us when it has risen hears nothing of us: it neither
        // learns our readiness nor sends the rest of its own.
        let is_deaf = self.presence == Presence::Risen && self.its_opinion == Opinion::Lost;
        let will_tell = !is_deaf && (!self.is_readiness_known() || self.known < to_know);
        match self.presence {
            Presence::Unheard { .. } => Some(UNHEARD),
            Presence::Rising { .. } | Presence::Risen if will_tell => Some(UNHEARD),
            Presence::Rising { .. } | Presence::Risen => self
                .readiness
                .ballot(vip)
                .filter(|theirs| *theirs != ballot)
                .map(|theirs| theirs.get().into()),
            Presence::Lost => None,
        }
    }

    pub fn view(&self) -> ElectionView {
        ElectionView {
            is_heard: self.is_heard(),
            ours: self.our_opinion(),
            its: self.its_opinion,
            is_leaving: self.is_leaving,
            incarnation: self.incarnation,
            versions: [self.known, self.readiness.known(), self.version],
        }
    }

    /// Completes the hello for this agent; the next one is due after `pause`.
    pub fn complete_hello(
        &mut self,
        hello: Hello,
        ours: &OwnReadiness,
        pause: Duration,
        now: Instant,
    ) -> Hello {
        self.due = now + pause;
        Hello {
            opinion: self.our_opinion(),
            your_incarnation: self.incarnation,
            known: self.readiness.known(),
            version: ours.version(),
            update: ours.next_update(self.known),
            ..hello
        }
    }
}
