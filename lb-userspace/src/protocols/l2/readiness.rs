//! Which VIPs an agent is ready for, and by which ballots, as others learn it: in versions, so that
//! after a change only the change is told, and in parts that fit a datagram,
//! each acknowledged before the next.

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
};

use super::{
    ballot::BallotId,
    hello::{MAX_ENTRIES, Update},
};

/// VIPs we are not ready for any longer that are remembered, for the sake of
/// those who have not heard of it.
const MAX_GONE: usize = 4096;

/// Ours.
#[derive(Default)]
pub struct Ours {
    version: u64,
    /// By VIP, when that changed last, and to what.
    vips: BTreeMap<IpAddr, (u64, Option<BallotId>)>,
    changes: BTreeMap<u64, IpAddr>,
    gone: usize,
    /// Who knows less than this has to begin anew; all that is left is newer.
    forgotten: u64,
}

impl Ours {
    pub fn version(&self) -> u64 {
        self.version
    }

    /// True if it is a change.
    pub fn set(&mut self, ready: &BTreeMap<IpAddr, BallotId>) -> bool {
        let before = self.version;
        let lost = self.vips.iter().filter(|(vip, (_, ballot))| ballot.is_some() && !ready.contains_key(vip));
        for vip in lost.map(|(vip, _)| *vip).collect::<Vec<_>>() {
            self.change(vip, None);
        }
        for (vip, ballot) in ready {
            if self.vips.get(vip).is_none_or(|(_, known)| *known != Some(*ballot)) {
                self.change(*vip, Some(*ballot));
            }
        }
        if self.gone > MAX_GONE {
            self.forget();
        }
        self.version != before
    }

    fn change(&mut self, vip: IpAddr, ballot: Option<BallotId>) {
        self.version += 1;
        self.gone += usize::from(ballot.is_none());
        if let Some((old, before)) = self.vips.insert(vip, (self.version, ballot)) {
            self.gone -= usize::from(before.is_none());
            self.changes.remove(&old);
        }
        self.changes.insert(self.version, vip);
    }

    fn forget(&mut self) {
        (self.gone, self.forgotten) = (0, self.version);
        self.changes.clear();
        for (vip, (_, ballot)) in std::mem::take(&mut self.vips) {
            if ballot.is_some() {
                self.change(vip, ballot);
            }
        }
    }

    /// By which ballot we are ready for it, and since when; none: we are not.
    pub fn since(&self, vip: &IpAddr) -> Option<(BallotId, u64)> {
        let (version, ballot) = self.vips.get(vip)?;
        Some(((*ballot)?, *version))
    }

    /// The next part for somebody who knows that much.
    pub fn update(&self, known: u64) -> Update {
        let from = if known < self.forgotten || known > self.version { 0 } else { known };
        let mut entries = Vec::new();
        let mut to = self.version;
        for (version, vip) in self.changes.range(from + 1..) {
            let ballot = self.since(vip).map(|(ballot, _)| ballot);
            // Who knows nothing need not hear of what is not.
            if from == 0 && ballot.is_none() {
                continue;
            }
            if entries.len() == MAX_ENTRIES {
                to = version - 1;
                break;
            }
            entries.push((*vip, ballot));
        }
        Update { from, to, entries }
    }
}

/// Somebody else's.
#[derive(Default)]
pub struct Theirs {
    known: u64,
    ready: HashMap<IpAddr, BallotId>,
}

impl Theirs {
    pub fn known(&self) -> u64 {
        self.known
    }

    pub fn ballot(&self, vip: &IpAddr) -> Option<BallotId> {
        self.ready.get(vip).copied()
    }

    /// What comes twice, or before its turn, is of no account.
    pub fn learn(&mut self, update: &Update) {
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
