//! From a plan and what the maps hold to the changes that lead there, in an
//! order in which nothing dangles, and which makes room before it takes some.
//!
//! Pure, and cheap where nothing changed: a service that was written from the
//! same plan is not looked at again.

mod backends;
mod endpoints;
mod ranges;
mod scope;
mod slots;
#[cfg(test)]
mod tests;

use std::{collections::BTreeSet, time::Duration};

use imbl::OrdMap;
use lb_common::{
    Addr,
    maps::{Service, ServiceKey, service_flags},
    ring::Owners,
};

use scope::Scope;
use slots::{Advanced, Room, Slots};

use super::{
    alloc::FreeIds,
    mirror::{Capacity, FreeSlots, Mirror, Written},
    op::Op,
    planned::{BackendKey, Plan, PlannedService},
    shortage::Shortage,
};

/// The changes, in their order, and what there was no room for.
#[derive(Debug, Default)]
pub struct Diff {
    /// Services that are deleted.
    pub deleted: Vec<ServiceChange>,
    /// Ports of kube-proxy's that are set, before their VIPs: from then on, what has no entry is dropped.
    pub passed: Vec<ServiceChange>,
    /// Changes of what services share: VIPs, peers, backends.
    pub shared: Vec<Op>,
    /// Rings and histories that are new, before services name them.
    pub slots: Vec<Op>,
    /// Services that are set; and ports of kube-proxy's that are deleted, after their VIPs.
    pub services: Vec<ServiceChange>,
    /// Clearing of backends that the plan does not have.
    pub cleared: Vec<Op>,
    pub shortages: Vec<Shortage>,
}

/// The changes of one service, in an order in which nothing dangles; if one fails, the
/// others behind it must not be made.
#[derive(Debug)]
pub struct ServiceChange {
    pub key: ServiceKey,
    /// What the service is after it; None: it is deleted.
    pub written: Option<Written>,
    pub ops: Vec<Op>,
}

impl Diff {
    pub fn ops(&self) -> impl Iterator<Item = &Op> {
        let deleted = self.deleted.iter().flat_map(|change| &change.ops);
        let services = self.services.iter().flat_map(|change| &change.ops);
        let passed = self.passed.iter().flat_map(|change| &change.ops);
        deleted.chain(passed).chain(&self.shared).chain(&self.slots).chain(services).chain(&self.cleared)
    }

    pub fn is_empty(&self) -> bool {
        self.deleted.is_empty()
            && self.passed.is_empty()
            && self.shared.is_empty()
            && self.slots.is_empty()
            && self.services.is_empty()
            && self.cleared.is_empty()
    }
}

/// The marks that are written to services that change.
#[derive(Clone, Copy, Debug)]
pub struct Stamp {
    pub generation: u32,
    /// Since the machine started: when slots changed hands, and from which moment on an
    /// id stands for a new service.
    pub now: Duration,
}

impl Stamp {
    fn seconds(self) -> u32 {
        u32::try_from(self.now.as_secs()).unwrap_or(u32::MAX)
    }

    /// In units of 1/16 second: an id rests for a second, and no agent dies and is followed by
    /// another in less than a unit. By the time that the number comes again, after 68
    /// minutes, the flows of the earlier service have been swept.
    fn incarnation(self) -> u16 {
        (self.now.as_millis() * 16 / 1000) as u16
    }
}

/// The changes that make `mirror` what `plan` says. `held`: an earlier plan that it is known to hold,
/// wholly; then only what is new in `plan` is looked at.
pub fn diff(held: Option<&Plan>, plan: &Plan, mirror: &Mirror, capacity: Capacity, stamp: Stamp) -> Diff {
    let mut work = DiffBuilder::new(held, plan, mirror, capacity, stamp);
    work.delete_services();
    work.delete_vips();
    work.delete_peers();
    work.set_backends();
    work.set_peers();
    work.set_vips();
    work.set_services();
    work.clear_backends();
    work.diff
}

struct DiffBuilder<'a> {
    plan: &'a Plan,
    mirror: &'a Mirror,
    capacity: Capacity,
    stamp: Stamp,
    scope: Scope,
    backend_ids: OrdMap<BackendKey, u16>,
    service_ids: Option<FreeIds>,
    endpoint_slots: Option<FreeSlots>,
    rings: Room<'a, u16>,
    histories: Room<'a, Owners>,
    /// Services that share a history go on to share one: it is looked for once.
    advanced: Advanced,
    /// Entries at this point of the changes.
    endpoint_count: usize,
    range_count: usize,
    /// VIPs that there is no room for.
    short_vips: BTreeSet<Addr>,
    /// Ids for which the plan has no backend.
    gone: BTreeSet<u16>,
    /// Offsets of the histories that name any of them.
    names_gone: BTreeSet<u32>,
    diff: Diff,
}

impl<'a> DiffBuilder<'a> {
    fn new(
        held: Option<&Plan>,
        plan: &'a Plan,
        mirror: &'a Mirror,
        capacity: Capacity,
        stamp: Stamp,
    ) -> Self {
        let mut scope = Scope::new(held, plan);
        let gone = backends::unplanned_backends(&scope, plan, mirror);
        let names_gone = slots::histories_that_name(&gone, mirror);
        if !names_gone.is_empty() {
            // Of any service.
            scope = Scope::Anywhere;
        }
        Self {
            plan,
            mirror,
            capacity,
            stamp,
            scope,
            backend_ids: mirror.backend_ids.clone(),
            service_ids: None,
            endpoint_slots: None,
            rings: Room::new(&mirror.rings, capacity.ring_slots),
            histories: Room::new(&mirror.histories, capacity.history_slots),
            advanced: Advanced::new(),
            endpoint_count: mirror.endpoints.len(),
            range_count: mirror.ranges.values().map(BTreeSet::len).sum(),
            short_vips: BTreeSet::new(),
            gone,
            names_gone,
            diff: Diff::default(),
        }
    }

    fn delete_services(&mut self) {
        for (key, service) in self.scope.entries(|changes| &changes.services, &self.mirror.services) {
            if self.plan.services.contains_key(key) {
                continue;
            }
            let endpoints: Vec<_> = self.mirror.endpoint_keys(service.id).collect();
            let ranges: Vec<_> = self.mirror.ranges.get(&service.id).into_iter().flatten().collect();
            self.endpoint_count -= endpoints.len();
            self.range_count -= ranges.len();
            let mut ops = vec![Op::DeleteService(*key)];
            ops.extend(endpoints.into_iter().map(Op::DeleteEndpoint));
            ops.extend(ranges.into_iter().map(|range| Op::DeleteRange(service.id, *range)));
            ops.extend(self.clear_endpoint_slots(service.id, |_| true));
            let changes = if service.is_passed() { &mut self.diff.services } else { &mut self.diff.deleted };
            changes.push(ServiceChange { key: *key, written: None, ops });
        }
    }

    fn delete_vips(&mut self) {
        let entries = self.scope.entries(|changes| &changes.vips, &self.mirror.vips);
        let gone = entries.map(|(addr, _)| *addr).filter(|addr| !self.plan.vips.contains_key(addr));
        self.diff.shared.extend(gone.map(Op::DeleteVip));
    }

    fn set_vips(&mut self) {
        let (old, wanted) = (&self.mirror.vips, &self.plan.vips);
        let is_deleted = |op: &&Op| matches!(op, Op::DeleteVip(_));
        let mut count = old.len() - self.diff.shared.iter().filter(is_deleted).count();
        let entries = self.scope.entries(|changes| &changes.vips, wanted);
        for (addr, vip) in entries.filter(|(addr, vip)| old.get(*addr) != Some(vip)) {
            if !old.contains_key(addr) {
                if count >= self.capacity.vips as usize {
                    self.short_vips.insert(*addr);
                    self.diff.shortages.push(Shortage::Vips(*addr));
                    continue;
                }
                count += 1;
            }
            self.diff.shared.push(Op::SetVip(*addr, *vip));
        }
    }

    fn set_services(&mut self) {
        let services: Vec<_> = self.scope.entries(|changes| &changes.services, &self.plan.services).collect();
        for (key, planned) in services {
            let written = self.mirror.written.get(key);
            let is_good =
                written.is_some_and(|written| written.is_as_planned(planned)) && !self.has_gone_owner(key);
            if is_good || self.short_vips.contains(&key.addr) {
                continue;
            }
            let shortages = self.diff.shortages.len();
            match self.service_ops(*key, planned) {
                Ok((ops, moved)) => {
                    let is_whole = self.diff.shortages.len() == shortages && self.has_all_backends(planned);
                    let moved = moved + written.map_or(0, |written| written.moved);
                    let written = Some(Written { planned: planned.clone(), is_whole, moved });
                    let changes =
                        if planned.is_passed() { &mut self.diff.passed } else { &mut self.diff.services };
                    changes.push(ServiceChange { key: *key, written, ops });
                }
                Err(shortage) => self.diff.shortages.push(shortage),
            }
        }
    }

    /// The changes of a service, and how many slots move by them.
    ///
    /// Without room for a new ring or new source ranges, the old ones stay, and of the endpoints
    /// there are as many as have room: none that is gone may stay.
    fn service_ops(
        &mut self,
        key: ServiceKey,
        planned: &PlannedService,
    ) -> Result<(Vec<Op>, usize), Shortage> {
        let old = self.mirror.services.get(&key).copied();
        let id = match old {
            Some(old) => old.id,
            None => self.next_service_id().ok_or_else(|| Shortage::Services(planned.name.clone()))?,
        };
        let ranges = self.find_ranges(id, old.as_ref(), planned)?;
        let Slots { len, ring, history, handover } = self.find_slots(&key, old.as_ref(), planned)?;
        let endpoints = self.fit_endpoints(id, planned);
        // The service will be changed: take the room.
        self.range_count = ranges.count;
        if old.is_none() {
            self.service_ids().take();
        }
        let incarnation = old.map_or_else(|| self.stamp.incarnation(), |old| old.incarnation());
        let new = Service {
            id,
            flags: planned.flags & !service_flags::RANGES
                | ranges.flag
                | u32::from(incarnation) << service_flags::INCARNATION_SHIFT,
            ring_offset: ring.offset,
            ring_len: len,
            endpoints: endpoints.count,
            generation: old.map_or(self.stamp.generation, |old| old.generation),
            history_offset: history.offset,
            changed: if handover.has_changed {
                self.stamp.seconds()
            } else {
                old.map_or(0, |old| old.changed)
            },
            affinity: planned.policy.affinity,
            new_flows: planned.policy.new_flows,
            mss: planned.mss,
        };
        let is_changed = !endpoints.first.is_empty() || old != Some(new);
        let set =
            is_changed.then_some(Op::SetService(key, Service { generation: self.stamp.generation, ..new }));
        self.write_slots(ring, history);
        let reset = old.is_none().then_some(Op::ResetServiceStats(id));
        let mut ops: Vec<Op> =
            ranges.first.into_iter().chain(endpoints.first).chain(reset).chain(set).collect();
        ops.extend(ranges.last);
        ops.extend(endpoints.last);
        Ok((ops, handover.moved))
    }

    fn next_service_id(&mut self) -> Option<u32> {
        self.service_ids().peek()
    }

    fn service_ids(&mut self) -> &mut FreeIds {
        let (mirror, limit) = (self.mirror, self.capacity.services);
        self.service_ids.get_or_insert_with(|| {
            let held = mirror.services.values().map(|service| service.id);
            let taken = held.chain(mirror.quarantine.services());
            FreeIds::new(0, limit, taken.collect())
        })
    }
}
