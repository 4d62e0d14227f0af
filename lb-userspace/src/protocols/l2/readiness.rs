//! Which VIPs an agent is ready for, and by which ballots, and how other agents learn it. It
//! has versions, so that after a change only the change is sent, in parts that fit a datagram,
//! each acknowledged before the next.

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
};

use super::{
    ballot::BallotId,
    hello::{MAX_ENTRIES, ReadinessUpdate},
};

/// How many VIPs are remembered that we are no longer ready for, for agents that do not
/// know it yet.
const MAX_GONE: usize = 4096;

/// Our own readiness.
#[derive(Default)]
pub struct OwnReadiness {
    version: u64,
    /// By VIP: the version of its last change, and its ballot; None: we are not ready.
    vips: BTreeMap<IpAddr, (u64, Option<BallotId>)>,
    changes: BTreeMap<u64, IpAddr>,
    gone: usize,
    /// An agent that knows less than this version has to begin anew: older changes are forgotten.
    forgotten: u64,
}

impl OwnReadiness {
    pub fn version(&self) -> u64 {
        self.version
    }

    /// Sets the VIPs that we are ready for, with their ballots; true if that is a change.
    pub fn set_ready(&mut self, ready: &BTreeMap<IpAddr, BallotId>) -> bool {
        let before = self.version;
        let lost = self.vips.iter().filter(|(vip, (_, ballot))| ballot.is_some() && !ready.contains_key(vip));
        for vip in lost.map(|(vip, _)| *vip).collect::<Vec<_>>() {
            self.set_ballot(vip, None);
        }
        for (vip, ballot) in ready {
            if self.vips.get(vip).is_none_or(|(_, known)| *known != Some(*ballot)) {
                self.set_ballot(*vip, Some(*ballot));
            }
        }
        if self.gone > MAX_GONE {
            self.forget_gone();
        }
        self.version != before
    }

    fn set_ballot(&mut self, vip: IpAddr, ballot: Option<BallotId>) {
        self.version += 1;
        self.gone += usize::from(ballot.is_none());
        if let Some((old, before)) = self.vips.insert(vip, (self.version, ballot)) {
            self.gone -= usize::from(before.is_none());
            self.changes.remove(&old);
        }
        self.changes.insert(self.version, vip);
    }

    fn forget_gone(&mut self) {
        (self.gone, self.forgotten) = (0, self.version);
        self.changes.clear();
        for (vip, (_, ballot)) in std::mem::take(&mut self.vips) {
            if ballot.is_some() {
                self.set_ballot(vip, ballot);
            }
        }
    }

    /// The ballot by which we are ready for the VIP, and the version since which we are; None
    /// if we are not.
    pub fn ready_since(&self, vip: &IpAddr) -> Option<(BallotId, u64)> {
        let (version, ballot) = self.vips.get(vip)?;
        Some(((*ballot)?, *version))
    }

    /// The next part for an agent that knows version `known`.
    pub fn next_update(&self, known: u64) -> ReadinessUpdate {
        let from = if known < self.forgotten || known > self.version { 0 } else { known };
        let mut entries = Vec::new();
        let mut to = self.version;
        for (version, vip) in self.changes.range(from + 1..) {
            let ballot = self.ready_since(vip).map(|(ballot, _)| ballot);
            // An agent that knows nothing need not learn what we are not ready for.
            if from == 0 && ballot.is_none() {
                continue;
            }
            if entries.len() == MAX_ENTRIES {
                to = version - 1;
                break;
            }
            entries.push((*vip, ballot));
        }
        ReadinessUpdate { from, to, entries }
    }
}

/// The readiness of another agent.
#[derive(Default)]
pub struct PeerReadiness {
    known: u64,
    ready: HashMap<IpAddr, BallotId>,
}

impl PeerReadiness {
    pub fn known(&self) -> u64 {
        self.known
    }

    pub fn ballot(&self, vip: &IpAddr) -> Option<BallotId> {
        self.ready.get(vip).copied()
    }

    /// Takes in a part; one that comes twice or out of order is ignored.
    pub fn apply_update(&mut self, update: &ReadinessUpdate) {
        let is_next = update.from == self.known && update.to != self.known;
        let is_first = update.from == 0 && self.known != 0;
        if !is_next && !is_first {
            return;
        }
        if update.from == 0 {
            self.ready.clear();
        }
        for (vip, ballot) in &update.entries {
            match ballot {
                Some(ballot) => self.ready.insert(*vip, *ballot),
                None => self.ready.remove(vip),
            };
        }
        self.known = update.to;
    }
}

#[cfg(test)]
mod tests;
