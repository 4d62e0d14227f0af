//! Which endpoints of which services have which slots, by which flows name them.

use std::collections::BTreeSet;

use imbl::{OrdMap, OrdSet};
use lb_common::maps::{Endpoint, EndpointSlot};

use crate::plan::aging::Aging;

/// The slots that are held, or were: a free one keeps its epoch. Cheap to copy.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct EndpointSlots {
    /// From 0 on, without a gap.
    slots: OrdMap<u32, EndpointSlot>,
    /// Those that are held, by the id of the service.
    held: OrdMap<(u32, Endpoint), u32>,
    /// Those that may be given out again, with their epoch.
    free: OrdSet<(u16, u32)>,
    /// Those that were held until a moment ago: a program at work may have read who has them.
    resting: Aging<BTreeSet<u32>>,
}

/// Slots to give out: first those that nobody ever had, then those of the lowest epochs. So they all wear
/// evenly, and an epoch comes back only when a flow that names it is long forgotten.
pub struct FreeSlots {
    free: OrdSet<(u16, u32)>,
    next: u32,
    limit: u32,
}

impl FreeSlots {
    pub fn take(&mut self) -> Option<u32> {
        if self.next < self.limit {
            self.next += 1;
            return Some(self.next - 1);
        }
        self.free.remove_min().map(|(_, slot)| slot)
    }
}

impl EndpointSlots {
    /// How many there are: as many for endpoints that drain, or were here until a moment ago, as for those
    /// that take new flows.
    pub const fn needed_for(endpoints: u32) -> u32 {
        endpoints.saturating_mul(2)
    }

    /// What is in a slot that somebody holds.
    pub fn get(&self, slot: u32) -> Option<&EndpointSlot> {
        self.slots.get(&slot).filter(|held| held.is_held())
    }

    /// The slot of an endpoint of a service.
    pub fn of(&self, service: u32, endpoint: &Endpoint) -> Option<u32> {
        self.held.get(&(service, *endpoint)).copied()
    }

    /// The endpoints of a service, with their slots.
    pub fn of_service(&self, service: u32) -> impl Iterator<Item = (&Endpoint, u32)> {
        let held = self.held.range((service, Endpoint::default())..);
        let held = held.take_while(move |((other, _), _)| *other == service);
        held.map(|((_, endpoint), slot)| (endpoint, *slot))
    }

    /// All that are held.
    pub fn held(&self) -> impl Iterator<Item = (u32, &EndpointSlot)> {
        self.held.values().filter_map(|slot| Some((*slot, self.get(*slot)?)))
    }

    /// What a slot is to be when this endpoint of a service gets it.
    pub fn taken(&self, slot: u32, service: u32, endpoint: Endpoint) -> EndpointSlot {
        EndpointSlot { endpoint, service, drained: 0, epoch: self.epoch(slot).wrapping_add(1), pad: 0 }
    }

    /// Those that can be given out now, below `limit`.
    pub fn free(&self, limit: u32) -> FreeSlots {
        let next = self.slots.get_max().map_or(0, |(last, _)| last + 1);
        FreeSlots { free: self.free.clone(), next, limit }
    }

    pub fn set(&mut self, slot: u32, entry: EndpointSlot) {
        self.unhold(slot);
        self.fill_up_to(slot);
        self.unfree(slot);
        self.unrest(slot);
        self.held.insert((entry.service, entry.endpoint), slot);
        self.slots.insert(slot, entry);
    }

    /// What an earlier agent has left in it.
    pub fn adopt(&mut self, slot: u32, entry: EndpointSlot) {
        if entry.is_held() {
            return self.set(slot, entry);
        }
        self.fill_up_to(slot);
        self.unfree(slot);
        self.slots.insert(slot, entry);
        self.free.insert((entry.epoch, slot));
    }

    /// Its endpoint is gone. A slot that is cleared again rests from now on.
    pub fn clear(&mut self, slot: u32, cleared: EndpointSlot) {
        self.unhold(slot);
        self.unfree(slot);
        self.unrest(slot);
        self.slots.insert(slot, cleared);
        self.resting.young().insert(slot);
    }

    pub fn has_resting(&self) -> bool {
        self.resting.all().iter().any(|slots| !slots.is_empty())
    }

    /// Frees what has rested since the last call. True if there was anything.
    pub fn release_oldest(&mut self) -> bool {
        let free = self.resting.release();
        let is_any_free = !free.is_empty();
        for slot in free {
            self.free.insert((self.epoch(slot), slot));
        }
        is_any_free
    }

    fn epoch(&self, slot: u32) -> u16 {
        self.slots.get(&slot).map_or(0, |entry| entry.epoch)
    }

    fn unfree(&mut self, slot: u32) {
        self.free.remove(&(self.epoch(slot), slot));
    }

    fn unrest(&mut self, slot: u32) {
        for slots in self.resting.all_mut() {
            slots.remove(&slot);
        }
    }

    fn unhold(&mut self, slot: u32) {
        let Some(before) = self.get(slot).copied() else { return };
        let key = (before.service, before.endpoint);
        if self.held.get(&key) == Some(&slot) {
            self.held.remove(&key);
        }
    }

    /// Those before it that nobody ever had are free.
    fn fill_up_to(&mut self, slot: u32) {
        let next = self.slots.get_max().map_or(0, |(last, _)| last + 1);
        for unused in next..slot {
            self.slots.insert(unused, EndpointSlot::default());
            self.free.insert((0, unused));
        }
    }
}

#[cfg(test)]
mod tests;
