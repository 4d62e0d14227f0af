//! Adj-RIB-Out (RFC 4271, 3.2): what a peer is to hold of us, what it holds, and
//! the UPDATEs that make the one the other.

mod export;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use ipnet::IpNet;

pub use export::{Addresses, Path, Session};

use super::{
    config::{Attributes, Leaving, Routes},
    wire::{Family, MAX_MESSAGE, Message, Reach, RefreshKind, RouteRefresh, Update},
};

/// For the time of one session.
pub struct AdjRibOut {
    session: Session,
    desired: BTreeMap<IpNet, Arc<Path>>,
    /// What the peer holds; none: to be told anew.
    sent: BTreeMap<IpNet, Option<Arc<Path>>>,
    withdraw: BTreeMap<Family, BTreeSet<IpNet>>,
    announce: BTreeMap<(Family, Arc<Path>), BTreeSet<IpNet>>,
    /// Routes that can't be told, by the reason why.
    problems: BTreeMap<String, usize>,
    /// Families that still lack End-of-RIB.
    unfinished: BTreeSet<Family>,
    /// No more of the initial routes will come.
    is_complete: bool,
    /// To be told anew, all of it.
    asked: BTreeSet<Family>,
    refreshing: BTreeMap<Family, Refresh>,
}

/// RFC 7313
#[derive(Clone, Copy, PartialEq, Eq)]
enum Refresh {
    Asked,
    Begun,
}

impl AdjRibOut {
    pub fn new(session: Session) -> Self {
        let waits = session.negotiated.graceful_restart;
        let unfinished = session.negotiated.families.iter().filter(|_| waits).copied().collect();
        Self {
            session,
            desired: BTreeMap::new(),
            sent: BTreeMap::new(),
            withdraw: BTreeMap::new(),
            announce: BTreeMap::new(),
            problems: BTreeMap::new(),
            unfinished,
            is_complete: false,
            asked: BTreeSet::new(),
            refreshing: BTreeMap::new(),
        }
    }

    /// `is_complete`: nothing more is to come of what was announced before a restart.
    pub fn want(&mut self, routes: &Routes, leaving: Leaving, is_complete: bool) {
        self.is_complete = is_complete;
        self.problems.clear();
        self.desired.clear();
        if matches!(leaving, Leaving::No | Leaving::Draining) {
            self.export(routes, leaving == Leaving::Draining);
        }
        self.plan();
    }

    /// The peer wants to hear all of a family again.
    pub fn refresh(&mut self, family: Family) {
        if self.session.negotiated.families.contains(&family) {
            self.asked.insert(family);
        }
    }

    /// However often it was asked for, once.
    fn plan_refresh(&mut self) {
        let asked = std::mem::take(&mut self.asked);
        if asked.is_empty() {
            return;
        }
        for (prefix, path) in &mut self.sent {
            if asked.contains(&Family::of(prefix)) {
                *path = None;
            }
        }
        if self.session.negotiated.enhanced_refresh {
            self.refreshing.extend(asked.into_iter().map(|family| (family, Refresh::Asked)));
        }
        self.plan();
    }

    /// The next message to send, which counts as sent.
    pub fn next_message(&mut self) -> Option<Message> {
        self.plan_refresh();
        self.begin_refresh()
            .map(Message::RouteRefresh)
            .or_else(|| self.next_withdrawal().map(Message::Update))
            .or_else(|| self.next_announcement().map(Message::Update))
            .or_else(|| self.end_refresh().map(Message::RouteRefresh))
            .or_else(|| self.end_of_rib().map(Message::Update))
    }

    /// Routes that the peer holds.
    pub fn sent(&self) -> usize {
        self.sent.len()
    }

    /// Routes that it has still to be told of.
    pub fn pending(&self) -> usize {
        self.withdraw.values().map(BTreeSet::len).sum::<usize>()
            + self.announce.values().map(BTreeSet::len).sum::<usize>()
    }

    /// Routes that can't be told, and why.
    pub fn problems(&self) -> impl Iterator<Item = String> {
        self.problems.iter().map(|(why, count)| format!("{count} routes are not announced: {why}"))
    }

    /// Has everything been told, and its end as well?
    pub fn is_finished(&self) -> bool {
        self.is_complete && self.unfinished.is_empty() && self.pending() == 0
    }

    fn export(&mut self, routes: &Routes, is_draining: bool) {
        let mut paths: BTreeMap<(Family, *const Attributes), Result<Arc<Path>, String>> = BTreeMap::new();
        for (prefix, attributes) in routes {
            let family = Family::of(prefix);
            let path = paths
                .entry((family, Arc::as_ptr(attributes)))
                .or_insert_with(|| self.session.path(family, attributes, is_draining).map(Arc::new));
            let path = match path {
                _ if prefix.network().is_multicast() => Err("a multicast prefix is no route to a VIP"),
                Ok(path) => Ok(path.clone()),
                Err(why) => Err(why.as_str()),
            };
            match path {
                Ok(path) => drop(self.desired.insert(*prefix, path)),
                Err(why) => *self.problems.entry(why.to_owned()).or_default() += 1,
            }
        }
    }

    /// What is to be sent follows from what is and what should be.
    fn plan(&mut self) {
        self.withdraw.clear();
        self.announce.clear();
        for prefix in self.sent.keys().filter(|prefix| !self.desired.contains_key(prefix)) {
            self.withdraw.entry(Family::of(prefix)).or_default().insert(*prefix);
        }
        for (prefix, path) in &self.desired {
            if self.sent.get(prefix).and_then(Option::as_ref) != Some(path) {
                self.announce.entry((Family::of(prefix), path.clone())).or_default().insert(*prefix);
            }
        }
    }

    fn next_withdrawal(&mut self) -> Option<Update> {
        let mut entry = self.withdraw.first_entry()?;
        let family = *entry.key();
        // An MP_UNREACH_NLRI needs no more than this beside its prefixes.
        let prefixes = take(entry.get_mut(), MAX_MESSAGE - 32);
        if entry.get().is_empty() {
            entry.remove();
        }
        for prefix in &prefixes {
            self.sent.remove(prefix);
        }
        Some(Update::withdraw(family, prefixes))
    }

    fn next_announcement(&mut self) -> Option<Update> {
        let mut entry = self.announce.first_entry()?;
        let (family, path) = entry.key().clone();
        let prefixes = take(entry.get_mut(), path.room);
        if entry.get().is_empty() {
            entry.remove();
        }
        self.sent.extend(prefixes.iter().map(|prefix| (*prefix, Some(path.clone()))));
        Some(Update::announce(family, Reach { next_hop: path.next_hop, prefixes }, path.attributes.clone()))
    }

    fn begin_refresh(&mut self) -> Option<RouteRefresh> {
        let (family, stage) = self.refreshing.iter_mut().find(|(_, stage)| **stage == Refresh::Asked)?;
        *stage = Refresh::Begun;
        Some(RouteRefresh::new(*family, RefreshKind::Begin))
    }

    /// Once nothing waits any more.
    fn end_refresh(&mut self) -> Option<RouteRefresh> {
        let (family, _) = self.refreshing.pop_first()?;
        Some(RouteRefresh::new(family, RefreshKind::End))
    }

    fn end_of_rib(&mut self) -> Option<Update> {
        let family = self.is_complete.then(|| self.unfinished.pop_first()).flatten()?;
        Some(Update::end_of_rib(family))
    }
}

/// As many prefixes as have room, one at least.
fn take(prefixes: &mut BTreeSet<IpNet>, mut room: usize) -> Vec<IpNet> {
    let mut taken = Vec::new();
    while let Some(prefix) = prefixes.first() {
        let size = 1 + usize::from(prefix.prefix_len().div_ceil(8));
        if size > room && !taken.is_empty() {
            break;
        }
        room = room.saturating_sub(size);
        taken.extend(prefixes.pop_first());
    }
    taken
}

#[cfg(test)]
mod tests;
