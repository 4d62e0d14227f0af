//! Heirs: the backends that take over the slots of one that looks dead. Their
//! order follows from the ring alone, so that every machine knows who had, or
//! would have, a slot, without a record of who looked dead at which time.
//!
//! A Maglev table computed without the dead would also move slots between
//! backends that live, and only a machine that knows all of the dead could
//! compute it. Pure.

/// The ring, with each slot whose owner is not alive given to its first heir
/// that is; all other slots stay. None if there are slots and nobody is alive.
pub fn living_ring(ring: &[u16], is_alive: impl Fn(u16) -> bool) -> Option<Vec<u16>> {
    let heir = |(slot, owner): (usize, &u16)| {
        let line = std::iter::once(*owner).chain(succession(ring, slot));
        line.into_iter().find(|member| is_alive(*member))
    };
    ring.iter().enumerate().map(heir).collect()
}

/// The heirs of a slot's owner, first to last, each once.
pub fn heirs_of(ring: &[u16], slot: usize) -> impl Iterator<Item = u16> {
    let mut known = vec![ring[slot]];
    succession(ring, slot).filter(move |heir| {
        let is_new = !known.contains(heir);
        if is_new {
            known.push(*heir);
        }
        is_new
    })
}

/// The owners of all other slots, in an order that differs from slot to slot,
/// so that one owner's slots go to all others in proportion to their weights.
fn succession(ring: &[u16], slot: usize) -> impl Iterator<Item = u16> {
    let len = ring.len();
    // Ring lengths are prime: any step leads through all slots.
    let step = 1 + slot.wrapping_mul(SCATTER) % len.saturating_sub(1).max(1);
    (1..len).map(move |number| ring[(slot + number * step) % len])
}

/// 2^64 divided by the golden ratio (Knuth, "The Art of Computer Programming",
/// volume 3, section 6.4): consecutive multiples are far apart.
const SCATTER: usize = 0x9e37_79b9_7f4a_7c15;

#[cfg(test)]
mod tests;
