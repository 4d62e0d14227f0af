//! What is in a slab of slots, `RINGS` or `HISTORY`, as far as the agent has written it.

use std::{collections::BTreeSet, hash::Hash, sync::Arc};

use imbl::{HashMap, OrdMap};
use lb_common::ring::CHUNK_SLOTS;

use crate::plan::{aging::Aging, alloc::Gaps};

/// Ranges of slots, each with the number of services that name it. Equal ranges are written once. One
/// that nobody names rests, since a program at work on a packet may still read it: until its time has
/// passed it can be named again, and only then are its slots free. Cheap to copy.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SlabMirror<S: Hash + Eq> {
    /// By offset; they do not overlap.
    ranges: OrdMap<u32, SlotRange<S>>,
    /// Where to find them. Maps of an older agent may have more than one range of the same slots;
    /// then this has the first.
    offsets: HashMap<Arc<[S]>, u32>,
    gaps: Gaps,
    /// The offsets of those that nobody names.
    resting: Aging<BTreeSet<u32>>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
struct SlotRange<S> {
    slots: Arc<[S]>,
    names: u32,
    /// A service of damaged maps names a part of it, or more than it.
    is_overlapped: bool,
}

impl<S> SlotRange<S> {
    fn len(&self) -> u32 {
        self.slots.len() as u32
    }
}

impl<S: Hash + Eq> Default for SlabMirror<S> {
    fn default() -> Self {
        Self {
            ranges: OrdMap::new(),
            offsets: HashMap::new(),
            gaps: Gaps::default(),
            resting: Aging::default(),
        }
    }
}

impl<S: Clone + Hash + Eq> SlabMirror<S> {
    /// The slots that a service names so.
    pub fn get(&self, offset: u32, len: u32) -> Option<&Arc<[S]>> {
        let slots = self.ranges.get(&offset).map(|range| &range.slots);
        slots.filter(|slots| slots.len() == len as usize)
    }

    /// May a service name these from now on? Not what is in doubt, unless others name it: see [`Self::hide`].
    pub fn can_be_named(&self, offset: u32, len: u32) -> bool {
        let slots = self.get(offset, len);
        slots.is_some_and(|slots| self.is_named(offset) || self.offset_of(slots) == Some(offset))
    }

    /// Where these slots are.
    pub fn offset_of(&self, slots: &[S]) -> Option<u32> {
        self.offsets.get(slots).copied()
    }

    /// Offset and slots of those that services name.
    pub fn named(&self) -> impl Iterator<Item = (u32, &Arc<[S]>)> {
        let named = self.ranges.iter().filter(|(_, range)| range.names > 0);
        named.map(|(offset, range)| (*offset, &range.slots))
    }

    pub fn gaps(&self) -> &Gaps {
        &self.gaps
    }

    pub fn has_resting(&self) -> bool {
        self.resting.all().iter().any(|offsets| !offsets.is_empty())
    }

    /// They are written, and nobody names them yet. What is there already is only ever written again
    /// as it was.
    pub fn write(&mut self, offset: u32, slots: Arc<[S]>) {
        if !self.ranges.contains_key(&offset) {
            self.resting.young().insert(offset);
            self.insert(offset, slots);
        }
    }

    /// What an earlier agent has written. A service of damaged maps may name what can't be read, or what
    /// overlaps with another range: that is not here. Where it overlaps, nothing is written until the next
    /// start.
    pub fn adopt(&mut self, offset: u32, len: u32, read: impl FnOnce(u32, u32) -> Option<Arc<[S]>>) {
        if offset == 0 || len == 0 || self.get(offset, len).is_some() {
            return;
        }
        let Some(slots) = read(offset, len) else { return };
        let overlapped = self.ranges_within(offset, len);
        if overlapped.is_empty() && offset.is_multiple_of(CHUNK_SLOTS) {
            self.insert(offset, slots);
            return;
        }
        self.gaps.reserve(offset, len);
        for at in overlapped {
            if let Some(range) = self.ranges.get_mut(&at) {
                range.is_overlapped = true;
            }
        }
    }

    /// The offsets of ranges that have any of these slots.
    fn ranges_within(&self, offset: u32, len: u32) -> Vec<u32> {
        let before = self.ranges.range(..offset.saturating_add(len)).rev();
        let reaches = |(at, range): &(&u32, &SlotRange<S>)| at.saturating_add(range.len()) > offset;
        before.take_while(reaches).map(|(at, _)| *at).collect()
    }

    /// One more service names these. Returns them if it is the first.
    pub fn add_name(&mut self, offset: u32, len: u32) -> Option<Arc<[S]>> {
        self.get(offset, len)?;
        let range = self.ranges.get_mut(&offset)?;
        range.names += 1;
        let is_first = range.names == 1;
        if is_first {
            for offsets in self.resting.all_mut() {
                offsets.remove(&offset);
            }
        }
        is_first.then(|| range.slots.clone())
    }

    /// One service less names these. Returns them if it was the last.
    pub fn remove_name(&mut self, offset: u32, len: u32) -> Option<Arc<[S]>> {
        self.get(offset, len)?;
        let range = self.ranges.get_mut(&offset)?;
        range.names = range.names.saturating_sub(1);
        let is_last = range.names == 0;
        if is_last {
            self.resting.young().insert(offset);
        }
        is_last.then(|| range.slots.clone())
    }

    /// What is there may not be what was written: it is not found any more, and once nobody names it,
    /// nobody can.
    pub fn hide(&mut self, offset: u32) {
        let Some(range) = self.ranges.get(&offset) else { return };
        if self.offsets.get(&range.slots) == Some(&offset) {
            self.offsets.remove(&range.slots);
        }
    }

    /// Does a service name it?
    pub fn is_named(&self, offset: u32) -> bool {
        self.ranges.get(&offset).is_some_and(|range| range.names > 0)
    }

    /// Frees what has rested since the last call. True if there was anything.
    pub fn release_oldest(&mut self) -> bool {
        let free = self.resting.release();
        for offset in &free {
            self.hide(*offset);
            if let Some(range) = self.ranges.remove(offset).filter(|range| !range.is_overlapped) {
                self.gaps.free(*offset, range.len());
            }
        }
        !free.is_empty()
    }

    fn insert(&mut self, offset: u32, slots: Arc<[S]>) {
        self.gaps.reserve(offset, slots.len() as u32);
        self.offsets.entry(slots.clone()).or_insert(offset);
        self.ranges.insert(offset, SlotRange { slots, names: 0, is_overlapped: false });
    }
}

#[cfg(test)]
mod tests;
