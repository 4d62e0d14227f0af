//! What the maps hold, as far as the agent writes them. Mirrors the kernel: every [`Op`]
//! goes to both.

mod endpoint_slots;
mod pinned;
mod slab;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use imbl::OrdMap;
use lb_common::{
    Addr,
    maps::{Backend, EndpointKey, Peer, Service, ServiceKey, Vip, service_flags},
    ring::Owners,
};

use super::{
    op::{Entry, Op},
    planned::{BackendKey, PlannedService},
    policy::SourceRange,
    quarantine::{Quarantine, Sweeps},
    uses::{self, Uses},
};

pub use endpoint_slots::{EndpointSlots, FreeSlots};
pub use slab::SlabMirror;

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

impl Capacity {
    pub const fn endpoint_slots(&self) -> u32 {
        EndpointSlots::needed_for(self.endpoints)
    }
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
    /// The slots of the endpoints that take new flows.
    pub endpoints: OrdMap<EndpointKey, u32>,
    pub endpoint_slots: EndpointSlots,
    /// By the id of the service; none is empty.
    pub ranges: OrdMap<u32, BTreeSet<SourceRange>>,
    pub rings: SlabMirror<u16>,
    /// The owners and former owners of slots.
    pub histories: SlabMirror<Owners>,
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
    /// Slots that got another owner since the agent started, or since a change of the service failed.
    pub moved: usize,
}

impl Written {
    pub fn is_as_planned(&self, planned: &Arc<PlannedService>) -> bool {
        self.is_whole && (Arc::ptr_eq(&self.planned, planned) || self.planned == *planned)
    }
}

impl Mirror {
    /// The backends that lists of owners name.
    pub fn former_owners(&self) -> BTreeSet<BackendKey> {
        let ids: BTreeSet<u16> = self
            .histories
            .named()
            .flat_map(|(_, slots)| slots.iter())
            .flat_map(|owners| owners.ids)
            .collect();
        ids.iter().filter_map(|id| self.backends.get(id)).map(BackendKey::from_entry).collect()
    }

    /// The ring of a service that has one.
    pub fn ring_of(&self, service: &Service) -> Option<&Arc<[u16]>> {
        self.rings.get(service.ring_offset, service.ring_len)
    }

    /// The history of a service that has one.
    pub fn history_of(&self, service: &Service) -> Option<&Arc<[Owners]>> {
        self.histories.get(service.history_offset, service.ring_len)
    }

    /// Are the slots there that the service names, or is to name?
    pub fn has_slots(&self, service: &Service) -> bool {
        let Service { ring_offset, history_offset, ring_len, .. } = *service;
        (ring_offset == 0 || self.rings.can_be_named(ring_offset, ring_len))
            && (history_offset == 0 || self.histories.can_be_named(history_offset, ring_len))
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
            Op::WriteRing { offset, slots } => self.rings.write(*offset, slots.clone()),
            Op::WriteHistory { offset, owners } => self.histories.write(*offset, owners.clone()),
            Op::SetEndpointSlot(slot, entry) => self.endpoint_slots.set(*slot, *entry),
            Op::SetEndpoint(key, slot) => drop(self.endpoints.insert(*key, *slot)),
            Op::SetRange(service, range) => drop(self.ranges.entry(*service).or_default().insert(*range)),
            Op::SetVip(addr, vip) => drop(self.vips.insert(*addr, *vip)),
            Op::SetService(key, service) => self.set_service(*key, *service),
            Op::DeleteService(key) => self.delete_service(key),
            Op::DeleteVip(addr) => drop(self.vips.remove(addr)),
            Op::DeleteEndpoint(key) => drop(self.endpoints.remove(key)),
            Op::ClearEndpointSlot(slot, cleared) => self.endpoint_slots.clear(*slot, *cleared),
            Op::DeleteRange(service, range) => self.delete_range(*service, range),
            Op::ClearBackend(id) => {
                self.clear_backend(*id);
                self.quarantine.add_backend(*id);
            }
            Op::DeletePeer(addr) => self.delete_peer(addr),
            Op::ForgetUnheld => self.quarantine.needs_sweep = false,
            Op::ResetServiceStats(_) | Op::ResetBackendStats(_) => {}
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

    /// Finds out what is in the slots that services name: `ring` and `history` read it, by offset and
    /// length.
    pub fn adopt_slots(
        &mut self,
        ring: impl Fn(u32, u32) -> Option<Arc<[u16]>>,
        history: impl Fn(u32, u32) -> Option<Arc<[Owners]>>,
    ) {
        for service in self.services.values().copied().collect::<Vec<_>>() {
            self.rings.adopt(service.ring_offset, service.ring_len, &ring);
            self.histories.adopt(service.history_offset, service.ring_len, &history);
            self.name_slots(&service);
        }
    }

    /// The entry may not be what `op`, its last change, has made of it: it is to be made again. But slots that
    /// nobody names any more are left as they are, since the backends that they name may be gone.
    pub fn doubt(&mut self, entry: Entry, op: Op) {
        match entry {
            Entry::Ring(offset) if !self.rings.is_named(offset) => self.rings.hide(offset),
            Entry::History(offset) if !self.histories.is_named(offset) => self.histories.hide(offset),
            _ => drop(self.unproven.insert(entry, op)),
        }
    }

    /// Frees what has rested since the last call, see [`Quarantine::release_oldest`]. True if anything was
    /// freed.
    pub fn release_oldest(&mut self, sweeps: Sweeps) -> bool {
        let has_freed = [
            self.rings.release_oldest(),
            self.histories.release_oldest(),
            self.endpoint_slots.release_oldest(),
            self.quarantine.release_oldest(sweeps),
        ];
        has_freed.contains(&true)
    }

    /// Does anything rest?
    pub fn has_resting(&self) -> bool {
        !self.quarantine.is_empty()
            || self.rings.has_resting()
            || self.histories.has_resting()
            || self.endpoint_slots.has_resting()
    }

    fn delete_peer(&mut self, addr: &Addr) {
        let old = self.peers.remove(addr);
        self.uses.remove(old.as_ref().and_then(uses::peer_backend));
    }

    /// Deletions of endpoints that no service counts, of slots whose service is not there, and of ranges that
    /// none asks for: a change failed, or an agent was killed, between two ops.
    pub fn orphan_deletions(&self) -> Vec<Op> {
        let asking = self.services.values().filter(|service| service.flags & service_flags::RANGES != 0);
        let asking: BTreeSet<u32> = asking.map(|service| service.id).collect();
        let ranges = self.ranges.iter().filter(|(service, _)| !asking.contains(service));
        let ranges =
            ranges.flat_map(|(service, ranges)| ranges.iter().map(|range| Op::DeleteRange(*service, *range)));
        let counts: BTreeMap<u32, u32> = self.services.values().map(|s| (s.id, s.endpoints)).collect();
        let counted = |key: &EndpointKey| counts.get(&key.service).is_some_and(|count| key.index < *count);
        let endpoints = self.endpoints.keys().filter(|key| !counted(key));
        let slots = self.endpoint_slots.held().filter(|(_, held)| !counts.contains_key(&held.service));
        let slots = slots.map(|(slot, held)| Op::ClearEndpointSlot(slot, held.cleared()));
        endpoints.map(|key| Op::DeleteEndpoint(*key)).chain(slots).chain(ranges).collect()
    }

    fn set_service(&mut self, key: ServiceKey, service: Service) {
        self.name_slots(&service);
        if let Some(old) = self.services.insert(key, service) {
            self.leave_slots(&old);
        }
    }

    fn delete_service(&mut self, key: &ServiceKey) {
        if let Some(old) = self.services.remove(key) {
            self.leave_slots(&old);
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

    fn name_slots(&mut self, service: &Service) {
        let ring = self.rings.add_name(service.ring_offset, service.ring_len);
        let history = self.histories.add_name(service.history_offset, service.ring_len);
        self.uses.add(ring.iter().flat_map(|slots| uses::ring_backends(slots)));
        self.uses.add(history.iter().flat_map(|owners| uses::history_backends(owners)));
    }

    fn leave_slots(&mut self, service: &Service) {
        let (ring, history) = (service.ring_offset, service.history_offset);
        if let Some(slots) = self.rings.remove_name(ring, service.ring_len) {
            self.uses.remove(uses::ring_backends(&slots));
            self.doubt_no_more(Entry::Ring(ring));
        }
        if let Some(owners) = self.histories.remove_name(history, service.ring_len) {
            self.uses.remove(uses::history_backends(&owners));
            self.doubt_no_more(Entry::History(history));
        }
    }

    /// Nobody names these slots any more.
    fn doubt_no_more(&mut self, entry: Entry) {
        if let Some(op) = self.unproven.remove(&entry) {
            self.doubt(entry, op);
        }
    }
}
