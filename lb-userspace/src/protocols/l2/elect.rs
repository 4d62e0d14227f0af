//! Which node announces a VIP: the first of its candidates that lives and is ready, in an
//! order that all nodes compute alike (rendezvous hashing, Thaler and Ravishankar 1998).
//! When a candidate comes or goes, only its own VIPs move.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
    time::Instant,
};

use super::{
    CandidateStatus, Candidates, L2Orders, VipStatus, ballot::Ballot, interfaces::Interfaces,
    peers::OtherAgents, timing::GRACE,
};
use crate::hash::{fnv1a, mix};

#[derive(Default)]
pub struct Election {
    me: Arc<str>,
    vips: BTreeMap<IpAddr, VipElection>,
    announced: BTreeSet<IpAddr>,
    /// VIPs that would be ours but for a doubt: the doubt, and since when it holds.
    doubts: BTreeMap<IpAddr, (u64, Instant)>,
}

struct VipElection {
    /// Candidates, the best first.
    ranking: Vec<Arc<str>>,
    candidates: Candidates,
    /// Earlier ballots that agents may still go by, each until when.
    former: Vec<(Arc<Ballot>, Instant)>,
}

/// The VIPs that we begin and cease to announce.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct AnnouncementChanges {
    pub started: Vec<IpAddr>,
    pub stopped: Vec<IpAddr>,
}

impl Election {
    pub fn set_orders(&mut self, wanted: &L2Orders, now: Instant) {
        self.me = wanted.me.clone();
        let mut before = std::mem::take(&mut self.vips);
        let vip = |(vip, candidates): (&IpAddr, &Candidates)| {
            let old = before.remove(vip);
            (*vip, VipElection::new(vip, candidates.clone(), old, now))
        };
        self.vips = wanted.vips.iter().map(vip).collect();
    }

    /// The VIPs that we could announce on the interfaces that are up, with their ballots.
    pub fn announceable(&self, interfaces: &Interfaces) -> BTreeMap<IpAddr, Arc<Ballot>> {
        let ready = self.vips.iter().filter(|(_, vip)| {
            let candidates = &vip.candidates;
            candidates.ready && candidates.ballot.has_node(&self.me) && interfaces.can_announce(candidates)
        });
        ready.map(|(vip, entry)| (*vip, entry.candidates.ballot.clone())).collect()
    }

    /// Elects anew. A VIP with a better candidate is let go at once. A VIP that becomes ours
    /// waits until all other candidates know that we are ready for it, and while there is
    /// a doubt, for `GRACE` at most.
    pub fn decide_owners(&mut self, peers: &OtherAgents, now: Instant) -> AnnouncementChanges {
        let mut changes = AnnouncementChanges::default();
        let mut announced = BTreeSet::new();
        let before = std::mem::take(&mut self.doubts);
        for (vip, entry) in &self.vips {
            let is_ours = entry.owner(&self.me, vip, peers).is_some_and(|owner| *owner == self.me);
            let had = self.announced.contains(vip);
            if !is_ours || !(had || peers.is_known_by_all(vip, &entry.candidates.ballot)) {
                continue;
            }
            if !had && let Some(doubt) = entry.find_doubt(vip, peers, now) {
                let same = before.get(vip).filter(|(old, _)| *old == doubt);
                let since = same.map_or(now, |(_, since)| *since);
                if now < since + GRACE {
                    self.doubts.insert(*vip, (doubt, since));
                    continue;
                }
            }
            announced.insert(*vip);
            if !had {
                changes.started.push(*vip);
            }
        }
        changes.stopped = self.announced.difference(&announced).copied().collect();
        self.announced = announced;
        changes
    }

    /// When to decide anew even if nothing has changed: a doubt has lasted long enough.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.doubts.values().map(|(_, since)| *since + GRACE).min()
    }

    /// The candidates for a VIP; None if we do not announce it.
    pub fn announced_candidates(&self, vip: &IpAddr) -> Option<&Candidates> {
        let entry = self.vips.get(vip).filter(|_| self.announced.contains(vip))?;
        Some(&entry.candidates)
    }

    pub fn announced(&self) -> &BTreeSet<IpAddr> {
        &self.announced
    }

    /// All VIPs with their candidates.
    pub fn vips(&self) -> impl Iterator<Item = (&IpAddr, &Candidates)> {
        self.vips.iter().map(|(vip, entry)| (vip, &entry.candidates))
    }

    pub fn statuses(&self, peers: &OtherAgents, interfaces: &Interfaces) -> Vec<VipStatus> {
        let status = |(vip, entry): (&IpAddr, &VipElection)| VipStatus {
            vip: *vip,
            owner: entry.owner(&self.me, vip, peers).map(|owner| owner.to_string()),
            announcing: self.announced.contains(vip),
            interfaces: interfaces.usable_for(&entry.candidates).map(|name| name.to_string()).collect(),
            faults: interfaces.faults(&entry.candidates),
            candidates: entry.ranking.iter().map(|node| self.candidate_status(node, vip, peers)).collect(),
        };
        // We hear nothing about VIPs whose candidates we do not talk with.
        let is_known = |node: &Arc<str>| *node == self.me || peers.is_known(node);
        self.vips.iter().filter(|(_, entry)| entry.ranking.iter().any(is_known)).map(status).collect()
    }

    fn candidate_status(&self, node: &Arc<str>, vip: &IpAddr, peers: &OtherAgents) -> CandidateStatus {
        let is_me = *node == self.me;
        CandidateStatus {
            node: node.to_string(),
            alive: is_me || peers.is_alive(node),
            ready: if is_me { peers.is_ready_here(vip) } else { peers.is_ready(node, vip) },
        }
    }
}

impl VipElection {
    fn new(vip: &IpAddr, candidates: Candidates, old: Option<Self>, now: Instant) -> Self {
        let Some(mut old) = old else {
            let ranking = rank_nodes(vip, candidates.ballot.nodes());
            // Others may know the VIP by an earlier ballot that we have not seen.
            return Self { ranking, candidates, former: vec![(Arc::default(), now + GRACE)] };
        };
        if old.candidates.ballot != candidates.ballot {
            old.ranking = rank_nodes(vip, candidates.ballot.nodes());
            old.former.retain(|(_, until)| now < *until);
            old.former.push((old.candidates.ballot, now + GRACE));
        }
        Self { candidates, ..old }
    }

    fn owner(&self, me: &Arc<str>, vip: &IpAddr, peers: &OtherAgents) -> Option<&Arc<str>> {
        self.ranking
            .iter()
            .find(|node| if *node == me { peers.is_ready_here(vip) } else { peers.is_candidate(node, vip) })
    }

    fn find_doubt(&self, vip: &IpAddr, peers: &OtherAgents, now: Instant) -> Option<u64> {
        let former = self.former.iter().filter(|(_, until)| now < *until).map(|(ballot, _)| &**ballot);
        peers.find_doubt(vip, self.candidates.ballot.id(), &former.collect::<Vec<_>>())
    }
}

/// The nodes in their order for this VIP, the best first.
pub fn rank_nodes(vip: &IpAddr, nodes: &BTreeSet<Arc<str>>) -> Vec<Arc<str>> {
    let key = fnv1a(&vip.to_string());
    let mut ranking: Vec<_> = nodes.iter().map(|node| (mix(key ^ mix(fnv1a(node))), node)).collect();
    ranking.sort_unstable_by(|a, b| b.cmp(a));
    ranking.into_iter().map(|(_, node)| node.clone()).collect()
}

#[cfg(test)]
mod tests;
