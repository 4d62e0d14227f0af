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
        list.add_all(overlapping_slots(before, slot, ring.len()), &is_alive);
        for heir in heirs::heirs_of(ring, slot).take(LISTED_HEIRS) {
            list.add(heir, &is_alive);
        }
        keepers.for_each(|keeper| list.add(*keeper, &is_alive));
        lists.push(list.owners);
    }
    lists
}

/// The lists that an agent goes on from when it starts: those that it finds (none, if there were none), as if
/// `without_me`, the ring of all but this node, had come after them. While the agent was away, this node may have been
/// out, and flows of its slots began at others. Without another member, `without_me` is empty.
pub fn resume(found: &[Owners], without_me: &[u16], is_alive: impl Fn(u16) -> bool) -> Vec<Owners> {
    if without_me.is_empty() {
        return found.to_vec();
    }
    let mut lists = Vec::with_capacity(without_me.len());
    for (slot, owner) in without_me.iter().enumerate() {
        let mut list = OwnerList::new(*owner);
        list.add_all(overlapping_slots(found, slot, without_me.len()), &is_alive);
        lists.push(list.owners);
    }
    lists
}

/// How many slots of `ring` have an owner that did not have all of their hashes before. Of a service that is new, none.
pub fn moved(before: &[Owners], ring: &[u16]) -> usize {
    let is_moved = |(slot, owner): &(usize, &u16)| {
        overlapping_slots(before, *slot, ring.len()).iter().any(|old| old.ids[0] != **owner)
    };
    ring.iter().enumerate().filter(is_moved).count()
}

/// The most former owners, heirs and keepers that any slot has: so many nodes may be asked for a flow.
pub fn depth(lists: &[Owners]) -> usize {
    let others = |list: &Owners| list.ids[1..].iter().filter(|id| **id != NO_BACKEND).count();
    lists.iter().map(others).max().unwrap_or_default()
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

    /// Those of these lists, newest first.
    fn add_all(&mut self, lists: &[Owners], is_alive: &impl Fn(u16) -> bool) {
        for age in 0..Owners::default().ids.len() {
            for list in lists {
                self.add(list.ids[age], is_alive);
            }
        }
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
