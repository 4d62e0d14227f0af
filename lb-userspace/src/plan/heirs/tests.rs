use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::plan::maglev;

fn ring(weights: &[u32]) -> Vec<u16> {
    let members: Vec<_> = weights.iter().enumerate().map(|(n, weight)| (format!("n{n}"), *weight)).collect();
    maglev::table(&members, 509)
}

#[test]
fn a_dead_ones_slots_go_to_the_others_by_their_weights() {
    let ring = ring(&[1, 1, 1, 2]);
    let live = living_ring(&ring, |member| member != 0).unwrap();
    let inherited = |heir| {
        let slots = ring.iter().zip(&live).filter(|(owner, now)| **owner == 0 && **now == heir);
        slots.count()
    };
    let shares = [1, 2, 3].map(inherited);
    // 102 slots: a quarter, a quarter, half of them.
    assert!(shares[0].abs_diff(25) < 12 && shares[1].abs_diff(25) < 12, "{shares:?}");
    assert!(shares[2].abs_diff(51) < 15, "{shares:?}");
}

#[test]
fn there_are_no_heirs_where_nobody_else_lives() {
    assert_eq!(living_ring(&ring(&[1, 1]), |_| false), None);
    assert_eq!(living_ring(&[], |_| true), Some(vec![]));
    assert_eq!(heirs_of(&[7], 0).count(), 0);
}

/// What the order is, is agreed on between machines: it must never change.
#[test]
fn the_order_of_heirs_is_fixed() {
    let ring = ring(&[1; 8]);
    let orders = [0, 1, 2, 508].map(|slot| heirs_of(&ring, slot).collect::<Vec<_>>());
    assert_eq!(orders.map(|order| order[..3].to_vec()), [[4, 1, 6], [3, 5, 2], [5, 3, 4], [0, 5, 4]]);
}

proptest! {
    #[test]
    fn the_living_keep_their_slots_and_the_dead_have_none(
        weights in prop::collection::vec(1u32..5, 1..12),
        dead: u16,
    ) {
        let ring = ring(&weights);
        let is_alive = |member: u16| dead & 1 << member == 0;
        let Some(live) = living_ring(&ring, is_alive) else {
            prop_assert!(ring.iter().all(|owner| !is_alive(*owner)));
            return Ok(());
        };
        prop_assert_eq!(live.len(), ring.len());
        for (slot, (owner, now)) in ring.iter().zip(&live).enumerate() {
            prop_assert!(is_alive(*now));
            prop_assert!(!is_alive(*owner) || owner == now);
            // Everybody before the heir in line is dead.
            let before = heirs_of(&ring, slot).take_while(|heir| heir != now);
            prop_assert!(is_alive(*owner) || before.into_iter().all(|heir| !is_alive(heir)));
        }
    }

    #[test]
    fn everybody_else_is_an_heir_once(weights in prop::collection::vec(1u32..5, 1..12), slot in 0usize..509) {
        let ring = ring(&weights);
        let heirs: Vec<u16> = heirs_of(&ring, slot).collect();
        let mut all: BTreeSet<u16> = heirs.iter().copied().collect();
        prop_assert_eq!(all.len(), heirs.len());
        prop_assert!(all.insert(ring[slot]));
        prop_assert_eq!(all, ring.iter().copied().collect());
    }
}
