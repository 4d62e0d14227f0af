//! A flood of packets of no flow is not multiplied by the chain.

use std::time::Duration;

use lb_common::{
    Verdict::{DropStray, HandOn},
    roles,
};

use super::{DIRECT, FOUND, OVER, been, direct, kinds_between_nodes, story::Story};
use crate::{
    machine::{Condition, Setup, WITHOUT_STRAYS},
    services::{self, FORMERLY, OWNED},
    world::{NODE, fellow},
};

/// In a second.
const LIMIT: u32 = 20;

/// From the beginning of a second on, since that is how they are counted.
#[test]
fn no_more_than_the_limit_are_handed_on_in_a_second() {
    let way = kinds_between_nodes().next().unwrap();
    let setup = Setup { roles: roles::NODE, condition: Condition::Strays(LIMIT) };
    let story = Story::on(setup, OWNED, way);
    let packets: Vec<_> = (41_000..41_050).map(|port| story.later().with_client_port(port)).collect();
    stay_on_one_cpu();
    for _ in 0..10 {
        let second = a_new_second();
        let before = story.machine.counts();
        packets.iter().for_each(|packet| drop(story.machine.xdp(&packet.frame())));
        let verdicts = story.machine.counts().since(&before).verdicts;
        if services::now() == second {
            let strays = packets.len() as u64 - u64::from(LIMIT);
            assert_eq!(verdicts, [(HandOn, u64::from(LIMIT)), (DropStray, strays)]);
            return;
        }
    }
    panic!("never {} packets in one second", packets.len());
}

fn a_new_second() -> u32 {
    let before = services::now();
    while services::now() == before {
        std::thread::sleep(Duration::from_millis(10));
    }
    services::now()
}

/// Each has a limit of its own.
fn stay_on_one_cpu() {
    let mut one = rustix::thread::CpuSet::new();
    one.set(rustix::thread::sched_getcpu());
    rustix::thread::sched_setaffinity(None, &one).unwrap();
}

/// They are not multiplied: each comes in once and leaves once.
#[test]
fn what_is_no_search_has_no_limit() {
    for way in kinds_between_nodes() {
        let story = Story::on(WITHOUT_STRAYS, OWNED, way);
        let (packet, trail) = (story.later(), been(&[NODE]));
        story.comes(&packet).goes_nowhere(DropStray);
        story.comes_from(2, &trail.clone().saying(FOUND), &packet).goes_to(2, &trail.saying(DIRECT));
        story.comes(&packet).goes_to(2, &direct());
        story
            .comes_from(2, &direct(), &story.later().with_client_port(40_002))
            .goes_to(2, &been(&[]).saying(OVER));
        story.comes_from(2, &been(&[]).saying(OVER), &packet).stays_here();
        if way.0.is_tcp {
            story.comes(&story.first().with_client_port(40_003)).stays_here();
        }
    }
}

/// The end of the search, or of the flow.
#[test]
fn the_way_back_has_no_limit() {
    for way in kinds_between_nodes() {
        let story = Story::on(WITHOUT_STRAYS, FORMERLY, way);
        let (packet, asked) = (story.later(), [1, 2, 3].map(fellow));
        story.comes_from(2, &been(&asked[..2]), &packet).goes_nowhere(DropStray);
        story.comes_from(3, &been(&asked), &packet).goes_to(1, &been(&[&asked[..], &[NODE]].concat()));
        let story = Story::on(WITHOUT_STRAYS, FORMERLY, way).has_flow();
        story.comes_from(2, &been(&asked[..2]), &packet).goes_to(1, &been(&asked[..2]).saying(FOUND));
    }
}
