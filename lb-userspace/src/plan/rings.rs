//! Rings computed before: most services share the few sets of nodes.

use std::{collections::HashMap, sync::Arc};

use super::maglev;

/// Maglev tables by their members, names and weights.
#[derive(Default)]
pub struct RingCache {
    rings: HashMap<Vec<(String, u32)>, Arc<[u16]>>,
    used: HashMap<Vec<(String, u32)>, Arc<[u16]>>,
}

impl RingCache {
    pub fn ring(&mut self, members: Vec<(String, u32)>) -> Arc<[u16]> {
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

    /// Forget the rings that the last plan did not use.
    pub fn turn_over(&mut self) {
        self.rings = std::mem::take(&mut self.used);
    }
}
