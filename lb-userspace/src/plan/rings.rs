//! A cache of Maglev tables: many services have the same members, and so the same ring.

use std::{collections::HashMap, sync::Arc};

use super::{maglev, members::Weights, ring::Ring};

/// How many more rings than are in use are kept at least.
const SPARE: usize = 64;

/// Maglev tables by their members.
#[derive(Default)]
pub struct RingCache {
    rings: HashMap<Weights, Arc<Ring>>,
    /// At this number, those that nobody uses are dropped.
    limit: usize,
}

impl RingCache {
    /// The Maglev table of members. Slots are indices of `members`.
    pub fn ring_of(&mut self, members: &Weights) -> Arc<Ring> {
        if let Some(ring) = self.rings.get(members) {
            return ring.clone();
        }
        if self.rings.len() >= self.limit {
            self.rings.retain(|_, ring| Arc::strong_count(ring) > 1);
            self.limit = self.rings.len() + self.rings.len() / 4 + SPARE;
        }
        let table = maglev::table(members, maglev::length_for(members.len()));
        let ring: Arc<Ring> = Arc::new(table.into());
        self.rings.insert(Arc::clone(members), ring.clone());
        ring
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rings_that_nobody_uses_are_dropped_in_the_end() {
        let mut cache = RingCache::default();
        let members = |n: usize| Weights::from([(n.to_string().into(), 1)]);
        let used: Vec<_> = (0..10).map(|n| cache.ring_of(&members(n))).collect();
        for n in 10..1000 {
            cache.ring_of(&members(n));
        }
        assert!(cache.rings.len() <= 10 + 10 / 4 + SPARE, "{}", cache.rings.len());
        assert!((0..10).all(|n| Arc::ptr_eq(&cache.ring_of(&members(n)), &used[n])));
    }
}
