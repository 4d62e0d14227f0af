use Nudged::{Resolved, Tended, Unresolved};

use proptest::prelude::*;

use super::*;

fn hop(last: u8) -> NeighbourKey {
    NeighbourKey { ifindex: 7, address: [192, 0, 2, last].into() }
}

/// Milliseconds at which `nudges` come due until `end`.
fn nudge_times(nudges: &mut Nudges, start: Instant, end: u64) -> Vec<u128> {
    let mut times = Vec::new();
    while let Some(due) = nudges.next_deadline().filter(|due| *due <= start + Duration::from_millis(end)) {
        assert_eq!(nudges.take_due(due), [hop(1)]);
        times.push((due - start).as_millis());
    }
    times
}

#[test]
fn unresolved_neighbours_are_nudged_ever_less_often() {
    let (mut nudges, start) = (Nudges::default(), Instant::now());
    nudges.track_only([(hop(1), Unresolved)], start);
    let want = [0, 100, 300, 700, 1500, 3100, 6300, 11300, 16300];
    assert_eq!(nudge_times(&mut nudges, start, 20_000), want);
}

#[test]
fn resolved_neighbours_are_nudged_periodically() {
    let (mut nudges, start) = (Nudges::default(), Instant::now());
    nudges.track_only([(hop(1), Resolved)], start);
    assert_eq!(nudge_times(&mut nudges, start, 50_000), [0, 15_000, 30_000, 45_000]);
}

#[test]
fn tracking_the_same_neighbour_again_changes_nothing() {
    let (mut nudges, start) = (Nudges::default(), Instant::now());
    let hops = [(hop(1), Unresolved)];
    nudges.track_only(hops, start);
    assert_eq!(nudges.take_due(start), [hop(1)]);
    nudges.track_only(hops, start);
    assert_eq!(nudges.take_due(start), []);
    assert_eq!(nudges.next_deadline(), Some(start + RETRY_FIRST));
}

#[test]
fn a_neighbour_that_is_lost_is_nudged_at_once() {
    let (mut nudges, start) = (Nudges::default(), Instant::now());
    nudges.track_only([(hop(1), Resolved)], start);
    assert_eq!(nudges.take_due(start), [hop(1)]);
    let later = start + Duration::from_secs(3);
    nudges.track_only([(hop(1), Unresolved)], later);
    assert_eq!(nudges.take_due(later), [hop(1)]);
    assert_eq!(nudges.next_deadline(), Some(later + RETRY_FIRST));
}

#[test]
fn neighbours_no_longer_tracked_are_not_nudged() {
    let (mut nudges, start) = (Nudges::default(), Instant::now());
    nudges.track_only([(hop(1), Resolved), (hop(2), Unresolved)], start);
    assert_eq!(nudges.take_due(start), [hop(1), hop(2)]);
    nudges.track_only([(hop(2), Unresolved)], start);
    assert_eq!(nudges.next_deadline(), Some(start + RETRY_FIRST));
    nudges.track_only([], start);
    assert_eq!(nudges.next_deadline(), None);
    assert_eq!(nudges.take_due(start), []);
}

#[test]
fn one_that_somebody_else_tends_is_not_nudged() {
    let (mut nudges, start) = (Nudges::default(), Instant::now());
    nudges.track(hop(1), Unresolved, start);
    nudges.track(hop(1), Tended, start);
    assert_eq!(nudges.next_deadline(), None);
    nudges.track(hop(1), Unresolved, start);
    assert_eq!(nudges.take_due(start), [hop(1)]);
}

/// A thousand that answer at once.
#[test]
fn resolved_neighbours_are_nudged_in_small_groups() {
    let (mut nudges, start) = (Nudges::default(), Instant::now());
    let hops: Vec<_> = (0..1000).map(|n| NeighbourKey { ifindex: n, ..hop(1) }).collect();
    nudges.track_only(hops.iter().map(|hop| (*hop, Resolved)), start);
    let mut nudged = BTreeMap::<NeighbourKey, Vec<Instant>>::new();
    let mut groups = Vec::new();
    while let Some(due) = nudges.next_deadline().filter(|due| *due < start + 4 * REFRESH) {
        let group = nudges.take_due(due);
        groups.push(group.len());
        group.into_iter().for_each(|hop| nudged.entry(hop).or_default().push(due));
    }
    assert_eq!(nudged.len(), 1000);
    let is_in_time = |times: &Vec<Instant>| {
        let mut pauses = times.windows(2).map(|pair| pair[1] - pair[0]);
        pauses.all(|pause| pause + TOGETHER >= REFRESH && pause <= REFRESH)
    };
    assert!(nudged.values().all(is_in_time));
    assert!(groups.iter().all(|size| *size <= 30), "{groups:?}");
    assert!(groups.len() <= 4 * 70, "{} times", groups.len());
}

proptest! {
    /// Against one that looks at all of them each time.
    #[test]
    fn the_queue_has_each_neighbour_once(
        steps in prop::collection::vec((1u8..5, 0usize..3, 0u64..20_000), 0..60)
    ) {
        let (mut nudges, mut now) = (Nudges::default(), Instant::now());
        for (last, nudged, pause) in steps {
            now += Duration::from_millis(pause);
            nudges.track(hop(last), [Tended, Resolved, Unresolved][nudged], now);
            let due = nudges.nudges.values().filter(|nudge| nudge.due <= now).count();
            prop_assert!(nudges.take_due(now).len() >= due);
            prop_assert_eq!(nudges.next_deadline(), nudges.nudges.values().map(|nudge| nudge.due).min());
            prop_assert!(nudges.next_deadline().is_none_or(|due| due > now));
            prop_assert_eq!(nudges.queue.len(), nudges.nudges.len());
        }
    }
}
