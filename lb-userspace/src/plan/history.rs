//! Former owners: the backends that had a slot of a service's ring before; and who else may
//! have flows of it.
//!
//! Pure. Ids are those of `BACKENDS` on this machine; a list names each once,
//! the current owner first, former ones from the newest on.

use lb_common::ring::{NO_BACKEND, Owners};

use super::heirs;

/// How many heirs of the owner a list has, if there is room. With 2, a flow is
/// found again after the owner and its first heir looked dead at the same time.
const LISTED_HEIRS: usize = 2;

/// How many keepers stand before former owners; others are behind, if there is room.
const LISTED_KEEPERS: usize = 4;

/// The lists for `ring`, given those of the ring before it (of whatever
/// length; empty if there was none). Ids that are not alive are left out.
///
/// `keepers` may have flows of any slot. If not all of them have room, each slot has others of them.
///
/// The owner's heirs come behind former owners: while the owner looked dead to the directors,
/// they sent its flows to an heir, and no object records that.
pub fn advance(
    before: &[Owners],
    ring: &[u16],
    keepers: &[u16],
    is_alive: impl Fn(u16) -> bool,
) -> Vec<Owners> {
    let mut lists = Vec::with_capacity(ring.len());
    for (slot, owner) in ring.iter().enumerate() {
        let mut list = OwnerList::new(*owner);
        let (behind, first) = keepers.split_at(slot % keepers.len().max(1));
        let mut keepers = first.iter().chain(behind);
        keepers.by_ref().take(LISTED_KEEPERS).for_each(|keeper| list.add(*keeper, &is_alive));
        for age in 0..Owners::default().ids.len() {
            for old in overlapping_slots(before, slot, ring.len()) {
                list.add(old.ids[age], &is_alive);
            }
        }
        for heir in heirs::heirs_of(ring, slot).take(LISTED_HEIRS) {
            list.add(heir, &is_alive);
        }
        keepers.for_each(|keeper| list.add(*keeper, &is_alive));
        lists.push(list.owners);
    }
    lists
}

/// The lists of a ring without known former owners: each names the owner alone.
pub fn begin(ring: &[u16]) -> Vec<Owners> {
    ring.iter().map(|owner| OwnerList::new(*owner).owners).collect()
}

/// The slots of the ring before that have hashes in common with slot `slot`
/// of `len`. A flow's slot is its hash scaled to the ring, so each slot is an
/// interval of hashes, whatever the length.
fn overlapping_slots(before: &[Owners], slot: usize, len: usize) -> &[Owners] {
    let first = slot * before.len() / len;
    let end = ((slot + 1) * before.len()).div_ceil(len);
    before.get(first..end).unwrap_or_default()
}

/// The list of one slot, while it is made.
struct OwnerList {
    owners: Owners,
    len: usize,
}

impl OwnerList {
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
