//! The end of a search that found nothing.

use lb_common::Verdict::EgressReply;

use super::{
    DIRECT, FOUND, OVER, direct_trail, gue_between_nodes, kinds_between_nodes, story::SearchStory, strangers,
    trail_of,
};
use crate::{
    case::leaves,
    expect::{from_vip, gue_packet, reply},
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
        let mut story = SearchStory::on_node(OWNED, way);
        let packet = story.later_packet();
        story.comes_from_director(&packet).goes_to_fellow(1, &trail_of(&[NODE]));
        assert_eq!(story.flows(), []);
        let trail = trail_of(&[NODE, fellow(1), fellow(2)]).with_word(OVER);
        story.comes_from_fellow(3, &trail, &packet).stays_here();
        story.has_only_flow(&packet);
        story.comes_from_director(&packet).stays_here();
        let answer = reply(&packet, pod(1));
        let output = frame(LEAVING, &from_vip(&packet, &answer.ip));
        leaves("the answer", AS_NODE, frame(LEAVING, &answer.ip))
            .becomes(EgressReply, output)
            .assert_on(&story.machine);
    }
}

/// Another node thinks that this one is the owner, or is told so by its list.
#[test]
fn what_is_over_begins_wherever_it_arrives() {
    for way in kinds_between_nodes() {
        let mut story = SearchStory::on_node(FORMERLY, way);
        let packet = story.later_packet();
        story.comes_from_fellow(1, &trail_of(&[fellow(1)]).with_word(OVER), &packet).stays_here();
        story.has_only_flow(&packet);
    }
}

/// All have been asked, and the last one is the owner himself.
#[test]
fn a_search_that_ends_at_the_owner_is_over() {
    for way in kinds_between_nodes() {
        for trail in
            [trail_of(&[1, 2, 3].map(fellow)), trail_of(&strangers(7)), trail_of(&strangers(7)).with_word(8)]
        {
            let mut story = SearchStory::on_node(OWNED, way);
            let packet = story.later_packet();
            story.comes_from_fellow(3, &trail, &packet).stays_here();
            story.has_only_flow(&packet);
        }
    }
}

#[test]
fn without_others_there_is_nothing_to_search() {
    for way in kinds_between_nodes() {
        let mut story = SearchStory::on_node(ALWAYS, way);
        let packet = story.later_packet();
        story.comes_from_director(&packet).stays_here();
        story.has_only_flow(&packet);
    }
}

/// Every list of the others may name one node that is none of theirs.
#[test]
fn without_history_a_search_ends_at_once() {
    for way in kinds_between_nodes() {
        let mut story = SearchStory::on_node(ALWAYS, way);
        let packet = story.later_packet();
        story.comes_from_fellow(1, &trail_of(&[fellow(1)]), &packet).stays_here();
        story.has_only_flow(&packet);
    }
}

/// Who was said to know the flow does not know it any more.
#[test]
fn a_packet_sent_directly_to_a_node_without_the_flow_goes_back() {
    for way in kinds_between_nodes() {
        for port in [OWNED, FORMERLY, LEFT, ALWAYS] {
            let mut story = SearchStory::on_node(port, way);
            let packet = story.later_packet();
            story
                .comes_from_fellow(4, &direct_trail(), &packet)
                .goes_to_fellow(4, &trail_of(&[]).with_word(OVER));
            assert_eq!(story.flows(), []);
            story.remembers(&[]);
        }
    }
}

/// It is from a node, but from none to which there is a way back.
#[test]
fn a_trail_from_a_node_that_is_no_fellow_ends_the_search() {
    for (kind, outer) in kinds_between_nodes() {
        for word in [DIRECT, FOUND] {
            let mut story = SearchStory::on_node(OWNED, (kind, outer));
            let packet = story.later_packet();
            let gue = gue_between_nodes(outer, &trail_of(&[NODE]).with_word(word), &packet);
            let input = frame(ARRIVING, &gue_packet(&gue, outer, OTHER_NODE, NODE, 0));
            story.packet_comes("from another node", input, &packet).stays_here();
            story.has_only_flow(&packet);
            story.remembers(&[]);
        }
    }
}
