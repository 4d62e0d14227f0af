//! Fellows that do not answer: the search goes past them.

use lb_common::{
    Verdict::DropDeadOwner,
    maps::{Backend, backend_flags},
};

use super::{FOUND, been, kinds_between_nodes, story::Story};
use crate::{
    services::{self, OWNED, fellow_id},
    world::{Family, NODE},
};

/// Of those who are in the list of `OWNED`.
const FORMER: [u8; 3] = [1, 2, 3];

fn dies(story: &mut Story, outer: Family, number: u8) {
    let id = u32::from(fellow_id(outer, number));
    let (_, entry) = services::backends().into_iter().find(|(other, _)| *other == id).unwrap();
    let flags = entry.flags | backend_flags::DEAD;
    story.machine.set_backend(id, Backend { flags, ..entry });
}

#[test]
fn the_next_one_is_asked() {
    for way in kinds_between_nodes() {
        let mut story = Story::of(OWNED, way);
        let packet = story.later();
        dies(&mut story, way.1, 1);
        story.comes(&packet).goes_to(2, &been(&[NODE]));
    }
}

/// What was found there is searched for again.
#[test]
fn nothing_follows_to_who_has_died() {
    for way in kinds_between_nodes() {
        let mut story = Story::of(OWNED, way);
        let packet = story.later();
        story.comes_from(3, &been(&[NODE]).saying(FOUND), &packet);
        dies(&mut story, way.1, 3);
        story.comes(&packet).goes_to(1, &been(&[NODE]));
    }
}

/// It may be his: its end would be that of a connection that he perhaps still
/// has. A flow that can begin with any packet begins here.
#[test]
fn a_connection_that_only_the_dead_may_know_waits() {
    for way in kinds_between_nodes() {
        let mut story = Story::of(OWNED, way);
        let packet = story.later();
        FORMER.into_iter().for_each(|number| dies(&mut story, way.1, number));
        if way.0.is_tcp {
            story.comes(&packet).goes_nowhere(DropDeadOwner);
            assert_eq!(story.flows(), []);
        } else {
            story.comes(&packet).stays_here();
        }
    }
}
