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
    nudges.track_neighbours(&[(hop(1), false)].into(), start);
    let want = [0, 100, 300, 700, 1500, 3100, 6300, 11300, 16300];
    assert_eq!(nudge_times(&mut nudges, start, 20_000), want);
}

#[test]
fn resolved_neighbours_are_nudged_periodically() {
    let (mut nudges, start) = (Nudges::default(), Instant::now());
    nudges.track_neighbours(&[(hop(1), true)].into(), start);
    assert_eq!(nudge_times(&mut nudges, start, 50_000), [0, 15_000, 30_000, 45_000]);
}

#[test]
fn tracking_the_same_neighbour_again_changes_nothing() {
    let (mut nudges, start) = (Nudges::default(), Instant::now());
    let hops = [(hop(1), false)].into();
    nudges.track_neighbours(&hops, start);
    assert_eq!(nudges.take_due(start), [hop(1)]);
    nudges.track_neighbours(&hops, start);
    assert_eq!(nudges.take_due(start), []);
    assert_eq!(nudges.next_deadline(), Some(start + RETRY_FIRST));
}

#[test]
fn a_neighbour_that_is_lost_is_nudged_at_once() {
    let (mut nudges, start) = (Nudges::default(), Instant::now());
    nudges.track_neighbours(&[(hop(1), true)].into(), start);
    assert_eq!(nudges.take_due(start), [hop(1)]);
    let later = start + Duration::from_secs(3);
    nudges.track_neighbours(&[(hop(1), false)].into(), later);
    assert_eq!(nudges.take_due(later), [hop(1)]);
    assert_eq!(nudges.next_deadline(), Some(later + RETRY_FIRST));
}

#[test]
fn neighbours_no_longer_tracked_are_not_nudged() {
    let (mut nudges, start) = (Nudges::default(), Instant::now());
    nudges.track_neighbours(&[(hop(1), true), (hop(2), false)].into(), start);
    assert_eq!(nudges.take_due(start), [hop(1), hop(2)]);
    nudges.track_neighbours(&[(hop(2), false)].into(), start);
    assert_eq!(nudges.next_deadline(), Some(start + RETRY_FIRST));
    nudges.track_neighbours(&BTreeMap::new(), start);
    assert_eq!(nudges.next_deadline(), None);
    assert_eq!(nudges.take_due(start), []);
}
