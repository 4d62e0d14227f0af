//! A cache of Maglev tables: many services have the same members, and so the same ring.

use std::{collections::HashMap, sync::Arc};

use super::maglev;

/// Maglev tables by their members, names and weights.
#[derive(Default)]
pub struct RingCache {
    rings: HashMap<Vec<(String, u32)>, Arc<[u16]>>,
    used: HashMap<Vec<(String, u32)>, Arc<[u16]>>,
}

impl RingCache {
    /// The Maglev table of members, given as pairs of name and weight. Slots are indices of `members`.
    pub fn ring_of(&mut self, members: Vec<(String, u32)>) -> Arc<[u16]> {
        if let Some(ring) = self.used.get(&members) {
            return ring.clone();
        }
        let ring = self
            .rings
            .remove(&members)
            .unwrap_or_else(|| maglev::table(&members, maglev::length_for(members.len())).into());
        self.used.insert(members, ring.clone());
        ring
    }

    /// Drops the rings that were not asked for since the last call.
    pub fn forget_unused(&mut self) {
        self.rings = std::mem::take(&mut self.used);
    }
}
