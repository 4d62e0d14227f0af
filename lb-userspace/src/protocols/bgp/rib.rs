//! Adj-RIB-Out (RFC 4271, section 3.2): the routes that a peer is to have from us, the routes
//! that it has, and the UPDATEs that lead from the latter to the former.

mod export;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use ipnet::IpNet;

pub use export::{ExportSession, ExportedPath, LocalAddresses};

use super::{
    config::{Attributes, Leaving, Routes},
    wire::{Family, MAX_MESSAGE, Message, ReachableRoutes, RefreshKind, RouteRefresh, Update},
};

/// The routes announced on one session.
pub struct AdjRibOut {
    session: ExportSession,
    desired: BTreeMap<IpNet, Arc<ExportedPath>>,
    /// The routes that the peer has; None: to be sent again.
    sent: BTreeMap<IpNet, Option<Arc<ExportedPath>>>,
    withdraw: BTreeMap<Family, BTreeSet<IpNet>>,
    announce: BTreeMap<(Family, Arc<ExportedPath>), BTreeSet<IpNet>>,
    /// The number of routes that can't be announced, by reason.
    problems: BTreeMap<String, usize>,
    /// Families that still lack End-of-RIB.
    unfinished: BTreeSet<Family>,
    /// No more of the initial routes will come.
    is_complete: bool,
    /// Families whose routes the peer has asked for again.
    refresh_requested: BTreeSet<Family>,
    refreshing: BTreeMap<Family, RefreshStage>,
}

/// The stage of an enhanced route refresh (RFC 7313).
#[derive(Clone, Copy, PartialEq, Eq)]
enum RefreshStage {
    Requested,
    Begun,
}

impl AdjRibOut {
    pub fn new(session: ExportSession) -> Self {
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
            refresh_requested: BTreeSet::new(),
            refreshing: BTreeMap::new(),
        }
    }

    /// Sets the routes that the peer is to have. `is_complete`: they include all that is to stay
    /// of what was announced before a restart.
    pub fn set_desired(&mut self, routes: &Routes, leaving: Leaving, is_complete: bool) {
        self.is_complete = is_complete;
        self.problems.clear();
        self.desired.clear();
        if matches!(leaving, Leaving::No | Leaving::Draining) {
            self.export_routes(routes, leaving == Leaving::Draining);
        }
        self.plan_changes();
    }

    /// The peer asks for all routes of a family again.
    pub fn request_refresh(&mut self, family: Family) {
        if self.session.negotiated.families.contains(&family) {
            self.refresh_requested.insert(family);
        }
    }

    /// Begins the refresh of all families that were asked for; several requests count as one.
    fn plan_refresh(&mut self) {
        let asked = std::mem::take(&mut self.refresh_requested);
        if asked.is_empty() {
            return;
        }
        for (prefix, path) in &mut self.sent {
            if asked.contains(&Family::of_prefix(prefix)) {
                *path = None;
            }
        }
        if self.session.negotiated.enhanced_refresh {
            self.refreshing.extend(asked.into_iter().map(|family| (family, RefreshStage::Requested)));
        }
        self.plan_changes();
    }

    /// The next message to send. It counts as sent; None if there is none.
    pub fn next_message(&mut self) -> Option<Message> {
        self.plan_refresh();
        self.begin_refresh()
            .map(Message::RouteRefresh)
            .or_else(|| self.next_withdrawal().map(Message::Update))
            .or_else(|| self.next_announcement().map(Message::Update))
            .or_else(|| self.end_refresh().map(Message::RouteRefresh))
            .or_else(|| self.end_of_rib().map(Message::Update))
    }

    /// The number of routes that the peer has.
    pub fn sent_count(&self) -> usize {
        self.sent.len()
    }

    /// The number of routes that are still to be announced or withdrawn.
    pub fn pending_count(&self) -> usize {
        self.withdraw.values().map(BTreeSet::len).sum::<usize>()
            + self.announce.values().map(BTreeSet::len).sum::<usize>()
    }

    /// How many routes can't be announced, and why, for people.
    pub fn problems(&self) -> impl Iterator<Item = String> {
        self.problems.iter().map(|(why, count)| format!("{count} routes are not announced: {why}"))
    }

    /// Have all routes and End-of-RIB been sent?
    pub fn is_finished(&self) -> bool {
        self.is_complete && self.unfinished.is_empty() && self.pending_count() == 0
    }

    fn export_routes(&mut self, routes: &Routes, is_draining: bool) {
        let mut paths: BTreeMap<(Family, *const Attributes), Result<Arc<ExportedPath>, String>> =
            BTreeMap::new();
        for (prefix, attributes) in routes {
            let family = Family::of_prefix(prefix);
            let path = paths
                .entry((family, Arc::as_ptr(attributes)))
                .or_insert_with(|| self.session.export_path(family, attributes, is_draining).map(Arc::new));
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

    /// Computes what to send, from the routes the peer has and those it is to have.
    fn plan_changes(&mut self) {
        self.withdraw.clear();
        self.announce.clear();
        for prefix in self.sent.keys().filter(|prefix| !self.desired.contains_key(prefix)) {
            self.withdraw.entry(Family::of_prefix(prefix)).or_default().insert(*prefix);
        }
        for (prefix, path) in &self.desired {
            if self.sent.get(prefix).and_then(Option::as_ref) != Some(path) {
                self.announce.entry((Family::of_prefix(prefix), path.clone())).or_default().insert(*prefix);
            }
        }
    }

    fn next_withdrawal(&mut self) -> Option<Update> {
        let mut entry = self.withdraw.first_entry()?;
        let family = *entry.key();
        // Without its prefixes, an UPDATE with an MP_UNREACH_NLRI is no longer than 32 bytes.
        let prefixes = take_prefixes(entry.get_mut(), MAX_MESSAGE - 32);
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
        let prefixes = take_prefixes(entry.get_mut(), path.room);
        if entry.get().is_empty() {
            entry.remove();
        }
        self.sent.extend(prefixes.iter().map(|prefix| (*prefix, Some(path.clone()))));
        Some(Update::announce(
            family,
            ReachableRoutes { next_hop: path.next_hop, prefixes },
            path.attributes.clone(),
        ))
    }

    fn begin_refresh(&mut self) -> Option<RouteRefresh> {
        let (family, stage) =
            self.refreshing.iter_mut().find(|(_, stage)| **stage == RefreshStage::Requested)?;
        *stage = RefreshStage::Begun;
        Some(RouteRefresh::new(*family, RefreshKind::Begin))
    }

    /// The end of a refresh; to be called when no route waits to be sent.
    fn end_refresh(&mut self) -> Option<RouteRefresh> {
        let (family, _) = self.refreshing.pop_first()?;
        Some(RouteRefresh::new(family, RefreshKind::End))
    }

    fn end_of_rib(&mut self) -> Option<Update> {
        let family = self.is_complete.then(|| self.unfinished.pop_first()).flatten()?;
        Some(Update::end_of_rib(family))
    }
}

/// Takes as many prefixes as fit into `room` bytes, one at least.
fn take_prefixes(prefixes: &mut BTreeSet<IpNet>, mut room: usize) -> Vec<IpNet> {
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
