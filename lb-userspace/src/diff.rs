//! From a plan and what the maps hold to the changes that lead there, in an
//! order in which nothing dangles: backends, rings, endpoints, services; and
//! deletions the other way round.
//!
//! Pure, and cheap where nothing changed: a service that was written from the
//! same plan is not looked at again.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use lb_common::{
    maps::{
        Backend, Endpoint, EndpointKey, Service, ServiceKey,
        backend_flags::{LOCAL, RESOLVED},
    },
    ring::{CHUNK_SLOTS, NO_BACKEND},
};
use thiserror::Error;

use crate::{
    alloc::{Gaps, Ids},
    plan::{BackendKey, Plan, PlannedService},
    state::{Capacity, Op, State},
};

/// The changes, and what there was no room for.
#[derive(Debug, Default)]
pub struct Diff {
    pub ops: Vec<Op>,
    /// The services that the changes bring up to date.
    pub written: Vec<(ServiceKey, Arc<PlannedService>)>,
    pub shortages: Vec<Shortage>,
}

/// A map is too small for the plan.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Error)]
pub enum Shortage {
    #[error("Service {0}: no room in SERVICES; start the agent with a larger --max-services")]
    Services(Arc<str>),
    #[error("Service {0}: no room in ENDPOINTS; start the agent with a larger --max-endpoints")]
    Endpoints(Arc<str>),
    #[error("Service {0}: no room in RINGS for its ring; start the agent with a larger --ring-slots")]
    Rings(Arc<str>),
    #[error("backend {0}: no room in BACKENDS; start the agent with a larger --max-backends")]
    Backends(String),
}

/// The changes that make `state` what `plan` says; services that change are
/// marked with `generation`.
pub fn diff(plan: &Plan, state: &State, capacity: Capacity, generation: u32) -> Diff {
    let mut work = Work::new(plan, state, capacity, generation);
    work.set_peers();
    work.set_backends();
    work.set_services();
    work.delete_services();
    work.clear_backends();
    work.delete_peers();
    work.diff
}

struct Work<'a> {
    plan: &'a Plan,
    state: &'a State,
    capacity: Capacity,
    generation: u32,
    backend_ids: BTreeMap<BackendKey, u16>,
    service_ids: Option<Ids>,
    gaps: Option<Gaps>,
    endpoints: usize,
    diff: Diff,
    /// Ops that have to wait until no service names their subject.
    after_services: Vec<Op>,
}

impl<'a> Work<'a> {
    fn new(plan: &'a Plan, state: &'a State, capacity: Capacity, generation: u32) -> Self {
        let backend_ids = state.backends.iter().map(|(id, backend)| (BackendKey::of(backend), *id)).collect();
        Self {
            plan,
            state,
            capacity,
            generation,
            backend_ids,
            service_ids: None,
            gaps: None,
            endpoints: state.endpoints.len(),
            diff: Diff::default(),
            after_services: Vec::new(),
        }
    }

    fn set_peers(&mut self) {
        let changed = self.plan.peers.iter().filter(|(addr, peer)| self.state.peers.get(addr) != Some(peer));
        self.diff.ops.extend(changed.map(|(addr, peer)| Op::SetPeer(*addr, *peer)));
    }

    fn delete_peers(&mut self) {
        let gone = self.state.peers.keys().filter(|addr| !self.plan.peers.contains_key(addr));
        self.diff.ops.extend(gone.map(|addr| Op::DeletePeer(*addr)));
    }

    fn set_backends(&mut self) {
        let resting = self.state.at_rest().flat_map(|retired| &retired.backends);
        let taken = self.state.backends.keys().chain(resting).map(|id| u32::from(*id)).collect();
        let limit = self.capacity.backends.min(u32::from(u16::MAX) + 1);
        let mut ids = Ids::new(u32::from(NO_BACKEND) + 1, limit, taken);
        for (key, backend) in &self.plan.backends {
            let id = match self.backend_ids.get(key) {
                Some(id) => *id,
                None => match ids.take().and_then(|id| u16::try_from(id).ok()) {
                    Some(id) => id,
                    None => {
                        self.diff.shortages.push(Shortage::Backends(key.addr.to_string()));
                        continue;
                    }
                },
            };
            self.backend_ids.insert(*key, id);
            let old = self.state.backends.get(&id);
            if old != Some(backend) && !old.is_some_and(|old| knows_more(old, backend)) {
                self.diff.ops.push(Op::SetBackend(id, *backend));
            }
        }
    }

    fn clear_backends(&mut self) {
        for (id, backend) in &self.state.backends {
            if !self.plan.backends.contains_key(&BackendKey::of(backend)) {
                self.diff.ops.extend([Op::ClearBackend(*id), Op::ForgetBackend { backend: *id }]);
            }
        }
    }

    fn set_services(&mut self) {
        let new_vips = self.plan.vips.difference(&self.state.vips);
        self.diff.ops.extend(new_vips.map(|vip| Op::SetVip(*vip)));
        for (key, planned) in &self.plan.services {
            let written = self.state.written.get(key);
            if written.is_some_and(|written| Arc::ptr_eq(written, planned) || written == planned) {
                continue;
            }
            match self.set_service(*key, planned) {
                Ok(()) => self.diff.written.push((*key, planned.clone())),
                Err(shortage) => self.diff.shortages.push(shortage),
            }
        }
        self.diff.ops.append(&mut self.after_services);
    }

    fn set_service(&mut self, key: ServiceKey, planned: &PlannedService) -> Result<(), Shortage> {
        let old = self.state.services.get(&key).copied();
        let id = match old {
            Some(old) => old.id,
            None => self.service_id().ok_or_else(|| Shortage::Services(planned.name.clone()))?,
        };
        let old_count = old.map_or(0, |old| old.endpoints);
        let endpoints = self.endpoints - old_count as usize + planned.endpoints.len();
        if endpoints > self.capacity.endpoints as usize {
            return Err(Shortage::Endpoints(planned.name.clone()));
        }
        let (ring_offset, ring_len) = self.ring(old.as_ref(), planned)?;
        self.endpoints = endpoints;
        let moved = self.set_endpoints(id, old_count, &planned.endpoints);
        let new = Service {
            id,
            flags: planned.flags,
            ring_offset,
            ring_len,
            endpoints: planned.endpoints.len() as u32,
            generation: old.map_or(self.generation, |old| old.generation),
        };
        if moved || old != Some(new) {
            self.diff.ops.push(Op::SetService(key, Service { generation: self.generation, ..new }));
        }
        Ok(())
    }

    /// Where the service's ring lies: where it was, if it is the same.
    fn ring(&mut self, old: Option<&Service>, planned: &PlannedService) -> Result<(u32, u32), Shortage> {
        let id_of = |(key, _): &(BackendKey, u32)| self.backend_ids.get(key).copied().unwrap_or(NO_BACKEND);
        let ids: Vec<u16> = planned.members.iter().map(id_of).collect();
        let slots: Arc<[u16]> = planned.ring.iter().map(|member| ids[usize::from(*member)]).collect();
        let len = slots.len() as u32;
        if len == 0 {
            return Ok((0, 0));
        }
        if let Some(old) = old.filter(|old| old.ring_len == len)
            && self.state.rings.get(&old.ring_offset) == Some(&slots)
        {
            return Ok((old.ring_offset, old.ring_len));
        }
        let offset = self.gaps().take(len).ok_or_else(|| Shortage::Rings(planned.name.clone()))?;
        self.diff.ops.push(Op::WriteRing { offset, slots });
        Ok((offset, len))
    }

    /// Endpoints that are new go in before the service counts them; those
    /// beyond its count, and flows to those that are gone, go afterwards.
    fn set_endpoints(&mut self, service: u32, old_count: u32, new: &[Endpoint]) -> bool {
        let old = |index| self.state.endpoints.get(&EndpointKey { service, index });
        let mut moved = false;
        for (index, endpoint) in (0..).zip(new) {
            if old(index) != Some(endpoint) {
                self.diff.ops.push(Op::SetEndpoint(EndpointKey { service, index }, *endpoint));
                moved = true;
            }
        }
        let kept: BTreeSet<&Endpoint> = new.iter().collect();
        let gone = (0..old_count).filter_map(old).filter(|endpoint| !kept.contains(endpoint));
        self.after_services.extend(gone.map(|endpoint| Op::ForgetEndpoint { service, endpoint: *endpoint }));
        let beyond = new.len() as u32..old_count;
        self.after_services.extend(beyond.map(|index| Op::DeleteEndpoint(EndpointKey { service, index })));
        moved
    }

    fn delete_services(&mut self) {
        for (key, service) in &self.state.services {
            if self.plan.services.contains_key(key) {
                continue;
            }
            self.diff.ops.push(Op::DeleteService(*key));
            let endpoints = (0..service.endpoints).map(|index| EndpointKey { service: service.id, index });
            self.diff.ops.extend(endpoints.map(Op::DeleteEndpoint));
            self.diff.ops.push(Op::ForgetService { service: service.id });
        }
        let old_vips = self.state.vips.difference(&self.plan.vips);
        self.diff.ops.extend(old_vips.map(|vip| Op::DeleteVip(*vip)));
    }

    fn service_id(&mut self) -> Option<u32> {
        let (state, limit) = (self.state, self.capacity.services);
        let ids = self.service_ids.get_or_insert_with(|| {
            let resting = state.at_rest().flat_map(|retired| retired.services.iter().copied());
            Ids::new(0, limit, state.services.values().map(|service| service.id).chain(resting).collect())
        });
        ids.take()
    }

    fn gaps(&mut self) -> &mut Gaps {
        let (state, capacity) = (self.state, self.capacity.ring_slots);
        self.gaps.get_or_insert_with(|| {
            let used = state.services.values().map(|service| (service.ring_offset, service.ring_len));
            let resting = state.at_rest().flat_map(|retired| retired.rings.iter().map(|(o, l)| (*o, *l)));
            // The first chunk stays empty: a service without a ring points there.
            let empty = std::iter::once((0, CHUNK_SLOTS));
            Gaps::new(capacity, empty.chain(used).chain(resting))
        })
    }
}

/// A next hop that does not answer at the moment (after a restart, or while
/// its entry is renewed) is no reason to forget the one that did.
fn knows_more(old: &Backend, new: &Backend) -> bool {
    let is_reachable = |backend: &Backend| backend.flags & (RESOLVED | LOCAL) != 0;
    old.flags & RESOLVED != 0 && !is_reachable(new)
}

#[cfg(test)]
mod tests;
