use super::*;

fn slots(first: u16) -> Arc<[u16]> {
    (first..first + 40).collect()
}

fn written(ranges: &[(u32, u16)]) -> SlabMirror<u16> {
    let mut slab = SlabMirror::default();
    ranges.iter().for_each(|(offset, first)| slab.write(*offset, slots(*first)));
    slab
}

#[test]
fn what_the_last_service_leaves_rests_and_can_be_named_again() {
    let mut slab = written(&[(32, 1)]);
    assert_eq!(slab.add_name(32, 40), Some(slots(1)));
    assert_eq!(slab.add_name(32, 40), None, "the second");
    assert_eq!(slab.remove_name(32, 40), None, "one is left");
    assert!(!slab.has_resting());
    assert_eq!(slab.remove_name(32, 40), Some(slots(1)));
    assert!(slab.has_resting() && slab.named().next().is_none());
    assert!(!slab.release_oldest());
    assert_eq!(slab.offset_of(&slots(1)), Some(32));
    assert_eq!(slab.add_name(32, 40), Some(slots(1)));
    assert!(!slab.release_oldest() && !slab.release_oldest());
    slab.remove_name(32, 40);
    assert_eq!(slab.gaps().find(40, 1000), Some(96));
    assert!(!slab.release_oldest() && slab.release_oldest());
    assert_eq!(slab, SlabMirror::default());
}

#[test]
fn what_nobody_ever_names_is_freed() {
    let mut slab = written(&[(32, 1)]);
    assert!(!slab.release_oldest() && slab.release_oldest());
}

#[test]
fn what_is_in_doubt_is_found_by_no_other_service() {
    let mut slab = written(&[(32, 1)]);
    slab.add_name(32, 40);
    slab.hide(32);
    assert_eq!((slab.offset_of(&slots(1)), slab.can_be_named(32, 40)), (None, true));
    slab.remove_name(32, 40);
    assert!(!slab.can_be_named(32, 40));
    assert!(!slab.release_oldest() && slab.release_oldest());
    assert_eq!(slab, SlabMirror::default());
}

#[test]
fn a_name_of_another_length_is_none_of_it() {
    let mut slab = written(&[(32, 1)]);
    slab.add_name(32, 40);
    assert_eq!((slab.add_name(32, 41), slab.remove_name(32, 39)), (None, None));
    assert_eq!(slab.remove_name(32, 40), Some(slots(1)), "it was named once");
}

#[test]
fn what_overlaps_is_not_adopted_and_nothing_is_written_there() {
    let mut slab = SlabMirror::default();
    slab.adopt(64, 40, |_, _| Some(slots(1)));
    slab.adopt(96, 40, |_, _| Some(slots(2)));
    slab.adopt(32, 64, |_, _| Some(slots(3)));
    slab.adopt(64, 20, |_, _| Some(slots(4)));
    slab.adopt(170, 10, |_, _| Some(slots(5)));
    slab.adopt(0, 40, |_, _| panic!("0 stands for none"));
    assert!(slab.get(64, 40).is_some() && [32, 96, 170].iter().all(|at| !slab.ranges.contains_key(at)));
    assert_eq!(slab.gaps().find(32, 1000), Some(192));
    slab.add_name(64, 40);
    slab.remove_name(64, 40);
    assert!(!slab.release_oldest() && slab.release_oldest());
    assert_eq!(slab.gaps().find(32, 1000), Some(192), "another service still reads there");
}

/// A service without limits would leave no room for anybody.
#[test]
fn what_cannot_be_read_takes_no_room() {
    let mut slab = SlabMirror::<u16>::default();
    slab.adopt(32, u32::MAX, |_, _| None);
    assert_eq!(slab, SlabMirror::default());
}

/// As an agent left them that wrote the same ring for each service.
#[test]
fn of_two_equal_ranges_the_other_one_is_found_no_more() {
    let mut slab = SlabMirror::default();
    slab.adopt(32, 40, |_, _| Some(slots(1)));
    slab.adopt(96, 40, |_, _| Some(slots(1)));
    [32, 96].iter().for_each(|at| drop(slab.add_name(*at, 40)));
    assert_eq!(slab.offset_of(&slots(1)), Some(32));
    slab.remove_name(96, 40);
    slab.release_oldest();
    slab.release_oldest();
    assert_eq!((slab.offset_of(&slots(1)), slab.gaps().find(40, 1000)), (Some(32), Some(96)));
}
