//! Which other agents live, which VIPs they are ready for, and what their opinions of us
//! are. No IO.
//!
//! Two agents hand VIPs to each other, without both ever announcing the same VIP and
//! without asking a third:
//! - Each agent tells the other its opinion of it, and the version of the other's readiness
//!   that it knows. The opinion is `Alive` once both have heard each other for a while. From
//!   then on an agent counts the other as a candidate: it lets go of the VIPs that the other
//!   is the better candidate for *before* it says `Alive`.
//! - An agent begins to announce a VIP when every candidate that it hears has said `Alive`
//!   to it and knows that it is ready ([`OtherAgents::is_known_by_all`]), and no agent that
//!   it hears is ready by another ballot ([`OtherAgents::find_doubt`]). While a change of
//!   ballots is new, every agent that it hears has to know that it is ready: one that doesn't
//!   may begin at the same moment, by another ballot of which we are no candidate.
//! - When an agent is heard no longer, the others take over its VIPs. Should it still live,
//!   they tell it that it was `Lost`. Then it lets go of the VIPs that they may announce,
//!   until they count it as alive again. If two agents have lost each other, the one that
//!   counts fewer agents as alive lets go.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    ballot::{Ballot, BallotId},
    hello::{Hello, Opinion, ReadinessUpdate},
    peer::{OtherAgent, Presence},
    readiness::OwnReadiness,
};
use crate::hash::{fnv1a, mix};

/// Time between hellos to one agent.
const INTERVAL: Duration = Duration::from_millis(100);

/// The other agents that we talk with, and our own readiness.
pub struct OtherAgents {
    me: Arc<str>,
    incarnation: u64,
    /// The number of the last hellos. It is one for all agents, so that it does not begin
    /// anew for an agent that was left out for a while.
    sequence: u64,
    peers: BTreeMap<Arc<str>, OtherAgent>,
    /// The VIPs that we could announce.
    ready: BTreeMap<IpAddr, Arc<Ballot>>,
    /// The VIPs of `ready` that we tell the others of.
    own_readiness: OwnReadiness,
    /// Agents that we have left all VIPs to that they may announce too.
    yielded: BTreeSet<Arc<str>>,
    /// Agents that may announce VIPs of ours too, and are to let go of them.
    rivals: BTreeSet<Arc<str>>,
    /// A rival has let go since [`Self::take_victory`].
    has_won: bool,
    is_changed: bool,
    is_leaving: bool,
    has_news: bool,
}

impl OtherAgents {
    /// `incarnation` must not be zero, and must be greater than at any start before.
    pub fn new(me: Arc<str>, incarnation: u64) -> Self {
        Self {
            me,
            incarnation,
            sequence: 0,
            peers: BTreeMap::new(),
            ready: BTreeMap::new(),
            own_readiness: OwnReadiness::default(),
            yielded: BTreeSet::new(),
            rivals: BTreeSet::new(),
            has_won: false,
            is_changed: false,
            is_leaving: false,
            has_news: true,
        }
    }

    /// Sets the nodes whose agents we listen to.
    pub fn set_nodes<'a>(&mut self, nodes: impl IntoIterator<Item = &'a Arc<str>>, now: Instant) {
        let mut before = std::mem::take(&mut self.peers);
        for node in nodes {
            if *node != self.me {
                let peer = before.remove(node).unwrap_or_else(|| OtherAgent::new(now));
                self.peers.insert(node.clone(), peer);
            }
        }
        self.has_news = true;
    }

    /// Sets the VIPs that we could announce. The next `poll` tells the others.
    pub fn set_ready(&mut self, ready: BTreeMap<IpAddr, Arc<Ballot>>, is_leaving: bool, now: Instant) {
        if self.is_leaving != is_leaving {
            self.is_leaving = is_leaving;
            self.schedule_hellos(now);
        }
        self.ready = ready;
        self.is_changed = true;
        self.update_readiness(now);
        self.has_news = true;
    }

    /// Sets the VIPs that we announce: this decides whether a lost agent is told that it was
    /// `Lost`.
    pub fn set_announced(&mut self, announced: &BTreeSet<IpAddr>, now: Instant) {
        for (node, peer) in &mut self.peers {
            let may_have = |vip: &IpAddr| self.ready.get(vip).is_some_and(|ballot| ballot.has_node(node));
            let shares = peer.was_lost && announced.iter().any(may_have);
            if peer.shares_vips != shares {
                (peer.shares_vips, peer.due) = (shares, now);
            }
        }
        self.update_readiness(now);
    }

    /// This node could not hear for a while: so agents that count as lost may live.
    pub fn reset_lost_agents(&mut self, now: Instant) {
        for peer in self.peers.values_mut().filter(|peer| peer.presence == Presence::Lost) {
            peer.presence = Presence::Unheard { since: now };
        }
        self.has_news = true;
    }

    /// Takes in a hello, whose sender has been checked.
    pub fn process_hello(&mut self, hello: &Hello, now: Instant) {
        let Some(peer) = self.peers.get_mut(hello.node.as_str()) else { return };
        if !peer.is_newer_hello(hello, now) {
            return;
        }
        let before = peer.view();
        peer.process_hello(hello, self.incarnation, now);
        if peer.view() != before {
            peer.due = now;
            self.has_news = true;
        }
        self.update_readiness(now);
    }

    /// Lets time pass; returns the hellos to send now, each with its receiver.
    pub fn poll(&mut self, now: Instant) -> Vec<(Arc<str>, Hello)> {
        for peer in self.peers.values_mut() {
            if peer.silence_deadline().is_some_and(|at| at <= now) {
                peer.mark_lost();
                peer.due = now;
                self.has_news = true;
            }
        }
        self.update_readiness(now);
        self.sequence += 1;
        let hello = self.common_hello();
        let due = self.peers.iter_mut().filter(|(_, peer)| peer.due <= now);
        due.map(|(node, peer)| {
            (node.clone(), peer.complete_hello(hello.clone(), &self.own_readiness, INTERVAL, now))
        })
        .collect()
    }

    /// The part of a hello that is the same for all receivers.
    fn common_hello(&self) -> Hello {
        Hello {
            node: self.me.to_string(),
            incarnation: self.incarnation,
            sequence: self.sequence,
            is_leaving: self.is_leaving,
            alive_count: self.alive_count(),
            opinion: Opinion::Unknown,
            your_incarnation: 0,
            known: 0,
            version: 0,
            update: ReadinessUpdate::default(),
        }
    }

    pub fn next_deadline(&self) -> Option<Instant> {
        let deadline = |peer: &OtherAgent| peer.silence_deadline().map_or(peer.due, |at| at.min(peer.due));
        self.peers.values().map(deadline).min()
    }

    /// Has anything that the functions below return changed since the last call?
    pub fn take_news(&mut self) -> bool {
        std::mem::take(&mut self.has_news)
    }

    /// Has another agent let go of VIPs of ours since the last call? Then hosts on the link
    /// may still send packets for these VIPs there.
    pub fn take_rival_yielded(&mut self) -> bool {
        std::mem::take(&mut self.has_won)
    }

    /// Is this other node a candidate for the VIP, as far as we know?
    pub fn is_candidate(&self, node: &str, vip: &IpAddr) -> bool {
        let is_one =
            |peer: &OtherAgent| peer.is_alive() && !peer.is_leaving && peer.readiness.ballot(vip).is_some();
        self.peers.get(node).is_some_and(is_one)
    }

    /// Do we listen to this node's agent?
    pub fn is_known(&self, node: &str) -> bool {
        self.peers.contains_key(node)
    }

    pub fn is_alive(&self, node: &str) -> bool {
        self.peers.get(node).is_some_and(OtherAgent::is_alive)
    }

    /// Does this node say that it can carry the VIP?
    pub fn is_ready(&self, node: &str, vip: &IpAddr) -> bool {
        self.peers.get(node).is_some_and(|peer| peer.readiness.ballot(vip).is_some())
    }

    /// Are we ready for the VIP, whether the others know it or not?
    pub fn is_ready_here(&self, vip: &IpAddr) -> bool {
        self.own_readiness.ready_since(vip).is_some()
    }

    /// Does every living candidate know that we are ready for the VIP by this ballot, and do
    /// we know its readiness? Then both agree on who is the better candidate.
    pub fn is_known_by_all(&self, vip: &IpAddr, ballot: &Ballot) -> bool {
        let Some((id, since)) = self.own_readiness.ready_since(vip) else { return false };
        let mut candidates = ballot.nodes().iter().filter_map(|node| self.peers.get(node));
        id == ballot.id()
            && candidates.all(|peer| match peer.presence {
                Presence::Unheard { .. } | Presence::Rising { .. } => false,
                Presence::Risen => peer.is_synchronised() && peer.known >= since,
                Presence::Lost => true,
            })
    }

    /// Another agent may announce the VIP by another ballot than ours, since not all agents
    /// learn of a change at once. None if that can be ruled out. `former` are the ballots
    /// that agents may still go by; with one, our readiness has to be known as well. The number
    /// stands for the agents that are ready by another ballot or don't know enough, and for
    /// those of `former` that are not heard; it changes with them.
    pub fn find_doubt(&self, vip: &IpAddr, ballot: BallotId, former: &[&Ballot]) -> Option<u64> {
        let since = self.own_readiness.ready_since(vip).filter(|_| !former.is_empty());
        let to_know = since.map_or(0, |(_, version)| version);
        let conflict = |(node, peer): (&Arc<str>, &OtherAgent)| {
            Some(fnv1a(node) ^ peer.ballot_conflict(vip, ballot, to_know)?)
        };
        let is_heard = |node: &Arc<str>| self.peers.get(node).is_some_and(OtherAgent::is_heard);
        let former = former.iter().flat_map(|ballot| ballot.nodes());
        let unheard = former.filter(|node| **node != self.me && !is_heard(node)).map(|node| fnv1a(node));
        let reasons = self.peers.iter().filter_map(conflict).chain(unheard);
        reasons.reduce(|one, other| mix(one ^ other)).map(|all| mix(all ^ u64::from(ballot.get())))
    }

    /// Decides which VIPs we tell the others that we are ready for: none if we leave, and none
    /// of a ballot with an agent that has lost us, since that agent may have taken over.
    fn update_readiness(&mut self, now: Instant) {
        let (rivals, yielded): (BTreeSet<_>, _) =
            self.agents_that_lost_us().into_iter().partition(|node| self.has_to_yield(node));
        self.has_won |= !rivals.is_superset(&self.rivals);
        self.rivals = rivals;
        if self.yielded == yielded && !self.is_changed {
            return;
        }
        (self.yielded, self.is_changed) = (yielded, false);
        let may_keep = |ballot: &Ballot| !self.yielded.iter().any(|node| ballot.has_node(node));
        let ready = self.ready.iter().filter(|(_, ballot)| !self.is_leaving && may_keep(ballot));
        if self.own_readiness.set_ready(&ready.map(|(vip, ballot)| (*vip, ballot.id())).collect()) {
            self.has_news = true;
            self.schedule_hellos(now);
        }
    }

    /// The living agents that have lost us.
    fn agents_that_lost_us(&self) -> BTreeSet<Arc<str>> {
        let accuses = |peer: &OtherAgent| peer.is_heard() && peer.its_opinion == Opinion::Lost;
        self.peers.iter().filter(|(_, peer)| accuses(peer)).map(|(node, _)| node.clone()).collect()
    }

    /// Have we lost that agent as well, and is it the one that has to let go?
    fn has_to_yield(&self, node: &Arc<str>) -> bool {
        let has_less = |peer: &OtherAgent| (self.alive_count(), &self.me) > (peer.alive_count, node);
        self.peers.get(node).is_some_and(|peer| peer.our_opinion() == Opinion::Lost && has_less(peer))
    }

    fn alive_count(&self) -> u8 {
        let alive = self.peers.values().filter(|peer| peer.is_alive()).count();
        alive.try_into().unwrap_or(u8::MAX)
    }

    /// The next `poll` returns a hello to every agent.
    pub fn schedule_hellos(&mut self, now: Instant) {
        for peer in self.peers.values_mut() {
            peer.due = now;
        }
    }
}

#[cfg(test)]
pub mod tests;
