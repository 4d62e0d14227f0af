//! What was in use until a moment ago, and must not be used again yet.

use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
};

/// Ids and ranges that no entry names any more. A program at work on a packet may have read
/// them, and flows may name the ids.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Quarantine {
    ranges: Aging<Ranges>,
    ids: Aging<Ids>,
    /// They have rested, and are free when the flows that name them are forgotten.
    swept: Ids,
    /// The sweep that has to be done before that.
    awaited_sweep: u64,
    /// It has not been asked for yet.
    pub needs_sweep: bool,
}

#[derive(Clone, PartialEq, Eq, Debug, Default)]
struct Aging<T> {
    /// Here since `old` was freed last.
    young: T,
    old: T,
}

#[derive(Clone, PartialEq, Eq, Debug, Default)]
struct Ids {
    backends: BTreeSet<u16>,
    services: BTreeSet<u32>,
}

/// Of the slabs: offset to number of slots.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
struct Ranges {
    rings: BTreeMap<u32, u32>,
    histories: BTreeMap<u32, u32>,
}

/// Sweeps of the flow tables, numbered from 1 in the order in which they were asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Sweeps {
    pub asked: u64,
    pub done: u64,
}

impl Quarantine {
    /// Frees ranges that were there at the last call, and ids if a sweep that began after they had
    /// rested is done. Called about once a second, so that everything rests for at least as
    /// long, which no packet on its way takes. True if anything was freed.
    pub fn release_oldest(&mut self, sweeps: Sweeps) -> bool {
        let ranges = self.ranges.release();
        let mut is_any_free = !ranges.rings.is_empty() || !ranges.histories.is_empty();
        if !self.needs_sweep && sweeps.done >= self.awaited_sweep {
            let free = mem::replace(&mut self.swept, self.ids.release());
            self.needs_sweep = !self.swept.is_empty();
            is_any_free |= !free.is_empty();
        }
        is_any_free
    }

    /// The sweep that is needed is this one.
    pub fn await_sweep(&mut self, number: u64) {
        self.awaited_sweep = number;
    }

    /// Is there nothing to wait for?
    pub fn is_empty(&self) -> bool {
        *self == Self { awaited_sweep: self.awaited_sweep, ..Self::default() }
    }

    pub fn add_backend(&mut self, id: u16) {
        self.ids.young.backends.insert(id);
    }

    /// An earlier agent has cleared it.
    pub fn adopt_backend(&mut self, id: u16) {
        self.swept.backends.insert(id);
    }

    pub fn add_service(&mut self, id: u32) {
        self.ids.young.services.insert(id);
    }

    pub fn add_ring(&mut self, offset: u32, slots: u32) {
        self.ranges.young.rings.insert(offset, slots);
    }

    pub fn add_history(&mut self, offset: u32, slots: u32) {
        self.ranges.young.histories.insert(offset, slots);
    }

    pub fn backends(&self) -> impl Iterator<Item = u16> {
        self.all_ids().flat_map(|ids| ids.backends.iter().copied())
    }

    pub fn services(&self) -> impl Iterator<Item = u32> {
        self.all_ids().flat_map(|ids| ids.services.iter().copied())
    }

    fn all_ids(&self) -> impl Iterator<Item = &Ids> {
        self.ids.all().chain([&self.swept])
    }

    /// Offset and number of slots.
    pub fn rings(&self) -> impl Iterator<Item = (u32, u32)> {
        self.ranges.all().flat_map(|ranges| ranges.rings.iter().map(|(offset, slots)| (*offset, *slots)))
    }

    /// Offset and number of slots.
    pub fn histories(&self) -> impl Iterator<Item = (u32, u32)> {
        self.ranges.all().flat_map(|ranges| ranges.histories.iter().map(|(offset, slots)| (*offset, *slots)))
    }
}

impl Ids {
    fn is_empty(&self) -> bool {
        self.backends.is_empty() && self.services.is_empty()
    }
}

impl<T: Default> Aging<T> {
    fn all(&self) -> impl Iterator<Item = &T> {
        [&self.young, &self.old].into_iter()
    }

    /// Returns what was old.
    fn release(&mut self) -> T {
        mem::replace(&mut self.old, mem::take(&mut self.young))
    }
}
