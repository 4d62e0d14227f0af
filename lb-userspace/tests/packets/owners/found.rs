//! A flow that some node knows: the node that searched is told, and from then on
//! sends its packets there directly.

use lb_common::{Verdict::DropUnresolved, maps::Backend};

use super::{
    DIRECT, FOUND, OVER, direct_trail, kinds_between_nodes, story::SearchStory, strangers, trail_of,
};
use crate::{
    machine::AS_BOTH,
    services::{ALWAYS, FORMERLY, LEFT, OWN_BACKEND, OWNED, SILENT, fellow_id, port_over},
    world::{NODE, fellow},
};

#[test]
fn who_searched_remembers_where_it_was_found() {
    for way in kinds_between_nodes() {
        let mut story = SearchStory::on_node(OWNED, way);
        let (packet, trail) = (story.later_packet(), trail_of(&[NODE, fellow(1)]));
        story.comes_from_director(&packet).goes_to_fellow(1, &trail_of(&[NODE]));
        story
            .comes_from_fellow(2, &trail.clone().with_word(FOUND), &packet)
            .goes_to_fellow(2, &trail.with_word(DIRECT));
        story.remembers(&[(&packet, 2)]);
        story.comes_from_director(&packet).goes_to_fellow(2, &direct_trail());
        let other = story.later_packet().with_client_port(40_002);
        story.comes_from_director(&other).goes_to_fellow(1, &trail_of(&[NODE]));
        assert_eq!(story.flows(), []);
    }
}

#[test]
fn a_machine_of_both_roles_searches_and_remembers_as_a_node_does() {
    for way in kinds_between_nodes() {
        let mut story = SearchStory::new(AS_BOTH, OWNED, way);
        let (packet, trail) = (story.later_packet(), trail_of(&[NODE]));
        story.comes_from_director(&packet).goes_to_fellow(1, &trail);
        story
            .comes_from_fellow(1, &trail.clone().with_word(FOUND), &packet)
            .goes_to_fellow(1, &trail.with_word(DIRECT));
        story.comes_from_director(&packet).goes_to_fellow(1, &direct_trail());
        story.comes_from_fellow(1, &trail_of(&[]).with_word(OVER), &packet).stays_here();
        story.comes_from_director(&packet).stays_here();
        story.has_only_flow(&packet);
    }
}

/// However many were asked before.
#[test]
fn who_knows_the_flow_tells_who_searched() {
    for way in kinds_between_nodes() {
        let story = SearchStory::on_node(FORMERLY, way).with_open_flow();
        let packet = story.later_packet();
        for others in 0..7 {
            let trail = trail_of(&[vec![fellow(1)], strangers(others)].concat());
            let number = if others == 0 { 1 } else { 7 };
            story.comes_from_fellow(number, &trail, &packet).goes_to_fellow(1, &trail.with_word(FOUND));
        }
        story
            .comes_from_fellow(2, &trail_of(&[fellow(2)]), &packet)
            .goes_to_fellow(2, &trail_of(&[fellow(2)]).with_word(FOUND));
        story.comes_from_director(&packet).stays_here();
    }
}

/// By how many hops it was found, or that it was not.
#[test]
fn how_a_search_ends_is_counted() {
    for way in kinds_between_nodes() {
        let story = SearchStory::on_node(FORMERLY, way).with_open_flow();
        let (packet, trail) = (story.later_packet(), trail_of(&[fellow(1), fellow(2)]));
        let mut expected = story.machine.searches();
        story.comes_from_fellow(2, &trail, &packet).goes_to_fellow(1, &trail.clone().with_word(FOUND));
        expected[2] += 1;
        assert_eq!(story.machine.searches(), expected);
        story.comes_from_director(&packet).stays_here();
        assert_eq!(story.machine.searches(), expected);
        let unknown = packet.with_client_port(40_002);
        story.comes_from_fellow(1, &trail.with_word(OVER), &unknown).stays_here();
        // Any datagram can be the first of a flow.
        expected[0] += u64::from(way.0.is_tcp);
        assert_eq!(story.machine.searches(), expected);
    }
}

#[test]
fn who_knows_the_flow_takes_what_comes_to_him() {
    for way in kinds_between_nodes() {
        let mut story = SearchStory::on_node(FORMERLY, way).with_open_flow();
        let packet = story.later_packet();
        story.comes_from_director(&packet).stays_here();
        let trail = trail_of(&[fellow(1), fellow(2)]);
        for word in [0, 8, 0x80, 0xfc, FOUND, DIRECT, OVER] {
            story.comes_from_fellow(1, &trail.clone().with_word(word), &packet).stays_here();
        }
        story.has_only_flow(&packet);
        story.remembers(&[]);
    }
}

/// Nobody to tell: not in the list, this node itself, or out of reach.
#[test]
fn a_search_of_nobody_ends_where_the_flow_is() {
    for way in kinds_between_nodes() {
        let mut story = SearchStory::on_node(FORMERLY, way).with_open_flow();
        let packet = story.later_packet();
        let port = packet.port;
        story.machine.set_owners(port, &[OWN_BACKEND, fellow_id(way.1, 1), fellow_id(way.1, SILENT)]);
        for starter in [fellow(4), NODE, fellow(SILENT)] {
            story.comes_from_fellow(4, &trail_of(&[starter]), &packet).stays_here();
        }
        story.machine.set_owners(port, &[]);
        story.comes_from_fellow(1, &trail_of(&[fellow(1)]), &packet).stays_here();
    }
}

#[test]
fn the_end_of_a_flow_is_the_end_of_the_memory() {
    for way in kinds_between_nodes() {
        let mut story = SearchStory::on_node(OWNED, way);
        let packet = story.later_packet();
        story
            .comes_from_fellow(2, &trail_of(&[NODE]).with_word(FOUND), &packet)
            .goes_to_fellow(2, &trail_of(&[NODE]).with_word(DIRECT));
        story.comes_from_director(&packet).goes_to_fellow(2, &direct_trail());
        story.comes_from_fellow(2, &trail_of(&[]).with_word(OVER), &packet).stays_here();
        story.comes_from_director(&packet).stays_here();
        story.has_only_flow(&packet);
    }
}

/// It moved: the last who found it counts.
#[test]
fn what_is_found_again_is_remembered_anew() {
    for way in kinds_between_nodes() {
        let mut story = SearchStory::on_node(OWNED, way);
        let packet = story.later_packet();
        for number in [2, 3] {
            let trail = trail_of(&[NODE]);
            let found = trail.clone().with_word(FOUND);
            story.comes_from_fellow(number, &found, &packet).goes_to_fellow(number, &trail.with_word(DIRECT));
            story.remembers(&[(&packet, number)]);
            story.comes_from_director(&packet).goes_to_fellow(number, &direct_trail());
        }
    }
}

/// Its agent took the node off the list of backends.
#[test]
fn a_fellow_that_is_gone_is_not_asked_again() {
    for way in kinds_between_nodes() {
        let mut story = SearchStory::on_node(OWNED, way);
        let packet = story.later_packet();
        story
            .comes_from_fellow(3, &trail_of(&[NODE]).with_word(FOUND), &packet)
            .goes_to_fellow(3, &trail_of(&[NODE]).with_word(DIRECT));
        story.machine.set_backend(u32::from(fellow_id(way.1, 3)), Backend::default());
        story.comes_from_director(&packet).goes_to_fellow(1, &trail_of(&[NODE]));
    }
}

/// As one more hop: otherwise the node that searches would never learn who has the flow.
#[test]
fn who_is_asked_by_another_asks_whom_it_remembers() {
    for way in kinds_between_nodes() {
        for port in [FORMERLY, LEFT] {
            let mut story = SearchStory::on_node(port, way);
            let packet = story.later_packet();
            story
                .machine
                .set_owners(port_over(way.1, port), &[1, 2, 3].map(|number| fellow_id(way.1, number)));
            let found = trail_of(&[NODE]).with_word(FOUND);
            story
                .comes_from_fellow(3, &found, &packet)
                .goes_to_fellow(3, &trail_of(&[NODE]).with_word(DIRECT));
            story
                .comes_from_fellow(1, &trail_of(&[fellow(1)]), &packet)
                .goes_to_fellow(3, &trail_of(&[fellow(1), NODE]));
            let asked = trail_of(&[fellow(1), fellow(3)]);
            story
                .comes_from_fellow(3, &asked, &packet)
                .goes_to_fellow(2, &trail_of(&[fellow(1), fellow(3), NODE]));
            story.comes_from_director(&packet).goes_to_fellow(3, &direct_trail());
        }
    }
}

/// Also a node without endpoints, and one that has always owned the slot.
#[test]
fn whoever_searched_hands_on_to_who_found() {
    for way in kinds_between_nodes() {
        for port in [FORMERLY, LEFT, ALWAYS] {
            let mut story = SearchStory::on_node(port, way);
            let (packet, trail) = (story.later_packet(), trail_of(&[NODE]));
            story
                .comes_from_fellow(5, &trail.clone().with_word(FOUND), &packet)
                .goes_to_fellow(5, &trail.with_word(DIRECT));
            story.remembers(&[(&packet, 5)]);
            story.comes_from_director(&packet).goes_to_fellow(5, &direct_trail());
        }
    }
}

/// A moment later it may be reached again: no reason to begin anew.
#[test]
fn a_flow_of_a_fellow_out_of_reach_waits() {
    for way in kinds_between_nodes() {
        let mut story = SearchStory::on_node(OWNED, way);
        let packet = story.later_packet();
        story
            .comes_from_fellow(SILENT, &trail_of(&[NODE]).with_word(FOUND), &packet)
            .goes_nowhere(DropUnresolved);
        story.comes_from_director(&packet).goes_nowhere(DropUnresolved);
        assert_eq!(story.flows(), []);
    }
}
