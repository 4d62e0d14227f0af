//! From a plan and what the maps hold to the changes that lead there, in an
//! order in which nothing dangles: backends, peers, rings, endpoints, services; and
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
        Backend, Endpoint, EndpointKey, Peer, Service, ServiceKey,
        backend_flags::{LOCAL, RESOLVED},
    },
    ring::{CHUNK_SLOTS, NO_BACKEND, Owners},
};
use thiserror::Error;

use super::{
    alloc::{FreeIds, Gaps},
    history,
    mirror::{Capacity, Mirror, Op},
    planned::{BackendKey, Plan, PlannedService},
    policy::SourceRange,
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
    #[error(
        "Service {0}: no room in HISTORY for its former owners; start the agent with a larger --history-slots"
    )]
    Histories(Arc<str>),
    #[error(
        "Service {0}: no room in RANGES for its source ranges; start the agent with a larger --max-ranges"
    )]
    Ranges(Arc<str>),
    #[error("backend {0}: no room in BACKENDS; start the agent with a larger --max-backends")]
    Backends(String),
}

/// The marks that are written to services that change.
#[derive(Clone, Copy, Debug)]
pub struct Stamp {
    pub generation: u32,
    /// Seconds of `CLOCK_MONOTONIC`, for the time when slots changed hands.
    pub now: u32,
}

/// The changes that make `mirror` what `plan` says.
pub fn diff(plan: &Plan, mirror: &Mirror, capacity: Capacity, stamp: Stamp) -> Diff {
    let mut work = DiffBuilder::new(plan, mirror, capacity, stamp);
    work.set_backends();
    work.set_peers();
    work.set_services();
    work.delete_services();
    work.delete_peers();
    work.clear_backends();
    work.diff
}

struct DiffBuilder<'a> {
    plan: &'a Plan,
    mirror: &'a Mirror,
    capacity: Capacity,
    stamp: Stamp,
    backend_ids: BTreeMap<BackendKey, u16>,
    service_ids: Option<FreeIds>,
    ring_gaps: Option<Gaps>,
    history_gaps: Option<Gaps>,
    endpoint_count: usize,
    range_count: usize,
    /// Ids of entries for which the plan has no backend.
    gone: BTreeSet<u16>,
    diff: Diff,
    /// Ops that have to wait until no service names what they delete.
    after_services: Vec<Op>,
}

impl<'a> DiffBuilder<'a> {
    fn new(plan: &'a Plan, mirror: &'a Mirror, capacity: Capacity, stamp: Stamp) -> Self {
        let backend_ids =
            mirror.backends.iter().map(|(id, backend)| (BackendKey::from_entry(backend), *id)).collect();
        Self {
            plan,
            mirror,
            capacity,
            stamp,
            backend_ids,
            service_ids: None,
            ring_gaps: None,
            history_gaps: None,
            endpoint_count: mirror.endpoints.len(),
            range_count: mirror.ranges.values().map(BTreeSet::len).sum(),
            gone: unplanned_backends(plan, mirror),
            diff: Diff::default(),
            after_services: Vec::new(),
        }
    }

    /// After `set_backends`, which gives out the ids that peers name.
    fn set_peers(&mut self) {
        for (addr, roles) in &self.plan.peers {
            let id = self.backend_ids.get(&BackendKey::fellow_node(*addr)).copied().unwrap_or(NO_BACKEND);
            let peer = Peer { roles: *roles, backend: u32::from(id) };
            if self.mirror.peers.get(addr) != Some(&peer) {
                self.diff.ops.push(Op::SetPeer(*addr, peer));
            }
        }
    }

    fn delete_peers(&mut self) {
        let gone = self.mirror.peers.keys().filter(|addr| !self.plan.peers.contains_key(addr));
        self.diff.ops.extend(gone.map(|addr| Op::DeletePeer(*addr)));
    }

    fn set_backends(&mut self) {
        let resting = self.mirror.quarantine.retired().flat_map(|retired| &retired.backends);
        let taken = self.mirror.backends.keys().chain(resting).map(|id| u32::from(*id)).collect();
        let limit = self.capacity.backends.min(u32::from(u16::MAX) + 1);
        let mut ids = FreeIds::new(u32::from(NO_BACKEND) + 1, limit, taken);
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
            let old = self.mirror.backends.get(&id);
            if old != Some(backend) && !old.is_some_and(|old| has_lost_next_hop(old, backend)) {
                self.diff.ops.push(Op::SetBackend(id, *backend));
            }
        }
    }

    fn clear_backends(&mut self) {
        for id in &self.gone {
            self.diff.ops.extend([Op::ClearBackend(*id), Op::ForgetBackend { backend: *id }]);
        }
    }

    fn set_services(&mut self) {
        let changed = self.plan.vips.iter().filter(|(addr, vip)| self.mirror.vips.get(addr) != Some(vip));
        self.diff.ops.extend(changed.map(|(addr, vip)| Op::SetVip(*addr, *vip)));
        for (key, planned) in &self.plan.services {
            let written = self.mirror.written.get(key);
            let is_written =
                written.is_some_and(|written| Arc::ptr_eq(written, planned) || written == planned);
            if is_written && !self.has_gone_owner(key) {
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
        let old = self.mirror.services.get(&key).copied();
        let id = match old {
            Some(old) => old.id,
            None => self.take_service_id().ok_or_else(|| Shortage::Services(planned.name.clone()))?,
        };
        let old_count = old.map_or(0, |old| old.endpoints);
        let endpoints = self.endpoint_count - old_count as usize + planned.endpoints.len();
        if endpoints > self.capacity.endpoints as usize {
            return Err(Shortage::Endpoints(planned.name.clone()));
        }
        let (new_ranges, old_ranges) = self.range_changes(id, planned)?;
        let ring_offset = self.place_ring(old.as_ref(), planned)?;
        let (history_offset, handed_over) = self.place_history(old.as_ref(), planned)?;
        self.endpoint_count = endpoints;
        self.range_count += new_ranges.len();
        self.diff.ops.extend(new_ranges);
        self.after_services.extend(old_ranges);
        let moved = self.set_endpoints(id, old_count, &planned.endpoints);
        self.forget_removed_endpoints(key, id, planned);
        let new = Service {
            id,
            flags: planned.flags,
            ring_offset,
            ring_len: planned.ring.len() as u32,
            endpoints: planned.endpoints.len() as u32,
            generation: old.map_or(self.stamp.generation, |old| old.generation),
            history_offset,
            changed: if handed_over { self.stamp.now } else { old.map_or(0, |old| old.changed) },
            affinity: planned.policy.affinity,
            new_flows: planned.policy.new_flows,
            mss: planned.mss,
        };
        if moved || old != Some(new) {
            self.diff.ops.push(Op::SetService(key, Service { generation: self.stamp.generation, ..new }));
        }
        Ok(())
    }

    /// The changes of the service's source ranges: those to make before the
    /// service is written, and the deletions to make afterwards.
    fn range_changes(&self, id: u32, planned: &PlannedService) -> Result<(Vec<Op>, Vec<Op>), Shortage> {
        let none = BTreeSet::new();
        let old = self.mirror.ranges.get(&id).unwrap_or(&none);
        let wanted: BTreeSet<SourceRange> = planned.policy.ranges.iter().copied().collect();
        let new: Vec<Op> = wanted.difference(old).map(|range| Op::SetRange(id, *range)).collect();
        if self.range_count + new.len() > self.capacity.ranges as usize {
            return Err(Shortage::Ranges(planned.name.clone()));
        }
        Ok((new, old.difference(&wanted).map(|range| Op::DeleteRange(id, *range)).collect()))
    }

    /// The ring's slots as ids of `BACKENDS`; `keys` are those of its members.
    fn slot_ids(&self, keys: impl Iterator<Item = BackendKey>, ring: &[u16]) -> Vec<u16> {
        let ids: Vec<u16> =
            keys.map(|key| self.backend_ids.get(&key).copied().unwrap_or(NO_BACKEND)).collect();
        ring.iter().map(|member| ids[usize::from(*member)]).collect()
    }

    /// The first slot of the service's ring: the old one if the ring is the
    /// same; 0 if it is empty, or on a machine that is no director.
    fn place_ring(&mut self, old: Option<&Service>, planned: &PlannedService) -> Result<u32, Shortage> {
        if planned.live.is_empty() || !self.plan.is_director {
            return Ok(0);
        }
        let slots: Arc<[u16]> =
            self.slot_ids(planned.members.iter().map(|(key, _)| *key), &planned.live).into();
        let len = slots.len() as u32;
        if let Some(old) = old.filter(|old| old.ring_len == len)
            && self.mirror.rings.get(&old.ring_offset) == Some(&slots)
        {
            return Ok(old.ring_offset);
        }
        let offset = self.ring_gaps().take(len).ok_or_else(|| Shortage::Rings(planned.name.clone()))?;
        self.diff.ops.push(Op::WriteRing { offset, slots });
        Ok(offset)
    }

    /// The first slot of the service's history, 0 if it has none, and whether a
    /// slot changed hands.
    fn place_history(
        &mut self,
        old: Option<&Service>,
        planned: &PlannedService,
    ) -> Result<(u32, bool), Shortage> {
        if planned.owners.is_empty() {
            return Ok((0, false));
        }
        let ids = |ring| self.slot_ids(planned.owners.iter().copied(), ring);
        let known = old.filter(|old| old.history_offset > 0);
        let known =
            known.and_then(|old| Some((old.history_offset, self.mirror.histories.get(&old.history_offset)?)));
        let before = match known {
            Some((_, owners)) => owners.to_vec(),
            None => history::begin(&ids(&planned.without_me)),
        };
        let owners = history::advance(&before, &ids(&planned.ring), |id| !self.gone.contains(&id));
        if let Some((offset, known)) = known
            && **known == *owners
        {
            return Ok((offset, false));
        }
        let len = owners.len() as u32;
        let offset =
            self.history_gaps().take(len).ok_or_else(|| Shortage::Histories(planned.name.clone()))?;
        self.diff.ops.push(Op::WriteHistory { offset, owners: owners.into() });
        Ok((offset, true))
    }

    /// Does the service's history name a backend that is about to be cleared?
    fn has_gone_owner(&self, key: &ServiceKey) -> bool {
        let service = self.mirror.services.get(key);
        let history = service.and_then(|service| self.mirror.histories.get(&service.history_offset));
        let names_gone = |owners: &Owners| owners.ids.iter().any(|id| self.gone.contains(id));
        !self.gone.is_empty() && history.is_some_and(|history| history.iter().any(names_gone))
    }

    /// Flows to endpoints that are gone are forgotten, and so begin anew; those
    /// to draining ones go on. After an adoption it is not known which are gone:
    /// then flows to all but the endpoints of the plan are forgotten.
    fn forget_removed_endpoints(&mut self, key: ServiceKey, service: u32, planned: &PlannedService) {
        let all = |planned: &PlannedService| -> BTreeSet<Endpoint> {
            planned.endpoints.iter().chain(&planned.draining).copied().collect()
        };
        let kept = all(planned);
        let is_new = !self.mirror.services.contains_key(&key);
        let before = self.mirror.written.get(&key).map(|written| all(written));
        if !is_new && before.is_none_or(|before| !before.is_subset(&kept)) {
            let endpoints = kept.into_iter().collect();
            self.after_services.push(Op::ForgetOtherEndpoints { service, endpoints });
        }
    }

    /// Sets new endpoints before the service counts them, and deletes those
    /// beyond its count afterwards. Returns whether one was set.
    fn set_endpoints(&mut self, service: u32, old_count: u32, new: &[Endpoint]) -> bool {
        let old = |index| self.mirror.endpoints.get(&EndpointKey { service, index });
        let mut moved = false;
        for (index, endpoint) in (0..).zip(new) {
            if old(index) != Some(endpoint) {
                self.diff.ops.push(Op::SetEndpoint(EndpointKey { service, index }, *endpoint));
                moved = true;
            }
        }
        let beyond = new.len() as u32..old_count;
        self.after_services.extend(beyond.map(|index| Op::DeleteEndpoint(EndpointKey { service, index })));
        moved
    }

    fn delete_services(&mut self) {
        for (key, service) in &self.mirror.services {
            if self.plan.services.contains_key(key) {
                continue;
            }
            self.diff.ops.push(Op::DeleteService(*key));
            let endpoints = (0..service.endpoints).map(|index| EndpointKey { service: service.id, index });
            self.diff.ops.extend(endpoints.map(Op::DeleteEndpoint));
            let ranges = self.mirror.ranges.get(&service.id).into_iter().flatten();
            self.diff.ops.extend(ranges.map(|range| Op::DeleteRange(service.id, *range)));
            self.diff.ops.push(Op::ForgetService { service: service.id });
        }
        let gone = self.mirror.vips.keys().filter(|addr| !self.plan.vips.contains_key(addr));
        self.diff.ops.extend(gone.map(|addr| Op::DeleteVip(*addr)));
    }

    fn take_service_id(&mut self) -> Option<u32> {
        let (mirror, limit) = (self.mirror, self.capacity.services);
        let ids = self.service_ids.get_or_insert_with(|| {
            let resting = mirror.quarantine.retired().flat_map(|retired| retired.services.iter().copied());
            FreeIds::new(
                0,
                limit,
                mirror.services.values().map(|service| service.id).chain(resting).collect(),
            )
        });
        ids.take()
    }

    fn ring_gaps(&mut self) -> &mut Gaps {
        let (mirror, capacity) = (self.mirror, self.capacity.ring_slots);
        self.ring_gaps.get_or_insert_with(|| {
            let used = mirror.services.values().map(|service| (service.ring_offset, service.ring_len));
            free_gaps(capacity, used, mirror.quarantine.retired().flat_map(|retired| &retired.rings))
        })
    }

    fn history_gaps(&mut self) -> &mut Gaps {
        let (mirror, capacity) = (self.mirror, self.capacity.history_slots);
        self.history_gaps.get_or_insert_with(|| {
            let used = mirror.services.values().map(|service| (service.history_offset, service.ring_len));
            free_gaps(capacity, used, mirror.quarantine.retired().flat_map(|retired| &retired.histories))
        })
    }
}

/// The gaps of a slab. Its first chunk stays empty: offset 0 stands for none,
/// and the programs may read there.
fn free_gaps<'a>(
    capacity: u32,
    used: impl Iterator<Item = (u32, u32)>,
    resting: impl Iterator<Item = (&'a u32, &'a u32)>,
) -> Gaps {
    let used = used.filter(|(offset, _)| *offset > 0);
    let resting = resting.map(|(offset, len)| (*offset, *len));
    Gaps::new(capacity, std::iter::once((0, CHUNK_SLOTS)).chain(used).chain(resting))
}

/// The ids of entries for which the plan has no backend.
fn unplanned_backends(plan: &Plan, mirror: &Mirror) -> BTreeSet<u16> {
    let is_gone = |backend: &Backend| !plan.backends.contains_key(&BackendKey::from_entry(backend));
    mirror.backends.iter().filter(|(_, backend)| is_gone(backend)).map(|(id, _)| *id).collect()
}

/// Does the old entry have a next hop, and the new one none? Then the old one
/// stays: a next hop may fail to answer for a moment, after a restart or while
/// its neighbour entry is renewed.
fn has_lost_next_hop(old: &Backend, new: &Backend) -> bool {
    let is_reachable = |backend: &Backend| backend.flags & (RESOLVED | LOCAL) != 0;
    old.flags & RESOLVED != 0 && !is_reachable(new)
}

#[cfg(test)]
mod tests;
