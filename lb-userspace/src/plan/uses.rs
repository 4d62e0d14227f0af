//! How often backends are named. A backend lives as long as anything names it.

use imbl::{OrdMap, ordmap::Entry};
use lb_common::{
    maps::Peer,
    ring::{NO_BACKEND, Owners},
};

/// By the id of a backend: how many rings, histories and peers name it, if any does.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Uses(OrdMap<u16, u32>);

impl Uses {
    pub fn names(&self, backend: u16) -> bool {
        self.0.contains_key(&backend)
    }

    pub fn backends(&self) -> impl Iterator<Item = u16> {
        self.0.keys().copied()
    }

    /// Something that names each of these once is there from now on.
    pub fn add(&mut self, backends: impl IntoIterator<Item = u16>) {
        backends.into_iter().for_each(|id| *self.0.entry(id).or_default() += 1);
    }

    /// It is gone.
    pub fn remove(&mut self, backends: impl IntoIterator<Item = u16>) {
        for id in backends {
            if let Entry::Occupied(mut count) = self.0.entry(id) {
                *count.get_mut() -= 1;
                if *count.get() == 0 {
                    count.remove();
                }
            }
        }
    }
}

pub fn peer_backend(peer: &Peer) -> Option<u16> {
    u16::try_from(peer.backend).ok().filter(|id| *id != NO_BACKEND)
}

pub fn ring_backends(slots: &[u16]) -> Vec<u16> {
    distinct_backends(slots.iter().copied())
}

pub fn history_backends(slots: &[Owners]) -> Vec<u16> {
    distinct_backends(slots.iter().flat_map(|owners| owners.ids))
}

/// A ring has many slots, and few backends: nearly always, its bit is set already. One for each id
/// that there can be.
fn distinct_backends(ids: impl Iterator<Item = u16>) -> Vec<u16> {
    const BITS: usize = u64::BITS as usize;
    let mut seen = [0u64; (u16::MAX as usize + 1) / BITS];
    let mut found = Vec::new();
    for id in ids {
        let (word, bit) = (&mut seen[usize::from(id) / BITS], 1 << (usize::from(id) % BITS));
        if *word & bit == 0 && id != NO_BACKEND {
            *word |= bit;
            found.push(id);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backend_is_named_until_the_last_that_names_it_is_gone() {
        let mut uses = Uses::default();
        uses.add(ring_backends(&[3, 3, 65_535, NO_BACKEND]));
        uses.add(history_backends(&[Owners { ids: [3, 64, 0, 0, 0, 0, 0, 0] }]));
        uses.add(peer_backend(&Peer { roles: 1, backend: u32::from(NO_BACKEND) }));
        assert_eq!(uses.backends().collect::<Vec<_>>(), [3, 64, 65_535]);
        uses.remove(ring_backends(&[3, 65_535]));
        assert!(uses.names(3) && !uses.names(65_535));
        uses.remove(history_backends(&[Owners { ids: [64, 3, 0, 0, 0, 0, 0, 0] }]));
        assert_eq!(uses, Uses::default());
    }
}
