//! A flood of packets of no flow is not multiplied by the chain.

use std::time::Duration;

use lb_common::{
    Verdict::{DropStray, HandOn},
    roles,
};

use super::{DIRECT, FOUND, OVER, direct_trail, kinds_between_nodes, story::SearchStory, trail_of};
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
    let story = SearchStory::new(setup, OWNED, way);
    let packets: Vec<_> = (41_000..41_050).map(|port| story.later_packet().with_client_port(port)).collect();
    stay_on_one_cpu();
    for _ in 0..10 {
        let second = wait_for_next_second();
        let before = story.machine.counts();
        packets.iter().for_each(|packet| drop(story.machine.run_xdp(&packet.frame())));
        let verdicts = story.machine.counts().since(&before).verdicts;
        if services::monotonic_seconds() == second {
            let strays = packets.len() as u64 - u64::from(LIMIT);
            assert_eq!(verdicts, [(HandOn, u64::from(LIMIT)), (DropStray, strays)]);
            return;
        }
    }
    panic!("never {} packets in one second", packets.len());
}

fn wait_for_next_second() -> u32 {
    let before = services::monotonic_seconds();
    while services::monotonic_seconds() == before {
        std::thread::sleep(Duration::from_millis(10));
    }
    services::monotonic_seconds()
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
        let story = SearchStory::new(WITHOUT_STRAYS, OWNED, way);
        let (packet, trail) = (story.later_packet(), trail_of(&[NODE]));
        story.comes_from_director(&packet).goes_nowhere(DropStray);
        story
            .comes_from_fellow(2, &trail.clone().with_word(FOUND), &packet)
            .goes_to_fellow(2, &trail.with_word(DIRECT));
        story.comes_from_director(&packet).goes_to_fellow(2, &direct_trail());
        story
            .comes_from_fellow(2, &direct_trail(), &story.later_packet().with_client_port(40_002))
            .goes_to_fellow(2, &trail_of(&[]).with_word(OVER));
        story.comes_from_fellow(2, &trail_of(&[]).with_word(OVER), &packet).stays_here();
        if way.0.is_tcp {
            story.comes_from_director(&story.first_packet().with_client_port(40_003)).stays_here();
        }
    }
}

/// The end of the search, or of the flow.
#[test]
fn the_way_back_has_no_limit() {
    for way in kinds_between_nodes() {
        let story = SearchStory::new(WITHOUT_STRAYS, FORMERLY, way);
        let (packet, asked) = (story.later_packet(), [1, 2, 3].map(fellow));
        story.comes_from_fellow(2, &trail_of(&asked[..2]), &packet).goes_nowhere(DropStray);
        story
            .comes_from_fellow(3, &trail_of(&asked), &packet)
            .goes_to_fellow(1, &trail_of(&[&asked[..], &[NODE]].concat()));
        let story = SearchStory::new(WITHOUT_STRAYS, FORMERLY, way).with_open_flow();
        story
            .comes_from_fellow(2, &trail_of(&asked[..2]), &packet)
            .goes_to_fellow(1, &trail_of(&asked[..2]).with_word(FOUND));
    }
}
