//! Free ids and free ranges of the ring slab, given what is in use.

use std::collections::{BTreeMap, BTreeSet};

use lb_common::ring::CHUNK_SLOTS;

/// Hands out the lowest free ids below a limit.
pub struct FreeIds {
    taken: BTreeSet<u32>,
    next: u32,
    limit: u32,
}

impl FreeIds {
    /// Ids from `first` to below `limit`, except those `taken`.
    pub fn new(first: u32, limit: u32, taken: BTreeSet<u32>) -> Self {
        Self { taken, next: first, limit }
    }

    /// The id that `take` would hand out.
    pub fn peek(&self) -> Option<u32> {
        (self.next..self.limit).find(|id| !self.taken.contains(id))
    }

    pub fn take(&mut self) -> Option<u32> {
        let id = self.peek()?;
        self.next = id + 1;
        Some(id)
    }
}

/// The gaps of a slab of slots. All ranges begin and end at whole chunks.
pub struct Gaps {
    /// Offset to length.
    gaps: BTreeMap<u32, u32>,
}

impl Gaps {
    /// The gaps that the `taken` ranges (offset, length; in any order, empty
    /// ones ignored) leave in a slab of `capacity` slots.
    pub fn new(capacity: u32, taken: impl Iterator<Item = (u32, u32)>) -> Self {
        let mut taken: Vec<_> = taken.filter(|(_, len)| *len > 0).collect();
        taken.sort_unstable();
        let mut gaps = BTreeMap::new();
        let mut start = 0;
        for (offset, len) in taken {
            if offset > start {
                gaps.insert(start, offset - start);
            }
            start = start.max(whole_chunks(offset.saturating_add(len)));
        }
        if capacity > start {
            gaps.insert(start, capacity - start);
        }
        Self { gaps }
    }

    /// The offset of the first gap with room for `len` slots.
    pub fn find(&self, len: u32) -> Option<u32> {
        let needed = whole_chunks(len);
        self.gaps.iter().find(|(_, gap)| **gap >= needed).map(|(offset, _)| *offset)
    }

    /// Takes the room that `find` finds.
    pub fn take(&mut self, len: u32) -> Option<u32> {
        let (offset, needed) = (self.find(len)?, whole_chunks(len));
        let gap = self.gaps.remove(&offset)?;
        if gap > needed {
            self.gaps.insert(offset + needed, gap - needed);
        }
        Some(offset)
    }
}

fn whole_chunks(slots: u32) -> u32 {
    slots.div_ceil(CHUNK_SLOTS).saturating_mul(CHUNK_SLOTS)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ids_skip_what_is_taken_and_end_at_the_limit() {
        let mut ids = FreeIds::new(1, 5, BTreeSet::from([1, 3]));
        assert_eq!([ids.take(), ids.take(), ids.take()], [Some(2), Some(4), None]);
    }

    #[test]
    fn a_gap_between_rings_is_used_again() {
        let mut gaps = Gaps::new(1024, [(0, 509), (544, 100)].into_iter());
        assert_eq!(gaps.take(32), Some(512));
        assert_eq!(gaps.take(33), Some(672));
        assert_eq!(gaps.take(1024), None);
    }

    proptest! {
        #[test]
        fn ranges_never_overlap(
            taken in prop::collection::vec((0u32..200, 0u32..100), 0..20),
            wanted in prop::collection::vec(1u32..300, 0..20),
        ) {
            let taken: Vec<_> = taken.into_iter().map(|(o, l)| (o * CHUNK_SLOTS, l)).collect();
            let capacity = 300 * CHUNK_SLOTS;
            let mut gaps = Gaps::new(capacity, taken.iter().copied());
            let mut all: Vec<_> = taken.into_iter().filter(|(_, len)| *len > 0).collect();
            for len in wanted {
                if let Some(offset) = gaps.take(len) {
                    prop_assert_eq!(offset % CHUNK_SLOTS, 0);
                    prop_assert!(offset + len <= capacity);
                    for (o, l) in &all {
                        prop_assert!(offset + len <= *o || o + l <= offset);
                    }
                    all.push((offset, len));
                }
            }
        }
    }
}
