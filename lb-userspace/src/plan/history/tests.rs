use lb_common::hash;
use proptest::prelude::*;

use super::*;

fn always(_: u16) -> bool {
    true
}

fn ids(owners: &Owners) -> Vec<u16> {
    owners.ids.iter().copied().take_while(|id| *id != NO_BACKEND).collect()
}

#[test]
fn owners_are_remembered_newest_first_and_once() {
    let mut lists = advance(&[], &[1, 1], always);
    for ring in [[2, 2], [3, 3], [2, 2]] {
        lists = advance(&lists, &ring, always);
    }
    assert_eq!(ids(&lists[0]), [2, 3, 1]);
    assert_eq!(ids(&lists[1]), [2, 3, 1]);
}

#[test]
fn the_oldest_is_forgotten_when_there_are_more_than_seven() {
    let lists = (1..=20).fold(Vec::new(), |lists, owner| advance(&lists, &[owner], always));
    assert_eq!(ids(&lists[0]), [20, 19, 18, 17, 16, 15, 14, 13]);
}

#[test]
fn who_is_gone_is_left_out() {
    let lists = advance(&advance(&[], &[1], always), &[2], always);
    let lists = advance(&lists, &[3], |id| id != 1);
    assert_eq!(ids(&lists[0]), [3, 2]);
}

#[test]
fn heirs_come_last_and_stay() {
    let ring = [1, 2, 3];
    let heirs = |slot| heirs::heirs_of(&ring, slot).collect::<Vec<_>>();
    let lists = advance(&[], &ring, always);
    for (slot, list) in lists.iter().enumerate() {
        assert_eq!(ids(list), [&ring[slot..=slot], &heirs(slot)].concat());
    }
    assert_eq!(advance(&lists, &ring, always), lists);
    let lists = advance(&begin(&[4]), &ring, always);
    assert_eq!(ids(&lists[0]), [&[1, 4], &heirs(0)[..]].concat());
}

proptest! {
    /// Whatever lengths a ring goes through: the owner of a flow's hash at any
    /// time is in the list of the flow's slot at the end, if there were no
    /// more than seven.
    #[test]
    fn an_owner_is_found_by_the_hash(
        rings in prop::collection::vec(prop::collection::vec(1u16..7, 1..60), 1..6),
        hash: u64,
    ) {
        let lists = rings.iter().fold(Vec::new(), |lists, ring| advance(&lists, ring, always));
        let last = &lists[hash::slot(hash, lists.len() as u32) as usize];
        for ring in &rings {
            let owner = ring[hash::slot(hash, ring.len() as u32) as usize];
            prop_assert!(last.ids.contains(&owner), "{owner} in {:?}", last.ids);
        }
        prop_assert_eq!(last.ids[0], rings[rings.len() - 1][hash::slot(hash, lists.len() as u32) as usize]);
    }
}
