//! The endpoints on this machine: their slots, and which of them take new flows.

use std::collections::BTreeSet;

use lb_common::maps::{Endpoint, EndpointKey, EndpointSlot};

use super::DiffBuilder;
use crate::plan::{mirror::FreeSlots, op::Op, planned::PlannedService, shortage::Shortage};

/// The changes of a service's endpoints.
pub(super) struct EndpointChanges {
    /// How many take new flows.
    pub count: u32,
    /// Those to make before the service counts them.
    pub first: Vec<Op>,
    /// Those to make afterwards.
    pub last: Vec<Op>,
}

impl DiffBuilder<'_> {
    /// Gives slots to as many endpoints as there is room for. Those that drain keep theirs, with their
    /// flows; one that has none has no flows. Those that are gone lose theirs.
    pub(super) fn fit_endpoints(&mut self, service: u32, planned: &PlannedService) -> EndpointChanges {
        self.endpoint_count -= self.mirror.endpoint_keys(service).count();
        let (mut count, mut first) = (0, Vec::new());
        for endpoint in &planned.endpoints {
            let key = EndpointKey { service, index: count };
            let has_room = self.endpoint_count + (count as usize) < self.capacity.endpoints as usize;
            let slot = has_room.then(|| self.slot_for(service, endpoint, &mut first)).flatten();
            let Some(slot) = slot else { continue };
            if self.mirror.endpoints.get(&key) != Some(&slot) {
                first.push(Op::SetEndpoint(key, slot));
            }
            count += 1;
        }
        self.endpoint_count += count as usize;
        if (count as usize) < planned.endpoints.len() {
            self.diff.shortages.push(Shortage::Endpoints(planned.name.clone()));
        }
        let beyond = self.mirror.endpoint_keys(service).filter(|key| key.index >= count);
        let mut last: Vec<Op> = self.drain_endpoint_slots(service, &planned.draining);
        last.extend(beyond.map(Op::DeleteEndpoint));
        let kept: BTreeSet<&Endpoint> = planned.endpoints.iter().chain(&planned.draining).collect();
        last.extend(self.clear_endpoint_slots(service, |endpoint| !kept.contains(endpoint)));
        EndpointChanges { count, first, last }
    }

    /// The slot of an endpoint that takes new flows. Adds to `ops` what that needs. None: there is no room
    /// for it.
    fn slot_for(&mut self, service: u32, endpoint: &Endpoint, ops: &mut Vec<Op>) -> Option<u32> {
        let slots = &self.mirror.endpoint_slots;
        let Some(slot) = slots.of(service, endpoint) else {
            let slot = self.free_slots().take()?;
            let entry = self.mirror.endpoint_slots.taken(slot, service, *endpoint);
            ops.push(Op::SetEndpointSlot(slot, entry));
            return Some(slot);
        };
        if let Some(held) = slots.get(slot).filter(|held| held.drained != 0) {
            ops.push(Op::SetEndpointSlot(slot, EndpointSlot { drained: 0, ..*held }));
        }
        Some(slot)
    }

    /// From now on they take no new flows.
    fn drain_endpoint_slots(&self, service: u32, draining: &[Endpoint]) -> Vec<Op> {
        let slots = &self.mirror.endpoint_slots;
        let held = draining.iter().filter_map(|endpoint| slots.of(service, endpoint));
        let held = held.filter_map(|slot| Some((slot, slots.get(slot).filter(|held| held.drained == 0)?)));
        let drained = self.stamp.seconds().max(1);
        held.map(|(slot, held)| Op::SetEndpointSlot(slot, EndpointSlot { drained, ..*held })).collect()
    }

    /// Of the endpoints that are gone.
    pub(super) fn clear_endpoint_slots(&self, service: u32, is_gone: impl Fn(&Endpoint) -> bool) -> Vec<Op> {
        let slots = &self.mirror.endpoint_slots;
        let gone = slots.of_service(service).filter(|(endpoint, _)| is_gone(endpoint));
        let clear = |(_, slot)| Some(Op::ClearEndpointSlot(slot, slots.get(slot)?.cleared()));
        gone.filter_map(clear).collect()
    }

    fn free_slots(&mut self) -> &mut FreeSlots {
        let (mirror, limit) = (self.mirror, self.capacity.endpoint_slots());
        self.endpoint_slots.get_or_insert_with(|| mirror.endpoint_slots.free(limit))
    }
}
