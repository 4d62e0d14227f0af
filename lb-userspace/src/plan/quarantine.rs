//! What was in use until a moment ago, and must not be used again yet.

use std::{collections::BTreeSet, mem};

use super::aging::Aging;

/// Ids that no entry names any more. A program at work on a packet may have read them, and flows may
/// name them.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Quarantine {
    ids: Aging<Ids>,
    /// They have rested, and are free when the flows that name them are forgotten.
    swept: Ids,
    /// The sweep that has to be done before that.
    awaited_sweep: u64,
    /// It has not been asked for yet.
    pub needs_sweep: bool,
}

#[derive(Clone, PartialEq, Eq, Debug, Default)]
struct Ids {
    backends: BTreeSet<u16>,
    services: BTreeSet<u32>,
}

/// Sweeps of the flow tables, numbered from 1 in the order in which they were asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Sweeps {
    pub asked: u64,
    pub done: u64,
}

impl Quarantine {
    /// Frees ids that had rested at the last call, if a sweep that began after that is done. Called
    /// about once a second, so that everything rests for at least as long, which no packet on its way
    /// takes. True if anything was freed.
    pub fn release_oldest(&mut self, sweeps: Sweeps) -> bool {
        if self.needs_sweep || sweeps.done < self.awaited_sweep {
            return false;
        }
        let free = mem::replace(&mut self.swept, self.ids.release());
        self.needs_sweep = !self.swept.is_empty();
        !free.is_empty()
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
        self.ids.young().backends.insert(id);
    }

    /// An earlier agent has cleared it.
    pub fn adopt_backend(&mut self, id: u16) {
        self.swept.backends.insert(id);
    }

    pub fn add_service(&mut self, id: u32) {
        self.ids.young().services.insert(id);
    }

    pub fn backends(&self) -> impl Iterator<Item = u16> {
        self.all_ids().flat_map(|ids| ids.backends.iter().copied())
    }

    pub fn services(&self) -> impl Iterator<Item = u32> {
        self.all_ids().flat_map(|ids| ids.services.iter().copied())
    }

    fn all_ids(&self) -> impl Iterator<Item = &Ids> {
        self.ids.all().into_iter().chain([&self.swept])
    }
}

impl Ids {
    fn is_empty(&self) -> bool {
        self.backends.is_empty() && self.services.is_empty()
    }
}
