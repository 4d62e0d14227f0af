use proptest::prelude::*;

use super::*;
use crate::objects::model::Protocol;

const WEB: Frontend =
    Frontend { vip: std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), port: 80, protocol: Protocol::Tcp };

fn weights(members: &[(&str, u32)]) -> Weights {
    members.iter().map(|(name, weight)| ((*name).into(), *weight)).collect()
}

fn admit_alone(pace: &mut RingPace, wanted: &Weights, now: Instant) -> (Weights, Option<Instant>) {
    let members = pace.admit(WEB, wanted, now).clone();
    (members, pace.due())
}

type Members<'a> = &'a [(&'a str, u32)];

/// Steps: the time in milliseconds, the members wanted, those that the ring
/// gets, and when the rest is due.
fn assert_steps(steps: &[(u64, Members<'_>, Members<'_>, Option<u64>)]) {
    let start = Instant::now();
    let at = |ms| start + Duration::from_millis(ms);
    let mut pace = RingPace::default();
    for (ms, wanted, had, due) in steps {
        let expected = (weights(had), due.map(at));
        assert_eq!(admit_alone(&mut pace, &weights(wanted), at(*ms)), expected, "at {ms} ms");
    }
}

#[test]
fn additions_come_in_batches() {
    assert_steps(&[
        (0, &[("a", 1)], &[("a", 1)], None),
        (1000, &[("a", 1), ("b", 1)], &[("a", 1), ("b", 1)], None),
        (1010, &[("a", 1), ("b", 1), ("c", 1)], &[("a", 1), ("b", 1)], Some(1300)),
        (1020, &[("a", 1), ("b", 2), ("c", 1)], &[("a", 1), ("b", 1)], Some(1300)),
        (1300, &[("a", 1), ("b", 2), ("c", 1)], &[("a", 1), ("b", 2), ("c", 1)], None),
    ]);
}

#[test]
fn removals_come_at_once() {
    assert_steps(&[
        (0, &[("a", 1), ("b", 1)], &[("a", 1), ("b", 1)], None),
        (10, &[("a", 1)], &[("a", 1)], None),
        (20, &[("c", 1)], &[("c", 1)], None),
        (30, &[], &[], None),
        (40, &[("d", 3)], &[("d", 3)], None),
    ]);
}

#[test]
fn services_do_not_wait_for_each_other_and_are_forgotten() {
    let now = Instant::now();
    let mut pace = RingPace::default();
    let other = Frontend { port: 81, ..WEB };
    pace.admit(WEB, &weights(&[("a", 1)]), now);
    assert_eq!(*pace.admit(other, &weights(&[("b", 1)]), now), weights(&[("b", 1)]));
    pace.admit(WEB, &weights(&[("c", 1), ("a", 2)]), now);
    assert_eq!(pace.due_services(now + BATCH_INTERVAL).collect::<Vec<_>>(), [WEB]);
    pace.forget(&WEB);
    assert_eq!(*pace.admit(WEB, &weights(&[("c", 1), ("a", 2)]), now), weights(&[("c", 1), ("a", 2)]));
    assert_eq!(pace.due(), None);
    pace.admit(WEB, &weights(&[("d", 1), ("a", 2)]), now);
    pace.retain(|frontend| *frontend == other);
    assert_eq!(pace.due(), None);
}

proptest! {
    /// At the time that is due, a ring gets all wanted members. It never has a
    /// member that is not wanted, and is empty only if none is wanted.
    #[test]
    fn all_wanted_members_are_admitted_in_the_end(
        steps in prop::collection::vec((0u64..500, prop::collection::btree_map("[a-d]", 1u32..3, 0..4)), 1..12),
    ) {
        let mut pace = RingPace::default();
        let mut now = Instant::now();
        for (pause, wanted) in steps {
            now += Duration::from_millis(pause);
            let wanted: Weights = wanted.into_iter().map(|(name, weight)| (name.into(), weight)).collect();
            let (had, mut due) = admit_alone(&mut pace, &wanted, now);
            prop_assert!(had.iter().all(|(name, _)| wanted.iter().any(|(other, _)| other == name)));
            prop_assert_eq!(had.is_empty(), wanted.is_empty());
            prop_assert_eq!(due.is_none(), had == wanted);
            if let Some(at) = due.take() {
                prop_assert!(at <= now + BATCH_INTERVAL);
                let mut later = pace.clone();
                prop_assert_eq!(admit_alone(&mut later, &wanted, at), (wanted, None));
            }
        }
    }
}
