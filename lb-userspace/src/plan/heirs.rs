//! Who takes over the slots of a backend that looks dead: in an order that
//! the ring alone decides, so that everybody knows who had, or would have, a
//! slot, without having seen who was dead when.
//!
//! A Maglev table without the dead would move some slots of the living too,
//! and only who knows all of the dead could compute it. Pure.

/// The ring with heirs in place of who is not alive; nobody else moves. None
/// if nobody is alive.
pub fn living(ring: &[u16], is_alive: impl Fn(u16) -> bool) -> Option<Vec<u16>> {
    let heir = |(slot, owner): (usize, &u16)| {
        let line = std::iter::once(*owner).chain(line(ring, slot));
        line.into_iter().find(|member| is_alive(*member))
    };
    ring.iter().enumerate().map(heir).collect()
}

/// The heirs of a slot's owner, first to last, each once.
pub fn of(ring: &[u16], slot: usize) -> impl Iterator<Item = u16> {
    let mut known = vec![ring[slot]];
    line(ring, slot).filter(move |heir| {
        let is_new = !known.contains(heir);
        if is_new {
            known.push(*heir);
        }
        is_new
    })
}

/// The owners of all other slots, in an order that scatters the slots of one
/// owner over all others, as their weights are.
fn line(ring: &[u16], slot: usize) -> impl Iterator<Item = u16> {
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
