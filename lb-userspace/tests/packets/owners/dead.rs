//! Fellows that do not answer: the search goes past them.

use lb_common::{
    Verdict::DropDeadOwner,
    maps::{Backend, backend_flags},
};

use super::{DIRECT, FOUND, kinds_between_nodes, story::SearchStory, trail_of};
use crate::{
    services::{self, OWNED, fellow_id},
    world::{Family, NODE},
};

/// Numbers of the fellows that owned the slots of `OWNED` before.
const FORMER: [u8; 3] = [1, 2, 3];

fn mark_dead(story: &mut SearchStory, outer: Family, number: u8) {
    let id = u32::from(fellow_id(outer, number));
    let (_, entry) = services::backends().into_iter().find(|(other, _)| *other == id).unwrap();
    let flags = entry.flags | backend_flags::DEAD;
    story.machine.set_backend(id, Backend { flags, ..entry });
}

#[test]
fn a_search_skips_a_dead_fellow() {
    for way in kinds_between_nodes() {
        let mut story = SearchStory::on_node(OWNED, way);
        let packet = story.later_packet();
        mark_dead(&mut story, way.1, 1);
        story.comes_from_director(&packet).goes_to_fellow(2, &trail_of(&[NODE]));
    }
}

/// What was found there is searched for again.
#[test]
fn a_flow_found_at_a_dead_fellow_is_searched_for_again() {
    for way in kinds_between_nodes() {
        let mut story = SearchStory::on_node(OWNED, way);
        let packet = story.later_packet();
        story
            .comes_from_fellow(3, &trail_of(&[NODE]).with_word(FOUND), &packet)
            .goes_to_fellow(3, &trail_of(&[NODE]).with_word(DIRECT));
        mark_dead(&mut story, way.1, 3);
        story.comes_from_director(&packet).goes_to_fellow(1, &trail_of(&[NODE]));
    }
}

/// A dead fellow may still have the connection, so it must not be ended with an RST.
/// A UDP flow can begin with any packet, and begins here.
#[test]
fn a_connection_that_only_the_dead_may_know_waits() {
    for way in kinds_between_nodes() {
        let mut story = SearchStory::on_node(OWNED, way);
        let packet = story.later_packet();
        FORMER.into_iter().for_each(|number| mark_dead(&mut story, way.1, number));
        if way.0.is_tcp {
            story.comes_from_director(&packet).goes_nowhere(DropDeadOwner);
            assert_eq!(story.flows(), []);
        } else {
            story.comes_from_director(&packet).stays_here();
        }
    }
}
