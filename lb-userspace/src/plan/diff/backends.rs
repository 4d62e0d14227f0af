//! Backends and peers, which services and tunnels name.

use std::collections::BTreeSet;

use lb_common::{
    maps::{Backend, Peer},
    ring::NO_BACKEND,
};

use super::DiffBuilder;
use crate::plan::{
    alloc::FreeIds,
    mirror::Mirror,
    op::Op,
    planned::{BackendKey, Plan},
    shortage::Shortage,
};

impl DiffBuilder<'_> {
    pub(super) fn set_backends(&mut self) {
        let held = self.mirror.backends.keys().copied().chain(self.mirror.quarantine.backends());
        let taken = held.chain(self.mirror.uses.backends()).map(u32::from).collect();
        let limit = self.capacity.backends.min(u32::from(u16::MAX) + 1);
        let mut ids = FreeIds::new(u32::from(NO_BACKEND) + 1, limit, taken);
        let looked_up = self.plan.backends.iter().filter(|(key, _)| !self.plan.waiting.contains(key));
        for (key, backend) in looked_up {
            let known = self.backend_ids.get(key).copied();
            let Some(id) = known.or_else(|| ids.take().and_then(|id| u16::try_from(id).ok())) else {
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
        let entries = self.gone.iter().filter(|id| self.mirror.backends.contains_key(id));
        self.diff.cleared.extend(entries.map(|id| Op::ClearBackend(*id)));
    }

    /// After `set_backends`, which gives out the ids that peers name.
    pub(super) fn set_peers(&mut self) {
        let (old, wanted) = (&self.mirror.peers, &self.plan.peers);
        let mut count = wanted.keys().filter(|addr| old.contains_key(addr)).count();
        for (addr, roles) in wanted {
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
        let gone = self.mirror.peers.keys().filter(|addr| !self.plan.peers.contains_key(addr));
        self.diff.shared.extend(gone.map(|addr| Op::DeletePeer(*addr)));
    }
}

/// The ids for which the plan has no backend. Damaged maps, and those of an older agent, may
/// name ids without an entry.
pub(super) fn unplanned_backends(plan: &Plan, mirror: &Mirror) -> BTreeSet<u16> {
    let is_gone = |backend: &Backend| !plan.backends.contains_key(&BackendKey::from_entry(backend));
    let gone = mirror.backends.iter().filter(|(_, backend)| is_gone(backend)).map(|(id, _)| *id);
    gone.chain(mirror.uses.backends().filter(|id| !mirror.backends.contains_key(id))).collect()
}
