use lb_common::Addr;
use proptest::prelude::*;

use super::*;
use crate::plan::BackendKey;

const LIMITS: Limits = Limits { fall: 3, rise: 3 };
const QUICK: Duration = Duration::from_micros(200);

fn node(number: u8) -> Subject {
    Subject::Node(BackendKey::fellow_node(Addr::from(std::net::IpAddr::from([10, 0, 0, number]))))
}

fn prober(limits: Limits, nodes: u8) -> Prober {
    let mut prober = Prober::new(limits);
    prober.track((1..=nodes).map(node), Instant::now());
    prober
}

/// A round in which these answer.
fn run_round(prober: &mut Prober, answering: impl Fn(u8) -> bool) {
    let (sequence, asked) = prober.open_round();
    for subject in asked {
        let Subject::Node(key) = subject else { unreachable!("{subject}") };
        if answering(key.addr.bytes[15]) {
            prober.record_answer(&subject, sequence, QUICK);
        }
    }
    prober.close_round(Instant::now());
}

fn health_of(prober: &Prober, number: u8) -> Health {
    prober.healths()[&node(number)].clone()
}

#[test]
fn three_lost_probes_are_a_death_and_three_answers_a_return() {
    let mut prober = prober(LIMITS, 2);
    let mut seen = Vec::new();
    for answers in [true, false, false, false, true, true, false, true, true, true] {
        run_round(&mut prober, |number| number == 1 || answers);
        assert!(health_of(&prober, 1).alive);
        seen.push(health_of(&prober, 2).alive);
    }
    assert_eq!(seen, [true, true, true, false, false, false, false, false, false, true]);
    let health = health_of(&prober, 2);
    assert_eq!((health.asked, health.lost, health.round_trip), (10, 4, Some(QUICK)));
}

#[test]
fn a_late_answer_says_nothing() {
    let mut prober = prober(Limits { fall: 1, rise: 1 }, 1);
    let (sequence, _) = prober.open_round();
    prober.close_round(Instant::now());
    prober.record_answer(&node(1), sequence, QUICK);
    assert!(!health_of(&prober, 1).alive);
    let _ = prober.open_round();
    prober.record_answer(&node(1), sequence, QUICK);
    prober.close_round(Instant::now());
    assert!(!health_of(&prober, 1).alive);
}

#[test]
fn who_joins_within_a_round_is_not_judged_by_it() {
    let mut prober = prober(Limits { fall: 1, rise: 1 }, 1);
    let (_, _) = prober.open_round();
    prober.track([node(2)], Instant::now());
    prober.close_round(Instant::now());
    assert_eq!(prober.healths().len(), 1);
    assert!(health_of(&prober, 2).alive);
}

#[test]
fn who_could_not_be_asked_is_not_judged() {
    let mut prober = prober(Limits { fall: 1, rise: 1 }, 2);
    let (_, _) = prober.open_round();
    prober.skip_subject(&node(2));
    prober.close_round(Instant::now());
    assert!(!health_of(&prober, 1).alive);
    assert_eq!((health_of(&prober, 2).alive, health_of(&prober, 2).asked), (true, 0));
}

proptest! {
    /// Against a model that looks at all results so far.
    #[test]
    fn a_change_takes_exactly_as_many_results_as_asked_for(
        fall in 1u32..6,
        rise in 1u32..6,
        answers in prop::collection::vec(any::<bool>(), 0..200),
    ) {
        let mut prober = prober(Limits { fall, rise }, 1);
        let mut alive = true;
        // Results since the last change.
        let mut since: Vec<bool> = Vec::new();
        for answer in answers {
            run_round(&mut prober, |_| answer);
            since.push(answer);
            let needed = if alive { fall } else { rise } as usize;
            if since.len() >= needed && since[since.len() - needed..].iter().all(|good| *good != alive) {
                alive = !alive;
                since.clear();
            }
            prop_assert_eq!(health_of(&prober, 1).alive, alive);
        }
    }

    /// The health of one node does not depend on others.
    #[test]
    fn everybody_is_judged_alone(answers in prop::collection::vec((any::<bool>(), any::<bool>()), 0..50)) {
        let (mut alone, mut together) = (prober(LIMITS, 1), prober(LIMITS, 2));
        for (first, second) in answers {
            run_round(&mut alone, |_| first);
            run_round(&mut together, |number| if number == 1 { first } else { second });
            prop_assert_eq!(health_of(&alone, 1).alive, health_of(&together, 1).alive);
        }
    }
}
