//! Free ids, and the gaps of a slab of slots.

use std::collections::BTreeSet;

use imbl::OrdMap;
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

/// The gaps of a slab of slots, each from its first slot to behind its last. All begin and end at whole
/// chunks. The first chunk is in none: offset 0 stands for no slots, and the programs may read there.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Gaps(OrdMap<u32, u32>);

impl Default for Gaps {
    fn default() -> Self {
        Self(OrdMap::unit(CHUNK_SLOTS, u32::MAX / CHUNK_SLOTS * CHUNK_SLOTS))
    }
}

impl Gaps {
    /// The offset of the first gap with room for `len` slots in a slab of `capacity`.
    pub fn find(&self, len: u32, capacity: u32) -> Option<u32> {
        let fits = |start: u32, end: u32| end.min(capacity).saturating_sub(start) >= end_of_chunk(len);
        self.0.iter().find(|(start, end)| fits(**start, **end)).map(|(start, _)| *start)
    }

    /// No gap has any of these slots from now on.
    pub fn reserve(&mut self, offset: u32, len: u32) {
        let (start, end) = whole_chunks(offset, len);
        let before = self.0.range(..start).next_back().filter(|(_, to)| **to > start);
        let touched: Vec<_> =
            before.into_iter().chain(self.0.range(start..end)).map(|(from, to)| (*from, *to)).collect();
        for (from, to) in touched {
            self.0.remove(&from);
            if from < start {
                self.0.insert(from, start);
            }
            if end < to {
                self.0.insert(end, to);
            }
        }
    }

    /// Slots that were reserved, and are the only ones in their chunks, are a gap again.
    pub fn free(&mut self, offset: u32, len: u32) {
        let (mut start, mut end) = whole_chunks(offset, len);
        if let Some((from, _)) = self.0.range(..start).next_back().filter(|(_, to)| **to == start) {
            start = *from;
        }
        if let Some(to) = self.0.remove(&end) {
            end = to;
        }
        self.0.insert(start, end);
    }
}

/// From the first chunk with any of these slots to the last.
fn whole_chunks(offset: u32, len: u32) -> (u32, u32) {
    (offset / CHUNK_SLOTS * CHUNK_SLOTS, end_of_chunk(offset.saturating_add(len)))
}

fn end_of_chunk(slots: u32) -> u32 {
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
        let mut gaps = Gaps::default();
        gaps.reserve(32, 480);
        gaps.reserve(544, 100);
        assert_eq!(gaps.find(32, 1024), Some(512));
        assert_eq!(gaps.find(33, 1024), Some(672));
        assert_eq!(gaps.find(1024, 1024), None);
        gaps.free(544, 100);
        assert_eq!(gaps.find(512, 1024), Some(512));
    }

    /// All slots that are in a gap, up to `capacity`.
    fn free_slots(gaps: &Gaps, capacity: u32) -> BTreeSet<u32> {
        gaps.0.iter().flat_map(|(start, end)| *start..(*end).min(capacity)).collect()
    }

    proptest! {
        /// Ranges of damaged maps may overlap; those that were found never do.
        #[test]
        fn gaps_are_what_is_not_reserved(
            reserved in prop::collection::vec((0u32..200, 1u32..100), 0..6),
            steps in prop::collection::vec((any::<bool>(), 1u32..300, any::<prop::sample::Index>()), 0..30),
        ) {
            let capacity = 300 * CHUNK_SLOTS;
            let mut gaps = Gaps::default();
            let mut free: BTreeSet<u32> = (CHUNK_SLOTS..capacity).collect();
            let mut found = Vec::new();
            for (offset, len) in reserved {
                gaps.reserve(offset * CHUNK_SLOTS, len);
                let (start, end) = whole_chunks(offset * CHUNK_SLOTS, len);
                free.retain(|slot| !(start..end).contains(slot));
            }
            for (is_taken, len, which) in steps {
                if is_taken && let Some(offset) = gaps.find(len, capacity) {
                    let (start, end) = whole_chunks(offset, len);
                    prop_assert_eq!(offset, start);
                    prop_assert!((start..end).all(|slot| free.remove(&slot)));
                    gaps.reserve(offset, len);
                    found.push((offset, len));
                } else if !found.is_empty() {
                    let (offset, len) = found.swap_remove(which.index(found.len()));
                    let (start, end) = whole_chunks(offset, len);
                    gaps.free(offset, len);
                    free.extend(start..end);
                }
                prop_assert_eq!(free_slots(&gaps, capacity), free.clone());
                let is_merged = gaps.0.iter().zip(gaps.0.iter().skip(1)).all(|((_, end), (next, _))| end < next);
                prop_assert!(is_merged, "{:?}", gaps);
            }
        }
    }
}
