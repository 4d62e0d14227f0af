use lb_common::Addr;

use super::*;

fn endpoint(n: u32) -> Endpoint {
    Endpoint { addr: Addr::from_words([0, 0, 0, n]), port: 80, pad: 0 }
}

fn slots_with(held: &[(u32, u32, u32)]) -> EndpointSlots {
    let mut slots = EndpointSlots::default();
    for (slot, service, n) in held {
        let entry = slots.taken(*slot, *service, endpoint(*n));
        slots.set(*slot, entry);
    }
    slots
}

fn clear(slots: &mut EndpointSlots, slot: u32) {
    let cleared = slots.get(slot).expect("a slot that is held").cleared();
    slots.clear(slot, cleared);
}

#[test]
fn a_slot_rests_and_comes_back_with_another_epoch() {
    let mut slots = slots_with(&[(0, 5, 1), (1, 5, 2)]);
    let before = *slots.get(0).expect("held");
    clear(&mut slots, 0);
    assert_eq!((slots.of(5, &endpoint(1)), slots.free(2).take()), (None, None));
    assert!(!slots.release_oldest() && slots.release_oldest() && !slots.has_resting());
    assert_eq!(slots.free(2).take(), Some(0));
    let after = slots.taken(0, 5, endpoint(1));
    assert!(after.is_held() && after.epoch != before.epoch);
}

#[test]
fn a_slot_that_is_cleared_again_rests_from_then_on() {
    let mut slots = slots_with(&[(0, 5, 1)]);
    let cleared = slots.get(0).expect("held").cleared();
    slots.clear(0, cleared);
    assert!(!slots.release_oldest());
    slots.clear(0, cleared);
    assert!(!slots.release_oldest() && slots.free(1).take().is_none());
    assert!(slots.release_oldest() && !slots.has_resting());
    assert_eq!(slots.free(1).take(), Some(0));
}

#[test]
fn slots_wear_evenly() {
    let mut slots = slots_with(&[(0, 5, 1), (1, 5, 2)]);
    for _ in 0..9 {
        let slot = slots.free(4).take().expect("a free slot");
        slots.set(slot, slots.taken(slot, 5, endpoint(3)));
        clear(&mut slots, slot);
        slots.release_oldest();
        slots.release_oldest();
    }
    let epochs: Vec<_> = (0..4).map(|slot| slots.epoch(slot)).collect();
    assert_eq!(epochs, [1, 1, 10, 8]);
}

#[test]
fn each_service_has_slots_of_its_own_for_the_same_endpoint() {
    let slots = slots_with(&[(0, 5, 1), (1, 6, 1), (2, 5, 2)]);
    assert_eq!((slots.of(5, &endpoint(1)), slots.of(6, &endpoint(1))), (Some(0), Some(1)));
    let of_service: Vec<_> = slots.of_service(5).map(|(_, slot)| slot).collect();
    assert_eq!((of_service, slots.held().count()), (vec![0, 2], 3));
}

#[test]
fn what_is_adopted_keeps_its_epoch_and_leaves_no_gap() {
    let mut slots = EndpointSlots::default();
    slots.adopt(2, EndpointSlot { epoch: 8, ..EndpointSlot::default() });
    slots.adopt(4, slots.taken(4, 5, endpoint(1)));
    let mut free = slots.free(6);
    assert_eq!(std::iter::from_fn(|| free.take()).collect::<Vec<_>>(), [5, 0, 1, 3, 2]);
    assert_eq!(slots.taken(2, 5, endpoint(2)).epoch, 9);
}
