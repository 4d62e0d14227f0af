use std::iter;

use super::*;
use crate::objects::source::Kind;

fn service(number: u32) -> ObjectRef {
    ObjectRef::new(Kind::Service, "default", &format!("s{number}"))
}

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// Begins and ends all that may be, until then; when that was.
fn run_until(queue: &mut Queue, now: &mut Instant, end: Instant) -> Vec<Instant> {
    let mut begun = Vec::new();
    while *now < end {
        while let Some(this) = queue.begin(*now) {
            begun.push(*now);
            queue.end(&this, *now);
        }
        *now = queue.due().unwrap_or(end).min(end);
    }
    begun
}

#[test]
fn twenty_at_once_and_then_twenty_in_a_second() {
    let start = Instant::now();
    let (mut queue, mut now) = (Queue::new(1, start), start);
    (0..1000).for_each(|number| queue.add(&service(number), false, start));
    let begun = run_until(&mut queue, &mut now, start + ms(10_000));
    let at_once = begun.iter().filter(|begun| **begun == start).count();
    assert_eq!(at_once, 20);
    for second in 0..10 {
        let end = start + ms(1000) * (second + 1);
        let within = begun.iter().filter(|begun| **begun > end - ms(1000) && **begun <= end).count();
        assert!((19..=20).contains(&within), "{within} in second {second}");
    }
}

/// What clients wait for does not wait for words.
#[test]
fn urgent_ones_go_first() {
    let start = Instant::now();
    let mut queue = Queue::new(1, start);
    (0..1000).for_each(|number| queue.add(&service(number), false, start));
    while queue.begin(start).is_some() {}
    queue.add(&service(2000), true, start);
    queue.add(&service(999), true, start);
    let mut next = || {
        let due = queue.due()?;
        let this = queue.begin(due)?;
        queue.end(&this, due);
        Some(this)
    };
    assert_eq!([next(), next()], [Some(service(2000)), Some(service(999))]);
    let others: HashSet<_> = iter::from_fn(next).collect();
    assert_eq!(others.len(), 1000 - 20 - 1);
}

#[test]
fn a_service_is_written_once_at_a_time() {
    let now = Instant::now();
    let mut queue = Queue::new(1, now);
    queue.add(&service(1), false, now);
    queue.add(&service(1), false, now);
    assert_eq!(queue.begin(now), Some(service(1)));
    queue.add(&service(1), false, now);
    assert_eq!((queue.begin(now), queue.due()), (None, None));
    queue.end(&service(1), now);
    queue.remove(&service(1));
    assert_eq!((queue.begin(now + ms(9000)), queue.due()), (None, None));
}

#[test]
fn one_that_is_written_again_and_again_slows_down_and_recovers() {
    let start = Instant::now();
    let (mut queue, mut now) = (Queue::new(1, start), start);
    let mut gaps = Vec::new();
    for _ in 0..12 {
        queue.add(&service(1), false, now);
        let due = queue.due().expect("it waits");
        gaps.push(due - now);
        now = due;
        assert_eq!(queue.begin(now), Some(service(1)));
        queue.end(&service(1), now);
    }
    assert_eq!(gaps[0], Duration::ZERO);
    assert!(gaps[1] >= FIRST_DELAY && gaps[1] < FIRST_DELAY * 2, "{gaps:?}");
    assert!(gaps[11] >= LAST_DELAY && gaps[11] <= LAST_DELAY * 3 / 2, "{gaps:?}");
    // Others don't wait for it.
    queue.add(&service(1), false, now);
    queue.add(&service(2), false, now);
    assert_eq!(queue.begin(now), Some(service(2)));
    queue.end(&service(2), now + QUIET);
    queue.clear();
    queue.add(&service(1), false, now + QUIET);
    assert_eq!(queue.begin(now + QUIET), Some(service(1)));
}
