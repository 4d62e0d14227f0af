//! The end of a search that found nothing.

use lb_common::Verdict::EgressReply;

use super::{DIRECT, FOUND, OVER, been, direct, handed, kinds_between_nodes, story::Story, strangers};
use crate::{
    case::leaves,
    expect::{from_vip, reply, within},
    machine::AS_NODE,
    packet::frame,
    services::{ALWAYS, FORMERLY, LEFT, OWNED},
    world::{ARRIVING, LEAVING, NODE, OTHER_NODE, fellow, pod},
};

/// The client gets an RST then, or what a datagram is answered with; and it
/// comes from the VIP.
#[test]
fn a_flow_that_nobody_knows_begins_at_the_owner() {
    for way in kinds_between_nodes() {
        let mut story = Story::of(OWNED, way);
        let packet = story.later();
        story.comes(&packet).goes_to(1, &been(&[NODE]));
        assert_eq!(story.flows(), []);
        let trail = been(&[NODE, fellow(1), fellow(2)]).saying(OVER);
        story.comes_from(3, &trail, &packet).stays_here();
        story.has_only(&packet);
        story.comes(&packet).stays_here();
        let answer = reply(&packet, pod(1));
        let output = frame(LEAVING, &from_vip(&packet, &answer.ip));
        leaves("the answer", AS_NODE, frame(LEAVING, &answer.ip))
            .becomes(EgressReply, output)
            .happens_on(&story.machine);
    }
}

/// Another node thinks that this one is the owner, or is told so by its list.
#[test]
fn what_is_over_begins_wherever_it_arrives() {
    for way in kinds_between_nodes() {
        let mut story = Story::of(FORMERLY, way);
        let packet = story.later();
        story.comes_from(1, &been(&[fellow(1)]).saying(OVER), &packet).stays_here();
        story.has_only(&packet);
    }
}

/// All have been asked, and the last one is the owner himself.
#[test]
fn a_search_that_ends_at_the_owner_is_over() {
    for way in kinds_between_nodes() {
        for trail in [been(&[1, 2, 3].map(fellow)), been(&strangers(7)), been(&strangers(7)).saying(8)] {
            let mut story = Story::of(OWNED, way);
            let packet = story.later();
            story.comes_from(3, &trail, &packet).stays_here();
            story.has_only(&packet);
        }
    }
}

#[test]
fn without_others_there_is_nothing_to_search() {
    for way in kinds_between_nodes() {
        let mut story = Story::of(ALWAYS, way);
        let packet = story.later();
        story.comes(&packet).stays_here();
        story.has_only(&packet);
    }
}

/// Every list of the others may name one node that is none of theirs.
#[test]
fn without_history_a_search_ends_at_once() {
    for way in kinds_between_nodes() {
        let mut story = Story::of(ALWAYS, way);
        let packet = story.later();
        story.comes_from(1, &been(&[fellow(1)]), &packet).stays_here();
        story.has_only(&packet);
    }
}

/// Who was said to know the flow does not know it any more.
#[test]
fn the_way_back_is_over_too() {
    for way in kinds_between_nodes() {
        for port in [OWNED, FORMERLY, LEFT, ALWAYS] {
            let mut story = Story::of(port, way);
            let packet = story.later();
            story.comes_from(4, &direct(), &packet).goes_to(4, &been(&[]).saying(OVER));
            assert_eq!(story.flows(), []);
            story.remembers(&[]);
        }
    }
}

/// It is from a node, but from none to which there is a way back.
#[test]
fn the_words_of_no_fellow_end_it() {
    for (kind, outer) in kinds_between_nodes() {
        for word in [DIRECT, FOUND] {
            let mut story = Story::of(OWNED, (kind, outer));
            let packet = story.later();
            let gue = handed(outer, &been(&[NODE]).saying(word), &packet);
            let input = frame(ARRIVING, &within(&gue, outer, OTHER_NODE, NODE, 0));
            story.step("from another node", input, &packet).stays_here();
            story.has_only(&packet);
            story.remembers(&[]);
        }
    }
}
