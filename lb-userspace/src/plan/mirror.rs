//! What the maps hold, as far as the agent writes them. Mirrors the kernel: every [`Op`]
//! goes to both.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use imbl::OrdMap;
use lb_common::{
    Addr,
    maps::{Backend, Endpoint, EndpointKey, Peer, Service, ServiceKey, Vip, service_flags},
    ring::Owners,
};

use super::{
    op::{Entry, Op},
    planned::{BackendKey, PlannedService},
    policy::SourceRange,
    quarantine::Quarantine,
    uses::{self, Uses},
};

/// How many entries the maps have room for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Capacity {
    pub services: u32,
    pub backends: u32,
    pub endpoints: u32,
    pub ring_slots: u32,
    pub history_slots: u32,
    pub ranges: u32,
    pub vips: u32,
    pub peers: u32,
}

/// The contents of the maps that the control plane writes. Cheap to copy: its maps share what is the same.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Mirror {
    pub services: OrdMap<ServiceKey, Service>,
    pub vips: OrdMap<Addr, Vip>,
    pub peers: OrdMap<Addr, Peer>,
    /// Entries that are not empty.
    pub backends: OrdMap<u16, Backend>,
    /// Where to find them.
    pub backend_ids: OrdMap<BackendKey, u16>,
    pub endpoints: OrdMap<EndpointKey, Endpoint>,
    /// By the id of the service; none is empty.
    pub ranges: OrdMap<u32, BTreeSet<SourceRange>>,
    /// By offset: the rings that services name.
    pub rings: OrdMap<u32, Arc<[u16]>>,
    /// By offset: the owners and former owners of slots that services name.
    pub histories: OrdMap<u32, Arc<[Owners]>>,
    /// What each service was written from; unknown after an adoption.
    pub written: OrdMap<ServiceKey, Written>,
    pub uses: Uses,
    /// What could not be read back as it had been written: the changes to make again.
    pub unproven: BTreeMap<Entry, Op>,
    /// Changes that have failed since all was tried anew.
    pub failed: BTreeMap<Entry, Op>,
    pub quarantine: Quarantine,
}

/// What a service was written from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Written {
    pub planned: Arc<PlannedService>,
    /// False: backends are missing in its ring, for which there was no room.
    pub is_whole: bool,
}

impl Written {
    pub fn is_as_planned(&self, planned: &Arc<PlannedService>) -> bool {
        self.is_whole && (Arc::ptr_eq(&self.planned, planned) || self.planned == *planned)
    }
}

impl Mirror {
    /// The backends that lists of owners name.
    pub fn former_owners(&self) -> BTreeSet<BackendKey> {
        let ids: BTreeSet<u16> =
            self.histories.values().flat_map(|slots| slots.iter()).flat_map(|owners| owners.ids).collect();
        ids.iter().filter_map(|id| self.backends.get(id)).map(BackendKey::from_entry).collect()
    }

    /// The keys of all endpoints that there are under a service's id.
    pub fn endpoint_keys(&self, service: u32) -> impl Iterator<Item = EndpointKey> {
        let all = EndpointKey { service, index: 0 }..=EndpointKey { service, index: u32::MAX };
        self.endpoints.range(all).map(|(key, _)| *key)
    }

    /// What `op` makes of the maps.
    pub fn apply(&mut self, op: &Op) {
        if let Some(entry) = op.entry() {
            self.unproven.remove(&entry);
            self.failed.remove(&entry);
        }
        match op {
            Op::SetPeer(addr, peer) => self.set_peer(*addr, *peer),
            Op::SetBackend(id, backend) => self.set_backend(*id, *backend),
            Op::WriteRing { offset, slots } => self.set_ring(*offset, slots.clone()),
            Op::WriteHistory { offset, owners } => self.set_history(*offset, owners.clone()),
            Op::SetEndpoint(key, endpoint) => drop(self.endpoints.insert(*key, *endpoint)),
            Op::SetRange(service, range) => drop(self.ranges.entry(*service).or_default().insert(*range)),
            Op::SetVip(addr, vip) => drop(self.vips.insert(*addr, *vip)),
            Op::SetService(key, service) => self.set_service(*key, *service),
            Op::DeleteService(key) => self.delete_service(key),
            Op::DeleteVip(addr) => drop(self.vips.remove(addr)),
            Op::DeleteEndpoint(key) => drop(self.endpoints.remove(key)),
            Op::DeleteRange(service, range) => self.delete_range(*service, range),
            Op::ClearBackend(id) => {
                self.clear_backend(*id);
                self.quarantine.add_backend(*id);
            }
            Op::DeletePeer(addr) => self.delete_peer(addr),
            Op::ForgetUnheld => self.quarantine.needs_sweep = false,
            Op::ForgetOtherEndpoints { .. } | Op::ResetServiceStats(_) | Op::ResetBackendStats(_) => {}
        }
    }

    pub fn set_backend(&mut self, id: u16, backend: Backend) {
        self.clear_backend(id);
        self.backends.insert(id, backend);
        self.backend_ids.insert(BackendKey::from_entry(&backend), id);
    }

    fn clear_backend(&mut self, id: u16) {
        if let Some(old) = self.backends.remove(&id) {
            let key = BackendKey::from_entry(&old);
            if self.backend_ids.get(&key) == Some(&id) {
                self.backend_ids.remove(&key);
            }
        }
    }

    pub fn set_peer(&mut self, addr: Addr, peer: Peer) {
        let old = self.peers.insert(addr, peer);
        self.uses.add(uses::peer_backend(&peer));
        self.uses.remove(old.as_ref().and_then(uses::peer_backend));
    }

    pub fn set_ring(&mut self, offset: u32, slots: Arc<[u16]>) {
        self.uses.add(uses::ring_backends(&slots));
        if let Some(old) = self.rings.insert(offset, slots) {
            self.uses.remove(uses::ring_backends(&old));
        }
    }

    pub fn set_history(&mut self, offset: u32, owners: Arc<[Owners]>) {
        self.uses.add(uses::history_backends(&owners));
        if let Some(old) = self.histories.insert(offset, owners) {
            self.uses.remove(uses::history_backends(&old));
        }
    }

    fn delete_peer(&mut self, addr: &Addr) {
        let old = self.peers.remove(addr);
        self.uses.remove(old.as_ref().and_then(uses::peer_backend));
    }

    fn remove_ring(&mut self, offset: u32) {
        self.unproven.remove(&Entry::Ring(offset));
        if let Some(old) = self.rings.remove(&offset) {
            self.uses.remove(uses::ring_backends(&old));
        }
    }

    fn remove_history(&mut self, offset: u32) {
        self.unproven.remove(&Entry::History(offset));
        if let Some(old) = self.histories.remove(&offset) {
            self.uses.remove(uses::history_backends(&old));
        }
    }

    /// Forgets rings and histories that no service names: a change failed after they were written.
    pub fn forget_unnamed_slots(&mut self) {
        let named: BTreeSet<u32> = self.services.values().map(|service| service.ring_offset).collect();
        let unnamed: Vec<u32> = self.rings.keys().copied().filter(|at| !named.contains(at)).collect();
        unnamed.into_iter().for_each(|offset| self.remove_ring(offset));
        let named: BTreeSet<u32> = self.services.values().map(|service| service.history_offset).collect();
        let unnamed: Vec<u32> = self.histories.keys().copied().filter(|at| !named.contains(at)).collect();
        unnamed.into_iter().for_each(|offset| self.remove_history(offset));
    }

    /// Deletions of endpoints that no service counts and of ranges that none
    /// asks for: a change failed, or an agent was killed, between two ops.
    pub fn orphan_deletions(&self) -> Vec<Op> {
        let asking = self.services.values().filter(|service| service.flags & service_flags::RANGES != 0);
        let asking: BTreeSet<u32> = asking.map(|service| service.id).collect();
        let ranges = self.ranges.iter().filter(|(service, _)| !asking.contains(service));
        let ranges =
            ranges.flat_map(|(service, ranges)| ranges.iter().map(|range| Op::DeleteRange(*service, *range)));
        let counts: BTreeMap<u32, u32> = self.services.values().map(|s| (s.id, s.endpoints)).collect();
        let counted = |key: &EndpointKey| counts.get(&key.service).is_some_and(|count| key.index < *count);
        let endpoints = self.endpoints.keys().filter(|key| !counted(key));
        endpoints.map(|key| Op::DeleteEndpoint(*key)).chain(ranges).collect()
    }

    fn set_service(&mut self, key: ServiceKey, service: Service) {
        if let Some(old) = self.services.insert(key, service) {
            if old.ring_offset != service.ring_offset {
                self.retire_ring(&old);
            }
            if old.history_offset != service.history_offset {
                self.retire_history(&old);
            }
        }
    }

    fn delete_service(&mut self, key: &ServiceKey) {
        if let Some(old) = self.services.remove(key) {
            self.retire_ring(&old);
            self.retire_history(&old);
            self.quarantine.add_service(old.id);
        }
        self.written.remove(key);
    }

    fn delete_range(&mut self, service: u32, range: &SourceRange) {
        if let Some(ranges) = self.ranges.get_mut(&service) {
            ranges.remove(range);
            if ranges.is_empty() {
                self.ranges.remove(&service);
            }
        }
    }

    fn retire_ring(&mut self, service: &Service) {
        if service.ring_offset > 0 {
            self.remove_ring(service.ring_offset);
            self.quarantine.add_ring(service.ring_offset, service.ring_len);
        }
    }

    fn retire_history(&mut self, service: &Service) {
        if service.history_offset > 0 {
            self.remove_history(service.history_offset);
            self.quarantine.add_history(service.history_offset, service.ring_len);
        }
    }
}
