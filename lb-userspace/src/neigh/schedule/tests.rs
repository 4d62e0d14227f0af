use super::*;

const MS: Duration = Duration::from_millis(1);

/// A schedule that was read for 20 ms, from `start`.
fn after_a_reading(start: Instant) -> Schedule {
    let mut schedule = Schedule::new(start);
    assert_eq!(schedule.due(), start);
    schedule.note_reading(start, start + 20 * MS, true);
    schedule
}

#[test]
fn without_a_change_it_is_read_again_after_a_while() {
    let start = Instant::now();
    let schedule = after_a_reading(start);
    assert_eq!(schedule.due(), start + 20 * MS + RESYNC);
    assert!(!schedule.has_changed());
}

#[test]
fn a_change_is_read_when_the_burst_and_the_rest_are_over() {
    let start = Instant::now();
    for (changed, due) in [(30, 100), (94, 100), (97, 102), (500, 505)] {
        let mut schedule = after_a_reading(start);
        schedule.note_change(start + changed * MS);
        assert!(schedule.has_changed());
        assert_eq!(schedule.due(), start + due * MS, "changed after {changed} ms");
        schedule.note_change(start + 600 * MS);
        assert_eq!(schedule.due(), start + due * MS, "further changes put nothing off");
        schedule.note_reading(start + due * MS, start + (due + 10) * MS, true);
        assert!(!schedule.has_changed());
        assert_eq!(schedule.due(), start + (due + 10) * MS + RESYNC);
    }
}

#[test]
fn a_change_does_not_put_off_a_reading_that_is_due() {
    let start = Instant::now();
    let mut schedule = after_a_reading(start);
    let due = schedule.due();
    schedule.note_change(due - MS);
    assert_eq!(schedule.due(), due);
}

#[test]
fn a_reading_that_failed_is_tried_again() {
    let start = Instant::now();
    let mut schedule = Schedule::new(start);
    schedule.note_reading(start, start + MS, false);
    assert_eq!(schedule.due(), start + MS + RETRY);
}
