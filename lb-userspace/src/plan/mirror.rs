//! What the maps hold, as far as the agent writes them, and the changes that
//! can be made to it. Mirrors the kernel: every [`Op`] goes to both.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use lb_common::{
    Addr,
    maps::{Backend, Endpoint, EndpointKey, Peer, Service, ServiceKey, Vip, service_flags},
    ring::{NO_BACKEND, Owners},
};

use super::{
    planned::{BackendKey, PlannedService},
    policy::SourceRange,
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

/// The contents of the maps that the control plane writes.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Mirror {
    pub services: BTreeMap<ServiceKey, Service>,
    pub vips: BTreeMap<Addr, Vip>,
    pub peers: BTreeMap<Addr, Peer>,
    /// Entries that are not empty.
    pub backends: BTreeMap<u16, Backend>,
    pub endpoints: BTreeMap<EndpointKey, Endpoint>,
    /// By the id of the service; none is empty.
    pub ranges: BTreeMap<u32, BTreeSet<SourceRange>>,
    /// By offset: the rings that services name.
    pub rings: BTreeMap<u32, Arc<[u16]>>,
    /// By offset: the owners and former owners of slots that services name.
    pub histories: BTreeMap<u32, Arc<[Owners]>>,
    /// What each service was written from; unknown after an adoption.
    pub written: BTreeMap<ServiceKey, Written>,
    /// Services whose entry something else has changed: it has to be written again.
    pub overwritten: BTreeSet<ServiceKey>,
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

/// Ids and ranges that no entry names any more, but a program at work on a packet may
/// have read: not to be used again yet.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Quarantine {
    /// Retired since `old` was freed last.
    young: Retired,
    old: Retired,
}

/// Ids, and ranges of the slabs, that were in use until a moment ago.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Retired {
    pub backends: BTreeSet<u16>,
    pub services: BTreeSet<u32>,
    /// Offset to number of slots.
    pub rings: BTreeMap<u32, u32>,
    /// The same in `HISTORY`.
    pub histories: BTreeMap<u32, u32>,
}

/// One change of one map.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Op {
    SetPeer(Addr, Peer),
    SetBackend(u16, Backend),
    WriteRing {
        offset: u32,
        slots: Arc<[u16]>,
    },
    WriteHistory {
        offset: u32,
        owners: Arc<[Owners]>,
    },
    SetEndpoint(EndpointKey, Endpoint),
    /// A service, by its id, admits these clients.
    SetRange(u32, SourceRange),
    SetVip(Addr, Vip),
    SetService(ServiceKey, Service),
    DeleteService(ServiceKey),
    DeleteVip(Addr),
    DeleteEndpoint(EndpointKey),
    DeleteRange(u32, SourceRange),
    ClearBackend(u16),
    DeletePeer(Addr),
    /// Forget flows of a service (by id) to any other endpoint than these: the
    /// others are gone, and their flows begin anew.
    ForgetOtherEndpoints {
        service: u32,
        endpoints: Vec<Endpoint>,
    },
    /// Forget all flows of a service that is gone, before its id is used again.
    ForgetService {
        service: u32,
    },
    /// Forget all flows of a backend that is gone, before its id is used again.
    ForgetBackend {
        backend: u16,
    },
}

impl Quarantine {
    /// Frees what was there at the last call. Called about once a second, so that
    /// everything waits for at least as long, which no packet on its way takes.
    /// True if anything was freed.
    pub fn release_oldest(&mut self) -> bool {
        let freed = std::mem::replace(&mut self.old, std::mem::take(&mut self.young));
        !freed.is_empty()
    }

    pub fn is_empty(&self) -> bool {
        self.retired().all(Retired::is_empty)
    }

    pub fn retired(&self) -> impl Iterator<Item = &Retired> {
        [&self.young, &self.old].into_iter()
    }
}

impl Retired {
    fn is_empty(&self) -> bool {
        self.backends.is_empty()
            && self.services.is_empty()
            && self.rings.is_empty()
            && self.histories.is_empty()
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

    /// The ids that rings, histories and peers name.
    pub fn named_backends(&self) -> BTreeSet<u16> {
        let mut is_named = vec![false; usize::from(u16::MAX) + 1];
        let in_rings = self.rings.values().flat_map(|slots| slots.iter());
        let in_histories = self.histories.values().flat_map(|slots| slots.iter()).flat_map(|slot| &slot.ids);
        in_rings.chain(in_histories).for_each(|id| is_named[usize::from(*id)] = true);
        let of_peers = self.peers.values().filter_map(|peer| u16::try_from(peer.backend).ok());
        let ids = (0..=u16::MAX).filter(|id| is_named[usize::from(*id)]);
        ids.chain(of_peers).filter(|id| *id != NO_BACKEND).collect()
    }

    /// What `op` makes of the maps.
    pub fn apply(&mut self, op: &Op) {
        match op {
            Op::SetPeer(addr, peer) => drop(self.peers.insert(*addr, *peer)),
            Op::SetBackend(id, backend) => drop(self.backends.insert(*id, *backend)),
            Op::WriteRing { offset, slots } => drop(self.rings.insert(*offset, slots.clone())),
            Op::WriteHistory { offset, owners } => drop(self.histories.insert(*offset, owners.clone())),
            Op::SetEndpoint(key, endpoint) => drop(self.endpoints.insert(*key, *endpoint)),
            Op::SetRange(service, range) => drop(self.ranges.entry(*service).or_default().insert(*range)),
            Op::SetVip(addr, vip) => drop(self.vips.insert(*addr, *vip)),
            Op::SetService(key, service) => self.set_service(*key, *service),
            Op::DeleteService(key) => self.delete_service(key),
            Op::DeleteVip(addr) => drop(self.vips.remove(addr)),
            Op::DeleteEndpoint(key) => drop(self.endpoints.remove(key)),
            Op::DeleteRange(service, range) => self.delete_range(*service, range),
            Op::ClearBackend(id) => {
                self.backends.remove(id);
                self.quarantine.young.backends.insert(*id);
            }
            Op::DeletePeer(addr) => drop(self.peers.remove(addr)),
            Op::ForgetOtherEndpoints { .. } | Op::ForgetService { .. } | Op::ForgetBackend { .. } => {}
        }
    }

    /// Forgets rings and histories that no service names: a change failed after they were written.
    pub fn forget_unnamed_slots(&mut self) {
        let (services, rings, histories) = (&self.services, &mut self.rings, &mut self.histories);
        let named: BTreeSet<u32> = services.values().map(|service| service.ring_offset).collect();
        rings.retain(|offset, _| named.contains(offset));
        let named: BTreeSet<u32> = services.values().map(|service| service.history_offset).collect();
        histories.retain(|offset, _| named.contains(offset));
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
        self.overwritten.remove(&key);
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
            self.quarantine.young.services.insert(old.id);
        }
        self.written.remove(key);
        self.overwritten.remove(key);
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
            self.rings.remove(&service.ring_offset);
            self.quarantine.young.rings.insert(service.ring_offset, service.ring_len);
        }
    }

    fn retire_history(&mut self, service: &Service) {
        if service.history_offset > 0 {
            self.histories.remove(&service.history_offset);
            self.quarantine.young.histories.insert(service.history_offset, service.ring_len);
        }
    }
}
