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
    let mut lists = advance(&[], &[1, 1], &[], always);
    for ring in [[2, 2], [3, 3], [2, 2]] {
        lists = advance(&lists, &ring, &[], always);
    }
    assert_eq!(ids(&lists[0]), [2, 3, 1]);
    assert_eq!(ids(&lists[1]), [2, 3, 1]);
}

#[test]
fn the_oldest_is_forgotten_when_there_are_more_than_seven() {
    let lists = (1..=20).fold(Vec::new(), |lists, owner| advance(&lists, &[owner], &[], always));
    assert_eq!(ids(&lists[0]), [20, 19, 18, 17, 16, 15, 14, 13]);
}

#[test]
fn who_is_gone_is_left_out() {
    let lists = advance(&advance(&[], &[1], &[], always), &[2], &[], always);
    let lists = advance(&lists, &[3], &[], |id| id != 1);
    assert_eq!(ids(&lists[0]), [3, 2]);
}

#[test]
fn heirs_come_last_and_stay() {
    let ring = [1, 2, 3];
    let heirs = |slot| heirs::heirs_of(&ring, slot).collect::<Vec<_>>();
    let lists = advance(&[], &ring, &[], always);
    for (slot, list) in lists.iter().enumerate() {
        assert_eq!(ids(list), [&ring[slot..=slot], &heirs(slot)].concat());
    }
    assert_eq!(advance(&lists, &ring, &[], always), lists);
    let lists = advance(&resume(&[], &[4], always), &ring, &[], always);
    assert_eq!(ids(&lists[0]), [&[1, 4], &heirs(0)[..]].concat());
}

/// Its agent was away when the node was out, or the node is new.
#[test]
fn after_a_start_the_owner_without_this_node_is_the_newest_former_one() {
    let lists = advance(&advance(&[], &[3], &[], always), &[1], &[], always);
    let resumed = advance(&resume(&lists, &[2], always), &[1], &[], always);
    assert_eq!(ids(&resumed[0]), [1, 2, 3]);
    let again = advance(&resume(&resumed, &[2], always), &[1], &[], always);
    assert_eq!(again, resumed, "another start changes nothing");
    let without_3 = resume(&resumed, &[2], |id| id != 3);
    assert_eq!(ids(&without_3[0]), [2, 1]);
    assert_eq!(resume(&resumed, &[], always), resumed, "nobody else could have had the slot");
    let new = advance(&resume(&[], &[2], always), &[1], &[], always);
    assert_eq!(ids(&new[0]), [1, 2]);
}

#[test]
fn what_moves_is_counted() {
    let lists = advance(&[], &[1, 2, 3], &[], always);
    assert_eq!(moved(&[], &[1, 2, 3]), 0);
    assert_eq!(moved(&lists, &[1, 2, 3]), 0);
    assert_eq!(moved(&lists, &[1, 3, 1]), 2);
    assert_eq!(moved(&lists, &[1, 1, 2, 2, 3, 3]), 0, "each slot is two now");
    assert_eq!((depth(&[]), depth(&resume(&[], &[1], always)), depth(&lists)), (0, 0, 2));
}

/// A service had many owners before it became `Local`.
#[test]
fn keepers_stand_before_former_owners() {
    let lists = (11..=20).fold(Vec::new(), |lists, owner| advance(&lists, &[owner], &[], always));
    assert_eq!(ids(&lists[0]), [20, 19, 18, 17, 16, 15, 14, 13]);
    let some = advance(&lists, &[20], &[1, 2, 20], always);
    assert_eq!(ids(&some[0]), [20, 1, 2, 19, 18, 17, 16, 15]);
    let many = advance(&lists, &[20], &[1, 2, 3, 4, 5, 6], always);
    assert_eq!(ids(&many[0]), [20, 1, 2, 3, 4, 19, 18, 17]);
    let one_less = advance(&some, &[20], &[2], always);
    assert_eq!(ids(&one_less[0]), [20, 2, 1, 19, 18, 17, 16, 15], "it may have flows still");
    assert_eq!(ids(&advance(&some, &[20], &[2], |id| id != 1)[0]), [20, 2, 19, 18, 17, 16, 15]);
}

#[test]
fn where_there_is_no_room_each_slot_has_other_keepers() {
    let keepers: Vec<u16> = (1..=20).collect();
    let lists = advance(&[], &[50; 20], &keepers, always);
    let listed = |keeper: &u16| lists.iter().filter(|list| list.ids.contains(keeper)).count();
    assert!(keepers.iter().all(|keeper| listed(keeper) == 7), "{lists:?}");
}

proptest! {
    /// Up to four keepers are in every list, whatever came before, and the newest owners in what room is left.
    #[test]
    fn keepers_and_the_newest_owners_are_listed(
        rings in prop::collection::vec(prop::collection::vec(1u16..9, 13), 1..12),
        keepers in prop::collection::btree_set(20u16..30, 0..5),
    ) {
        let keepers: Vec<u16> = keepers.into_iter().collect();
        let lists = rings.iter().fold(Vec::new(), |lists, ring| advance(&lists, ring, &keepers, always));
        for (slot, list) in lists.iter().enumerate() {
            prop_assert!(keepers.iter().all(|keeper| list.ids.contains(keeper)), "{list:?}");
            let mut newest: Vec<u16> = Vec::new();
            rings.iter().rev().map(|ring| ring[slot]).for_each(|owner| {
                if !newest.contains(&owner) {
                    newest.push(owner);
                }
            });
            let room = list.ids.len() - keepers.len();
            prop_assert!(newest.iter().take(room).all(|owner| list.ids.contains(owner)), "{newest:?}, {list:?}");
        }
        let last = rings.last().map_or(&[][..], Vec::as_slice);
        prop_assert_eq!(advance(&lists, last, &keepers, always), lists, "nothing has changed");
    }

    /// Whatever lengths a ring goes through: the owner of a flow's hash at any
    /// time is in the list of the flow's slot at the end, if there were no
    /// more than seven.
    #[test]
    fn an_owner_is_found_by_the_hash(
        rings in prop::collection::vec(prop::collection::vec(1u16..7, 1..60), 1..6),
        hash: u64,
    ) {
        let lists = rings.iter().fold(Vec::new(), |lists, ring| advance(&lists, ring, &[], always));
        let last = &lists[hash::slot(hash, lists.len() as u32) as usize];
        for ring in &rings {
            let owner = ring[hash::slot(hash, ring.len() as u32) as usize];
            prop_assert!(last.ids.contains(&owner), "{owner} in {:?}", last.ids);
        }
        prop_assert_eq!(last.ids[0], rings[rings.len() - 1][hash::slot(hash, lists.len() as u32) as usize]);
    }
}
