//! What the maps hold, as far as the agent writes them, and the changes that
//! can be made to it. Mirrors the kernel: every [`Op`] goes to both.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use lb_common::{
    Addr,
    maps::{Backend, Endpoint, EndpointKey, Peer, Service, ServiceKey},
};

use crate::plan::PlannedService;

/// How many entries the maps have room for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Capacity {
    pub services: u32,
    pub backends: u32,
    pub endpoints: u32,
    pub ring_slots: u32,
}

/// The contents of the maps that the control plane writes.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct State {
    pub services: BTreeMap<ServiceKey, Service>,
    pub vips: BTreeSet<Addr>,
    pub peers: BTreeMap<Addr, Peer>,
    /// Entries that are not empty.
    pub backends: BTreeMap<u16, Backend>,
    pub endpoints: BTreeMap<EndpointKey, Endpoint>,
    /// By offset: the rings that services name.
    pub rings: BTreeMap<u32, Arc<[u16]>>,
    /// What each service was written from; unknown after an adoption.
    pub written: BTreeMap<ServiceKey, Arc<PlannedService>>,
    /// What nothing names any more, but a packet on its way might.
    pub retired: Retired,
    /// What was retired before the last [`State::rest`].
    pub resting: Retired,
}

/// Ids and ranges of the slab which were in use until a moment ago.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Retired {
    pub backends: BTreeSet<u16>,
    pub services: BTreeSet<u32>,
    /// Offset to number of slots.
    pub rings: BTreeMap<u32, u32>,
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
    SetEndpoint(EndpointKey, Endpoint),
    SetVip(Addr),
    SetService(ServiceKey, Service),
    DeleteService(ServiceKey),
    DeleteVip(Addr),
    DeleteEndpoint(EndpointKey),
    ClearBackend(u16),
    DeletePeer(Addr),
    /// Flows of a service (by id) to an endpoint that is gone: they begin anew.
    ForgetEndpoint {
        service: u32,
        endpoint: Endpoint,
    },
    /// All flows of a service that is gone, before its id is used again.
    ForgetService {
        service: u32,
    },
    /// Flows to a bare server that is gone, before its id is used again.
    ForgetBackend {
        backend: u16,
    },
}

impl Retired {
    fn is_empty(&self) -> bool {
        self.backends.is_empty() && self.services.is_empty() && self.rings.is_empty()
    }
}

impl State {
    /// Free what was retired before the last call. Called about once a second,
    /// so that everything rests for at least as long: aeons for a packet.
    /// False if nothing is left that another call could free.
    pub fn rest(&mut self) -> bool {
        self.resting = std::mem::take(&mut self.retired);
        !self.resting.is_empty()
    }

    /// All that must not be used again yet.
    pub fn at_rest(&self) -> impl Iterator<Item = &Retired> {
        [&self.retired, &self.resting].into_iter()
    }

    /// What `op` makes of the state.
    pub fn apply(&mut self, op: &Op) {
        match op {
            Op::SetPeer(addr, peer) => drop(self.peers.insert(*addr, *peer)),
            Op::SetBackend(id, backend) => drop(self.backends.insert(*id, *backend)),
            Op::WriteRing { offset, slots } => drop(self.rings.insert(*offset, slots.clone())),
            Op::SetEndpoint(key, endpoint) => drop(self.endpoints.insert(*key, *endpoint)),
            Op::SetVip(addr) => drop(self.vips.insert(*addr)),
            Op::SetService(key, service) => self.set_service(*key, *service),
            Op::DeleteService(key) => self.delete_service(key),
            Op::DeleteVip(addr) => drop(self.vips.remove(addr)),
            Op::DeleteEndpoint(key) => drop(self.endpoints.remove(key)),
            Op::ClearBackend(id) => {
                self.backends.remove(id);
                self.retired.backends.insert(*id);
            }
            Op::DeletePeer(addr) => drop(self.peers.remove(addr)),
            Op::ForgetEndpoint { .. } | Op::ForgetService { .. } | Op::ForgetBackend { .. } => {}
        }
    }

    /// Endpoints that no service counts: an agent was killed between two ops.
    pub fn orphans(&self) -> Vec<Op> {
        let counts: BTreeMap<u32, u32> = self.services.values().map(|s| (s.id, s.endpoints)).collect();
        let counted = |key: &EndpointKey| counts.get(&key.service).is_some_and(|count| key.index < *count);
        self.endpoints.keys().filter(|key| !counted(key)).map(|key| Op::DeleteEndpoint(*key)).collect()
    }

    fn set_service(&mut self, key: ServiceKey, service: Service) {
        if let Some(old) = self.services.insert(key, service)
            && (old.ring_offset, old.ring_len) != (service.ring_offset, service.ring_len)
        {
            self.retire_ring(&old);
        }
    }

    fn delete_service(&mut self, key: &ServiceKey) {
        if let Some(old) = self.services.remove(key) {
            self.retire_ring(&old);
            self.retired.services.insert(old.id);
        }
        self.written.remove(key);
    }

    fn retire_ring(&mut self, service: &Service) {
        if service.ring_len > 0 {
            self.rings.remove(&service.ring_offset);
            self.retired.rings.insert(service.ring_offset, service.ring_len);
        }
    }
}
