//! What was in use until a moment ago, and must not be used again yet.

use std::collections::{BTreeMap, BTreeSet};

/// Ids and ranges that no entry names any more, but a program at work on a packet may
/// have read: not to be used again yet.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Quarantine {
    /// Retired since `old` was freed last.
    pub(super) young: Retired,
    old: Retired,
}

/// Ids, and ranges of the slabs, that were in use until a moment ago.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Retired {
    pub backends: BTreeSet<u16>,
    pub services: BTreeSet<u32>,
    /// Offset to number of slots.
    pub rings: BTreeMap<u32, u32>,
    /// The same in `HISTORY`.
    pub histories: BTreeMap<u32, u32>,
}

impl Quarantine {
    /// Frees what was there at the last call. Called about once a second, so that
    /// everything waits for at least as long, which no packet on its way takes.
    /// True if anything was freed.
    pub fn release_oldest(&mut self) -> bool {
        let freed = std::mem::replace(&mut self.old, std::mem::take(&mut self.young));
        !freed.is_empty()
    }

    pub fn is_empty(&self) -> bool {
        self.retired().all(Retired::is_empty)
    }

    pub fn retired(&self) -> impl Iterator<Item = &Retired> {
        [&self.young, &self.old].into_iter()
    }
}

impl Retired {
    fn is_empty(&self) -> bool {
        self.backends.is_empty()
            && self.services.is_empty()
            && self.rings.is_empty()
            && self.histories.is_empty()
    }
}
