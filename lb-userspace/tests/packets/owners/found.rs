//! A flow that somebody knows: who searched is told, and then it comes to him
//! straight away.

use lb_common::{Verdict::DropUnresolved, maps::Backend};

use super::{DIRECT, FOUND, OVER, been, direct, kinds_between_nodes, story::Story, strangers};
use crate::{
    machine::AS_BOTH,
    services::{ALWAYS, FORMERLY, LEFT, ME, OWNED, SILENT, fellow_id, over},
    world::{NODE, fellow},
};

#[test]
fn who_searched_remembers_where_it_was_found() {
    for way in kinds_between_nodes() {
        let mut story = Story::of(OWNED, way);
        let (packet, trail) = (story.later(), been(&[NODE, fellow(1)]));
        story.comes(&packet).goes_to(1, &been(&[NODE]));
        story.comes_from(2, &trail.clone().saying(FOUND), &packet).goes_to(2, &trail.saying(DIRECT));
        story.remembers(&[(&packet, 2)]);
        story.comes(&packet).goes_to(2, &direct());
        let other = story.later().with_client_port(40_002);
        story.comes(&other).goes_to(1, &been(&[NODE]));
        assert_eq!(story.flows(), []);
    }
}

#[test]
fn a_machine_of_both_roles_searches_and_remembers_as_a_node_does() {
    for way in kinds_between_nodes() {
        let mut story = Story::on(AS_BOTH, OWNED, way);
        let (packet, trail) = (story.later(), been(&[NODE]));
        story.comes(&packet).goes_to(1, &trail);
        story.comes_from(1, &trail.clone().saying(FOUND), &packet).goes_to(1, &trail.saying(DIRECT));
        story.comes(&packet).goes_to(1, &direct());
        story.comes_from(1, &been(&[]).saying(OVER), &packet).stays_here();
        story.comes(&packet).stays_here();
        story.has_only(&packet);
    }
}

/// However many were asked before.
#[test]
fn who_knows_the_flow_tells_who_searched() {
    for way in kinds_between_nodes() {
        let story = Story::of(FORMERLY, way).has_flow();
        let packet = story.later();
        for others in 0..7 {
            let trail = been(&[vec![fellow(1)], strangers(others)].concat());
            let number = if others == 0 { 1 } else { 7 };
            story.comes_from(number, &trail, &packet).goes_to(1, &trail.saying(FOUND));
        }
        story.comes_from(2, &been(&[fellow(2)]), &packet).goes_to(2, &been(&[fellow(2)]).saying(FOUND));
        story.comes(&packet).stays_here();
    }
}

#[test]
fn who_knows_the_flow_takes_what_comes_to_him() {
    for way in kinds_between_nodes() {
        let mut story = Story::of(FORMERLY, way).has_flow();
        let packet = story.later();
        story.comes(&packet).stays_here();
        let trail = been(&[fellow(1), fellow(2)]);
        for word in [0, 8, 0x80, 0xfc, FOUND, DIRECT, OVER] {
            story.comes_from(1, &trail.clone().saying(word), &packet).stays_here();
        }
        story.has_only(&packet);
        story.remembers(&[]);
    }
}

/// Nobody to tell: not in the list, this node itself, or out of reach.
#[test]
fn a_search_of_nobody_ends_where_the_flow_is() {
    for way in kinds_between_nodes() {
        let mut story = Story::of(FORMERLY, way).has_flow();
        let packet = story.later();
        let port = packet.port;
        story.machine.set_owners(port, &[ME, fellow_id(way.1, 1), fellow_id(way.1, SILENT)]);
        for starter in [fellow(4), NODE, fellow(SILENT)] {
            story.comes_from(4, &been(&[starter]), &packet).stays_here();
        }
        story.machine.set_owners(port, &[]);
        story.comes_from(1, &been(&[fellow(1)]), &packet).stays_here();
    }
}

#[test]
fn the_end_of_a_flow_is_the_end_of_the_memory() {
    for way in kinds_between_nodes() {
        let mut story = Story::of(OWNED, way);
        let packet = story.later();
        story.comes_from(2, &been(&[NODE]).saying(FOUND), &packet).goes_to(2, &been(&[NODE]).saying(DIRECT));
        story.comes(&packet).goes_to(2, &direct());
        story.comes_from(2, &been(&[]).saying(OVER), &packet).stays_here();
        story.comes(&packet).stays_here();
        story.has_only(&packet);
    }
}

/// It moved: the last who found it counts.
#[test]
fn what_is_found_again_is_remembered_anew() {
    for way in kinds_between_nodes() {
        let mut story = Story::of(OWNED, way);
        let packet = story.later();
        for number in [2, 3] {
            let trail = been(&[NODE]);
            let found = trail.clone().saying(FOUND);
            story.comes_from(number, &found, &packet).goes_to(number, &trail.saying(DIRECT));
            story.remembers(&[(&packet, number)]);
            story.comes(&packet).goes_to(number, &direct());
        }
    }
}

/// Its agent took the node off the list of backends.
#[test]
fn a_fellow_that_is_gone_is_not_asked_again() {
    for way in kinds_between_nodes() {
        let mut story = Story::of(OWNED, way);
        let packet = story.later();
        story.comes_from(3, &been(&[NODE]).saying(FOUND), &packet).goes_to(3, &been(&[NODE]).saying(DIRECT));
        story.machine.set_backend(u32::from(fellow_id(way.1, 3)), Backend::default());
        story.comes(&packet).goes_to(1, &been(&[NODE]));
    }
}

/// Else he who searches would never learn who has the flow.
#[test]
fn who_is_asked_by_another_searches_on() {
    for way in kinds_between_nodes() {
        for port in [FORMERLY, LEFT] {
            let mut story = Story::of(port, way);
            let packet = story.later();
            story.machine.set_owners(over(way.1, port), &[1, 2, 3].map(|number| fellow_id(way.1, number)));
            let found = been(&[NODE]).saying(FOUND);
            story.comes_from(3, &found, &packet).goes_to(3, &been(&[NODE]).saying(DIRECT));
            story.comes_from(1, &been(&[fellow(1)]), &packet).goes_to(2, &been(&[fellow(1), NODE]));
            story.comes(&packet).goes_to(3, &direct());
        }
    }
}

/// Without endpoints, or an owner of all times: what was found was found.
#[test]
fn whoever_searched_hands_on_to_who_found() {
    for way in kinds_between_nodes() {
        for port in [FORMERLY, LEFT, ALWAYS] {
            let mut story = Story::of(port, way);
            let (packet, trail) = (story.later(), been(&[NODE]));
            story.comes_from(5, &trail.clone().saying(FOUND), &packet).goes_to(5, &trail.saying(DIRECT));
            story.remembers(&[(&packet, 5)]);
            story.comes(&packet).goes_to(5, &direct());
        }
    }
}

/// A moment later it may be reached again: no reason to begin anew.
#[test]
fn a_flow_of_a_fellow_out_of_reach_waits() {
    for way in kinds_between_nodes() {
        let mut story = Story::of(OWNED, way);
        let packet = story.later();
        story.comes_from(SILENT, &been(&[NODE]).saying(FOUND), &packet).goes_nowhere(DropUnresolved);
        story.comes(&packet).goes_nowhere(DropUnresolved);
        assert_eq!(story.flows(), []);
    }
}
