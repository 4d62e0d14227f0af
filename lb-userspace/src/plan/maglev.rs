//! Weighted Maglev hashing (Eisenbud et al., "Maglev: A Fast and Reliable
//! Software Network Load Balancer", NSDI 2016, section 3.4).
//!
//! The table depends on the set of names and weights alone: every machine
//! computes the same one, in whatever order it learned of the backends.

use crate::hash::{fnv1a, mix};

/// Ring lengths, all prime as Maglev demands. Few of them, and far apart:
/// a change of length moves most flows, so it must be rare.
pub const LENGTHS: [u32; 5] = [509, 2039, 8191, 32749, 65537];

/// The shortest ring that gives each of `backends` about 100 slots, which
/// keeps the largest share within about 1 % of the mean.
pub fn length_for(backends: usize) -> u32 {
    let wanted = u32::try_from(backends).unwrap_or(u32::MAX).saturating_mul(100);
    LENGTHS.into_iter().find(|&len| len >= wanted).unwrap_or(LENGTHS[LENGTHS.len() - 1])
}

/// The table of `len` slots (a prime); each names an index of `members`,
/// which are pairs of name and weight. Members of weight 0 get no slot.
/// Empty if nobody has a weight. At most 65,536 members.
pub fn table<N: AsRef<str>>(members: &[(N, u32)], len: u32) -> Vec<u16> {
    let mut turns = turns_by_name(members, len);
    let Some(heaviest) = turns.iter().map(|t| t.weight).max() else { return Vec::new() };
    let mut slots = vec![None; len as usize];
    let mut free = len;
    while free > 0 {
        for turn in &mut turns {
            // The heaviest takes a slot in every round, others as their
            // credit allows.
            turn.credit += u64::from(turn.weight);
            if turn.credit < u64::from(heaviest) || free == 0 {
                continue;
            }
            turn.credit -= u64::from(heaviest);
            let slot = turn.preference.by_ref().find(|&slot| slots[slot as usize].is_none());
            if let Some(slot) = slot {
                slots[slot as usize] = Some(turn.member);
                free -= 1;
            }
        }
    }
    slots.into_iter().flatten().collect()
}

/// A member's place in the rounds that fill the table.
struct Turn {
    member: u16,
    weight: u32,
    credit: u64,
    preference: Preference,
}

/// One for each member with a weight, sorted by name, so that the order of
/// `members` does not matter.
fn turns_by_name<N: AsRef<str>>(members: &[(N, u32)], len: u32) -> Vec<Turn> {
    let mut turns: Vec<(&str, Turn)> = (0u16..)
        .zip(members)
        .filter(|(_, (_, weight))| *weight > 0)
        .map(|(member, (name, weight))| {
            let preference = Preference::new(name.as_ref(), len);
            (name.as_ref(), Turn { member, weight: *weight, credit: 0, preference })
        })
        .collect();
    turns.sort_by_key(|(name, _)| *name);
    turns.into_iter().map(|(_, turn)| turn).collect()
}

/// The order in which a member wants slots: `offset + i * skip mod len`, a
/// permutation of all slots since `len` is prime.
struct Preference {
    next: u32,
    skip: u32,
    len: u32,
}

impl Preference {
    fn new(name: &str, len: u32) -> Self {
        let hash = mix(fnv1a(name));
        let next = (hash % u64::from(len)) as u32;
        let skip = (mix(hash) % u64::from(len - 1)) as u32 + 1;
        Self { next, skip, len }
    }
}

/// Endless; the caller stops once it found a free slot.
impl Iterator for Preference {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        let slot = self.next;
        // Both are less than `len`. A division here would take most of the time of a table.
        self.next += self.skip;
        if self.next >= self.len {
            self.next -= self.len;
        }
        Some(slot)
    }
}

#[cfg(test)]
mod tests;
