//! Backends and peers, which services and tunnels name.

use std::collections::BTreeSet;

use lb_common::{
    maps::{Backend, Peer},
    ring::NO_BACKEND,
};

use super::{DiffBuilder, scope::Scope};
use crate::plan::{
    alloc::FreeIds,
    mirror::{Capacity, Mirror},
    op::Op,
    planned::{BackendKey, Plan},
    shortage::Shortage,
};

impl DiffBuilder<'_> {
    pub(super) fn set_backends(&mut self) {
        let mut ids: Option<FreeIds> = None;
        let entries = self.scope.entries(|changes| &changes.backends, &self.plan.backends);
        let looked_up = entries.filter(|(key, _)| !self.plan.waiting.contains(key));
        for (key, backend) in looked_up {
            let known = self.backend_ids.get(key).copied();
            let mut next = || ids.get_or_insert_with(|| free_backend_ids(self.mirror, self.capacity)).take();
            let Some(id) = known.or_else(|| next().and_then(|id| u16::try_from(id).ok())) else {
                self.diff.shortages.push(Shortage::Backends(key.addr));
                continue;
            };
            self.backend_ids.insert(*key, id);
            let old = self.mirror.backends.get(&id);
            if old.is_none() {
                self.diff.shared.push(Op::ResetBackendStats(id));
            }
            if old != Some(backend) {
                self.diff.shared.push(Op::SetBackend(id, *backend));
            }
        }
    }

    /// The backends that the plan does not have. Those that a ring or a history still names,
    /// because its service could not be changed, are to be kept when this is carried out.
    pub(super) fn clear_backends(&mut self) {
        let entries = self.gone.iter().filter(|id| self.mirror.backends.contains_key(*id));
        self.diff.cleared.extend(entries.map(|id| Op::ClearBackend(*id)));
    }

    /// After `set_backends`, which gives out the ids that peers name.
    pub(super) fn set_peers(&mut self) {
        let (old, wanted) = (&self.mirror.peers, &self.plan.peers);
        let is_deleted = |op: &&Op| matches!(op, Op::DeletePeer(_));
        let mut count = old.len() - self.diff.shared.iter().filter(is_deleted).count();
        for (addr, roles) in self.scope.entries(|changes| &changes.peers, wanted) {
            let id = self.backend_ids.get(&BackendKey::fellow_node(*addr));
            let id = id.filter(|id| !self.gone.contains(id)).copied().unwrap_or(NO_BACKEND);
            let peer = Peer { roles: *roles, backend: u32::from(id) };
            if old.get(addr) == Some(&peer) {
                continue;
            }
            if !old.contains_key(addr) {
                if count >= self.capacity.peers as usize {
                    self.diff.shortages.push(Shortage::Peers(*addr));
                    continue;
                }
                count += 1;
            }
            self.diff.shared.push(Op::SetPeer(*addr, peer));
        }
    }

    pub(super) fn delete_peers(&mut self) {
        let entries = self.scope.entries(|changes| &changes.peers, &self.mirror.peers);
        let gone = entries.map(|(addr, _)| *addr).filter(|addr| !self.plan.peers.contains_key(addr));
        self.diff.shared.extend(gone.map(Op::DeletePeer));
    }
}

fn free_backend_ids(mirror: &Mirror, capacity: Capacity) -> FreeIds {
    let held = mirror.backends.keys().copied().chain(mirror.quarantine.backends());
    let taken = held.chain(mirror.uses.backends()).map(u32::from).collect();
    let limit = capacity.backends.min(u32::from(u16::MAX) + 1);
    FreeIds::new(u32::from(NO_BACKEND) + 1, limit, taken)
}

/// The ids for which the plan has no backend. Damaged maps, and those of an older agent, may
/// name ids without an entry.
pub(super) fn unplanned_backends(scope: &Scope, plan: &Plan, mirror: &Mirror) -> BTreeSet<u16> {
    if let Scope::Only(changes) = scope {
        let gone = changes.backends.iter().filter(|key| !plan.backends.contains_key(*key));
        return gone.filter_map(|key| mirror.backend_ids.get(key).copied()).collect();
    }
    let is_gone = |backend: &Backend| !plan.backends.contains_key(&BackendKey::from_entry(backend));
    let gone = mirror.backends.iter().filter(|(_, backend)| is_gone(backend)).map(|(id, _)| *id);
    gone.chain(mirror.uses.backends().filter(|id| !mirror.backends.contains_key(id))).collect()
}
