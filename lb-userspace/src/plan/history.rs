//! Former owners: who had a slot of a service's ring before.
//!
//! Pure. Ids are those of `BACKENDS` on this machine; a list names each once,
//! the current owner first, then former ones from the newest on.

use lb_common::ring::{NO_BACKEND, Owners};

use super::heirs;

/// As many may look dead at a time as the owner, and one less than this of
/// its heirs, until a flow is not found again when they come back.
const HEIRS: usize = 2;

/// The lists for `ring`, given those of the ring before it (of whatever
/// length; empty if there was none). Ids that are not alive are left out.
///
/// Last come the owner's heirs: while it looked dead to the directors, they
/// sent its flows there, and no object tells of it.
pub fn advance(before: &[Owners], ring: &[u16], is_alive: impl Fn(u16) -> bool) -> Vec<Owners> {
    let mut lists = Vec::with_capacity(ring.len());
    for (slot, owner) in ring.iter().enumerate() {
        let mut list = List::new(*owner);
        for age in 0..Owners::default().ids.len() {
            for old in overlapping(before, slot, ring.len()) {
                list.add(old.ids[age], &is_alive);
            }
        }
        for heir in heirs::of(ring, slot).take(HEIRS) {
            list.add(heir, &is_alive);
        }
        lists.push(list.owners);
    }
    lists
}

/// The lists of a ring of which nothing but itself is known.
pub fn begin(ring: &[u16]) -> Vec<Owners> {
    ring.iter().map(|owner| List::new(*owner).owners).collect()
}

/// The slots of the ring before that have hashes in common with slot `slot`
/// of `len`. A flow's slot is its hash scaled to the ring, so each slot is an
/// interval of hashes, whatever the length.
fn overlapping(before: &[Owners], slot: usize, len: usize) -> &[Owners] {
    let first = slot * before.len() / len;
    let end = ((slot + 1) * before.len()).div_ceil(len);
    before.get(first..end).unwrap_or_default()
}

struct List {
    owners: Owners,
    len: usize,
}

impl List {
    fn new(owner: u16) -> Self {
        let mut owners = Owners::default();
        owners.ids[0] = owner;
        Self { owners, len: 1 }
    }

    fn add(&mut self, id: u16, is_alive: impl Fn(u16) -> bool) {
        let known = self.owners.ids[..self.len].contains(&id);
        if id != NO_BACKEND && !known && self.len < self.owners.ids.len() && is_alive(id) {
            self.owners.ids[self.len] = id;
            self.len += 1;
        }
    }
}

#[cfg(test)]
mod tests;
