use std::collections::HashMap;

use proptest::prelude::*;

use super::*;

/// Seconds at which something happens, and how urgent that is; and the seconds at which it is told.
struct Rig {
    pace: Pace,
    start: Instant,
    now: Instant,
    /// What there is to tell.
    urgency: Urgency,
    told: Vec<Duration>,
    fails: bool,
}

impl Rig {
    fn new(seed: u64) -> Self {
        let now = Instant::now();
        Self {
            pace: Pace::new(seed),
            start: now,
            now,
            urgency: Urgency::None,
            told: Vec::new(),
            fails: false,
        }
    }

    fn news(&mut self, urgency: Urgency) {
        if self.urgency != Urgency::Soon {
            self.urgency = urgency;
        }
        self.pace.note_news(self.now);
    }

    fn run_until(&mut self, end: Duration) {
        let end = self.start + end;
        while let Some(due) = self.pace.due().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            if self.pace.is_time(self.urgency, self.now) {
                self.told.push(self.now - self.start);
                self.pace.note_attempt(!self.fails, self.now);
                if !self.fails {
                    self.urgency = Urgency::None;
                }
            }
        }
        self.now = end;
    }
}

const fn seconds(number: u64) -> Duration {
    Duration::from_secs(number)
}

#[test]
fn what_somebody_waits_for_is_told_soon_and_nothing_without_news() {
    let mut rig = Rig::new(1);
    rig.news(Urgency::Soon);
    rig.run_until(seconds(300));
    let [first] = rig.told[..] else { panic!("{:?}", rig.told) };
    assert!((FIRST..FIRST + SPREAD).contains(&first), "{first:?}");

    rig.news(Urgency::None);
    rig.run_until(RENEWAL);
    assert_eq!(rig.told.len(), 1, "it has come to nothing");
    rig.run_until(RENEWAL * 10);
    assert!((7..=10).contains(&rig.told.len()), "it may have been lost: {:?}", rig.told);
}

/// Two changes in a second, for half a minute.
#[test]
fn many_changes_are_a_report_every_five_seconds() {
    let mut rig = Rig::new(2);
    for half in 0..60 {
        rig.run_until(Duration::from_millis(500 * half));
        rig.news(Urgency::Soon);
    }
    rig.run_until(seconds(100));
    assert!((6..=7).contains(&rig.told.len()), "{:?}", rig.told);
    assert!(rig.told.windows(2).all(|pair| pair[1] - pair[0] >= SOON), "{:?}", rig.told);
    assert!(rig.told.last().is_some_and(|last| *last <= seconds(35)), "{:?}", rig.told);
}

#[test]
fn what_nobody_waits_for_is_told_each_minute_and_before_if_there_is_more() {
    let mut rig = Rig::new(3);
    rig.news(Urgency::Soon);
    for second in 5..=300 {
        rig.run_until(seconds(second));
        rig.news(Urgency::Later);
    }
    assert!((4..=10).contains(&rig.told.len()), "{:?}", rig.told);
    assert!(rig.told.windows(2).all(|pair| pair[1] - pair[0] >= LATER), "{:?}", rig.told);
    let before = rig.told.len();
    rig.run_until(seconds(310));
    rig.news(Urgency::Soon);
    rig.run_until(seconds(317));
    assert_eq!(rig.told.len(), before + 1, "{:?}", rig.told);
}

#[test]
fn a_thousand_agents_that_hear_what_nobody_waits_for_do_not_tell_it_at_once() {
    let told_at = |seed| {
        let mut rig = Rig::new(seed);
        rig.news(Urgency::Soon);
        rig.run_until(seconds(100));
        rig.news(Urgency::Later);
        rig.run_until(seconds(200));
        rig.told[1].as_secs()
    };
    let mut by_second = HashMap::new();
    (0..1000).for_each(|seed| *by_second.entry(told_at(seed)).or_insert(0_u32) += 1);
    let most = by_second.values().max();
    assert!(most.is_some_and(|most| *most < 50), "{by_second:?}");
}

/// The server may have taken it.
#[test]
fn what_was_not_answered_is_told_again_even_if_it_is_no_news_any_more() {
    let mut rig = Rig::new(5);
    rig.news(Urgency::Soon);
    rig.run_until(seconds(100));
    rig.fails = true;
    rig.news(Urgency::Soon);
    rig.run_until(seconds(102));
    (rig.fails, rig.urgency) = (false, Urgency::None);
    rig.run_until(seconds(110));
    assert_eq!(rig.told.len(), 3, "{:?}", rig.told);
}

#[test]
fn what_cannot_be_written_is_tried_again_ever_more_slowly() {
    let mut rig = Rig { fails: true, ..Rig::new(4) };
    rig.news(Urgency::Soon);
    for second in 0..1000 {
        rig.run_until(seconds(second));
        rig.news(Urgency::Soon);
    }
    assert!((10..25).contains(&rig.told.len()), "{:?}", rig.told);
    rig.fails = false;
    rig.run_until(seconds(1000) + LAST_RETRY * 2);
    assert_eq!(rig.urgency, Urgency::None, "{:?}", rig.told);
}

proptest! {
    #[test]
    fn reports_keep_their_distance_and_none_is_forgotten(
        seed in any::<u64>(),
        news in prop::collection::vec((0u64..20_000, any::<bool>()), 0..60),
    ) {
        let mut rig = Rig::new(seed);
        let mut at = Duration::ZERO;
        for (pause, is_urgent) in news {
            at += Duration::from_millis(pause);
            rig.run_until(at);
            rig.news(if is_urgent { Urgency::Soon } else { Urgency::Later });
        }
        rig.run_until(at + LATER + LATER_SPREAD + SOON);
        prop_assert_eq!(rig.urgency, Urgency::None);
        prop_assert!(rig.told.windows(2).all(|pair| pair[1] - pair[0] >= SOON), "{:?}", rig.told);
    }
}
