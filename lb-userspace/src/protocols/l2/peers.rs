//! Who of the other agents lives, what it is ready for, and what it thinks of
//! us. Sans IO.
//!
//! Two agents hand VIPs to each other without ever both having one, nor asking
//! anybody else:
//! - Each tells the other its verdict, and how much of the other's readiness it
//!   knows. It says `Alive` once both have heard each other for a while, and
//!   from then on holds the other for a candidate: what that one is the better
//!   candidate for, it has let go *before* it says so.
//! - One begins to announce a VIP when every candidate it hears has said `Alive`
//!   to it and knows that it is ready ([`Peers::known_by_all`]), and nobody it
//!   hears is ready by another ballot ([`Peers::doubt`]).
//! - Whoever is not heard any longer has lost what it had to the others. Should it
//!   still be there, they tell it that it was `Lost`, and it lets go of what they
//!   may have, until it is taken back. If each was lost to the other, the one with
//!   less company does.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    ballot::{Ballot, BallotId},
    hello::{Hello, Update, Verdict},
    peer::{Peer, Presence},
    readiness::Ours,
};
use crate::hash::{fnv1a, mix};

/// From one hello to the next.
const INTERVAL: Duration = Duration::from_millis(100);
pub struct Peers {
    me: Arc<str>,
    incarnation: u64,
    /// Of the last hellos. It goes on whoever comes and goes: for who is back it must
    /// not begin anew.
    sequence: u64,
    peers: BTreeMap<Arc<str>, Peer>,
    /// What we could announce, and what of it we say.
    ready: BTreeMap<IpAddr, Arc<Ballot>>,
    ours: Ours,
    /// To whom we leave all that he may have too.
    yielded: BTreeSet<Arc<str>>,
    /// Who had what we announce too, and is to let go of it.
    rivals: BTreeSet<Arc<str>>,
    has_won: bool,
    is_changed: bool,
    is_leaving: bool,
    has_news: bool,
}

impl Peers {
    /// `incarnation` is not zero, and greater than at any start before.
    pub fn new(me: Arc<str>, incarnation: u64) -> Self {
        Self {
            me,
            incarnation,
            sequence: 0,
            peers: BTreeMap::new(),
            ready: BTreeMap::new(),
            ours: Ours::default(),
            yielded: BTreeSet::new(),
            rivals: BTreeSet::new(),
            has_won: false,
            is_changed: false,
            is_leaving: false,
            has_news: true,
        }
    }

    /// Whom to listen to.
    pub fn set_nodes<'a>(&mut self, nodes: impl IntoIterator<Item = &'a Arc<str>>, now: Instant) {
        let mut before = std::mem::take(&mut self.peers);
        for node in nodes {
            if *node != self.me {
                let peer = before.remove(node).unwrap_or_else(|| Peer::new(now));
                self.peers.insert(node.clone(), peer);
            }
        }
        self.has_news = true;
    }

    /// What we could announce. Said to the others at the next `poll`.
    pub fn set_ready(&mut self, ready: BTreeMap<IpAddr, Arc<Ballot>>, is_leaving: bool, now: Instant) {
        if self.is_leaving != is_leaving {
            self.is_leaving = is_leaving;
            self.speak_to_all(now);
        }
        self.ready = ready;
        self.is_changed = true;
        self.tell_readiness(now);
        self.has_news = true;
    }

    /// What we do announce: others who may have it were lost to us, or not.
    pub fn set_announced(&mut self, announced: &BTreeSet<IpAddr>, now: Instant) {
        for (node, peer) in &mut self.peers {
            let may_have = |vip: &IpAddr| self.ready.get(vip).is_some_and(|ballot| ballot.has(node));
            let shares = peer.was_lost && announced.iter().any(may_have);
            if peer.shares != shares {
                (peer.shares, peer.due) = (shares, now);
            }
        }
        self.tell_readiness(now);
    }

    /// It was us who could not hear: whoever was lost may be there.
    pub fn listen_anew(&mut self, now: Instant) {
        for peer in self.peers.values_mut().filter(|peer| peer.presence == Presence::Lost) {
            peer.presence = Presence::Unheard { since: now };
        }
        self.has_news = true;
    }

    /// What another agent said; that it is who it says has been checked.
    pub fn hear(&mut self, hello: &Hello, now: Instant) {
        let Some(peer) = self.peers.get_mut(hello.node.as_str()) else { return };
        if !peer.admits(hello, now) {
            return;
        }
        let before = peer.view();
        peer.hear(hello, self.incarnation, now);
        if peer.view() != before {
            peer.due = now;
            self.has_news = true;
        }
        self.tell_readiness(now);
    }

    /// Time passes: what is to be said now, and to whom.
    pub fn poll(&mut self, now: Instant) -> Vec<(Arc<str>, Hello)> {
        for peer in self.peers.values_mut() {
            if peer.lost_at().is_some_and(|at| at <= now) {
                peer.lose();
                peer.due = now;
                self.has_news = true;
            }
        }
        self.tell_readiness(now);
        self.sequence += 1;
        let hello = self.hello();
        let due = self.peers.iter_mut().filter(|(_, peer)| peer.due <= now);
        due.map(|(node, peer)| (node.clone(), peer.address(hello.clone(), &self.ours, INTERVAL, now)))
            .collect()
    }

    /// What is the same to all.
    fn hello(&self) -> Hello {
        Hello {
            node: self.me.to_string(),
            incarnation: self.incarnation,
            sequence: self.sequence,
            is_leaving: self.is_leaving,
            company: self.company(),
            verdict: Verdict::Unknown,
            your_incarnation: 0,
            known: 0,
            version: 0,
            update: Update::default(),
        }
    }

    pub fn next_deadline(&self) -> Option<Instant> {
        let of = |peer: &Peer| peer.lost_at().map_or(peer.due, |at| at.min(peer.due));
        self.peers.values().map(of).min()
    }

    /// Has anything of what follows changed since the last time?
    pub fn take_news(&mut self) -> bool {
        std::mem::take(&mut self.has_news)
    }

    /// Has somebody let go of what we announce too, since the last time? Then
    /// neighbours may still believe that it is there.
    pub fn take_victory(&mut self) -> bool {
        std::mem::take(&mut self.has_won)
    }

    /// May this other node announce the VIP, as far as we know?
    pub fn is_candidate(&self, node: &str, vip: &IpAddr) -> bool {
        let is_one = |peer: &Peer| peer.is_alive() && !peer.is_leaving && peer.theirs.ballot(vip).is_some();
        self.peers.get(node).is_some_and(is_one)
    }

    /// Do we listen to it?
    pub fn is_known(&self, node: &str) -> bool {
        self.peers.contains_key(node)
    }

    pub fn is_alive(&self, node: &str) -> bool {
        self.peers.get(node).is_some_and(Peer::is_alive)
    }

    /// Does it say that it can carry the VIP?
    pub fn is_ready(&self, node: &str, vip: &IpAddr) -> bool {
        self.peers.get(node).is_some_and(|peer| peer.theirs.ballot(vip).is_some())
    }

    /// Are we ready for it, leaving aside who knows it?
    pub fn are_we_ready(&self, vip: &IpAddr) -> bool {
        self.ours.since(vip).is_some()
    }

    /// Does every candidate that is there know that we are ready for it by this
    /// ballot, and do we know what he is ready for? Then the better candidate
    /// among us is clear.
    pub fn known_by_all(&self, vip: &IpAddr, ballot: &Ballot) -> bool {
        let Some((id, since)) = self.ours.since(vip) else { return false };
        let mut candidates = ballot.nodes().iter().filter_map(|node| self.peers.get(node));
        id == ballot.id()
            && candidates.all(|peer| match peer.presence {
                Presence::Unheard { .. } | Presence::Rising { .. } => false,
                Presence::Risen => peer.is_settled() && peer.known >= since,
                Presence::Lost => true,
            })
    }

    /// Somebody may have the VIP by another ballot than ours, since not all
    /// learn of a change at once: who says so, and of those who were on the
    /// ballot before, who is not heard. As a number that changes with them.
    pub fn doubt<'a>(
        &self,
        vip: &IpAddr,
        ballot: BallotId,
        former: impl Iterator<Item = &'a Arc<str>>,
    ) -> Option<u64> {
        let dissent = |(node, peer): (&Arc<str>, &Peer)| Some(fnv1a(node) ^ peer.dissent(vip, ballot)?);
        let is_heard = |node: &Arc<str>| self.peers.get(node).is_some_and(Peer::is_heard);
        let unheard = former.filter(|node| **node != self.me && !is_heard(node)).map(|node| fnv1a(node));
        let reasons = self.peers.iter().filter_map(dissent).chain(unheard);
        reasons.reduce(|one, other| mix(one ^ other)).map(|all| mix(all ^ u64::from(ballot.get())))
    }

    /// Whoever leaves is ready for nothing. Nor is who was lost to another
    /// candidate, since that one may have what we have.
    fn tell_readiness(&mut self, now: Instant) {
        let (rivals, yielded): (BTreeSet<_>, _) =
            self.accusers().into_iter().partition(|node| self.gives_way(node));
        self.has_won |= !rivals.is_superset(&self.rivals);
        self.rivals = rivals;
        if self.yielded == yielded && !self.is_changed {
            return;
        }
        (self.yielded, self.is_changed) = (yielded, false);
        let may_keep = |ballot: &Ballot| !self.yielded.iter().any(|node| ballot.has(node));
        let ready = self.ready.iter().filter(|(_, ballot)| !self.is_leaving && may_keep(ballot));
        if self.ours.set(&ready.map(|(vip, ballot)| (*vip, ballot.id())).collect()) {
            self.has_news = true;
            self.speak_to_all(now);
        }
    }

    /// To whom we were lost, and who is there.
    fn accusers(&self) -> BTreeSet<Arc<str>> {
        let accuses = |peer: &Peer| peer.is_heard() && peer.verdict == Verdict::Lost;
        self.peers.iter().filter(|(_, peer)| accuses(peer)).map(|(node, _)| node.clone()).collect()
    }

    /// It was lost to us as well, and is the one who lets go.
    fn gives_way(&self, node: &Arc<str>) -> bool {
        let has_less = |peer: &Peer| (self.company(), &self.me) > (peer.company, node);
        self.peers.get(node).is_some_and(|peer| peer.told() == Verdict::Lost && has_less(peer))
    }

    fn company(&self) -> u8 {
        let alive = self.peers.values().filter(|peer| peer.is_alive()).count();
        alive.try_into().unwrap_or(u8::MAX)
    }

    /// At the next `poll`.
    pub fn speak_to_all(&mut self, now: Instant) {
        for peer in self.peers.values_mut() {
            peer.due = now;
        }
    }
}

#[cfg(test)]
pub mod tests;
