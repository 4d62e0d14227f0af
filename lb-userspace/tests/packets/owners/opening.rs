//! What begins at once, whoever had the slot before: a connection, and a
//! datagram when it is long ago.

use lb_common::{Verdict::DropNoEndpoint, maps::names};

use super::{FOUND, OVER, direct_trail, kinds_between_nodes, story::SearchStory, trail_of};
use crate::{
    expect::from_director,
    machine::{AS_BOTH, AS_NODE},
    services::{self, DEAD, FORMERLY, LEFT, OWN_BACKEND, OWNED, RING_LEN, fellow_id, port_over},
    world::{Family, Kind, NODE, fellow},
};

/// The seconds for which datagrams are offered to former owners: `UDP_WINDOW`.
const WINDOW: u32 = 120;

fn kinds_of_protocol(is_tcp: bool) -> impl Iterator<Item = (Kind, Family)> {
    kinds_between_nodes().filter(move |(kind, _)| kind.is_tcp == is_tcp)
}

#[test]
fn a_connection_begins_where_its_syn_arrives() {
    for way in kinds_of_protocol(true) {
        for (setup, port) in [(AS_NODE, OWNED), (AS_BOTH, OWNED), (AS_NODE, FORMERLY)] {
            let mut story = SearchStory::new(setup, port, way);
            let (syn, later) = (story.first_packet(), story.later_packet());
            story.comes_from_director(&syn).stays_here();
            story.has_only_flow(&syn);
            story.comes_from_director(&later).stays_here();
        }
    }
}

/// A client that uses its port again.
#[test]
fn a_new_connection_is_not_the_one_that_was_found() {
    for way in kinds_of_protocol(true) {
        let story = SearchStory::on_node(OWNED, way);
        let (syn, later) = (story.first_packet(), story.later_packet());
        story
            .comes_from_fellow(2, &trail_of(&[NODE]).with_word(FOUND), &later)
            .goes_to_fellow(2, &trail_of(&[NODE]).with_word(super::DIRECT));
        story.comes_from_director(&later).goes_to_fellow(2, &direct_trail());
        story.comes_from_director(&syn).stays_here();
        story.comes_from_director(&later).stays_here();
    }
}

/// The directors have yet to hear of it.
#[test]
fn a_node_without_endpoints_hands_a_new_connection_to_the_owner() {
    for way in kinds_of_protocol(true) {
        let mut story = SearchStory::on_node(LEFT, way);
        let syn = story.first_packet();
        story.comes_from_director(&syn).goes_to_fellow(1, &trail_of(&[NODE]));
        story
            .comes_from_fellow(2, &trail_of(&[fellow(2)]), &syn)
            .goes_to_fellow(1, &trail_of(&[fellow(2), NODE]));
        assert_eq!(story.flows(), []);
    }
}

/// Else what follows of the new connection would meet the one that the client had from its port before.
#[test]
fn a_node_that_hands_a_new_connection_on_forgets_the_one_that_has_ended() {
    for way in kinds_of_protocol(true) {
        let mut story = SearchStory::on_node(OWNED, way);
        let (syn, later) = (story.first_packet(), story.later_packet());
        story.comes_from_director(&syn).stays_here();
        let (key, flow) = story.flows()[0];
        story.machine.map(names::NODE_FLOWS).insert(key, flow.with_end(true), 0).unwrap();
        story.machine.set_service((way.0, port_over(way.1, OWNED)), |service| service.endpoints = 0);
        story.machine.set_owners(port_over(way.1, OWNED), &[fellow_id(way.1, 1), OWN_BACKEND]);
        story.comes_from_director(&later).stays_here();
        let next = syn.with_sequence(5);
        story.comes_from_director(&next).goes_to_fellow(1, &trail_of(&[NODE]));
        assert_eq!(story.flows(), []);
        story.comes_from_director(&later).goes_to_fellow(1, &trail_of(&[NODE]));
    }
}

#[test]
fn without_another_owner_or_endpoints_a_packet_is_dropped() {
    for way in kinds_between_nodes() {
        let mut story = SearchStory::on_node(LEFT, way);
        let (first, later) = (story.first_packet(), story.later_packet());
        story.set_changed_at(0);
        for owners in [&[][..], &[OWN_BACKEND]] {
            story.machine.set_owners(port_over(way.1, LEFT), owners);
            story.comes_from_director(&first).goes_nowhere(DropNoEndpoint);
            story.comes_from_director(&later).goes_nowhere(DropNoEndpoint);
            story.comes_from_fellow(1, &trail_of(&[]).with_word(OVER), &first).goes_nowhere(DropNoEndpoint);
        }
    }
}

#[test]
fn long_after_a_change_a_datagram_begins_at_once() {
    for way in kinds_of_protocol(false) {
        let now = services::monotonic_seconds();
        for changed in [0, now.saturating_sub(WINDOW + 1)] {
            let mut story = SearchStory::on_node(OWNED, way);
            let datagram = story.first_packet();
            story.set_changed_at(changed);
            story.comes_from_director(&datagram).stays_here();
            story.has_only_flow(&datagram);
        }
    }
}

/// A minute before the window ends, so that it does not end during the test.
#[test]
fn soon_after_a_change_a_datagram_is_searched_for() {
    for way in kinds_of_protocol(false) {
        let mut story = SearchStory::on_node(OWNED, way);
        let datagram = story.first_packet();
        let changed = services::monotonic_seconds().saturating_sub(WINDOW / 2).max(1);
        story.set_changed_at(changed);
        story.comes_from_director(&datagram).goes_to_fellow(1, &trail_of(&[NODE]));
    }
}

#[test]
fn long_after_a_change_it_goes_past_a_node_without_endpoints_too() {
    for way in kinds_of_protocol(false) {
        let mut story = SearchStory::on_node(LEFT, way);
        let datagram = story.first_packet();
        story.set_changed_at(0);
        story.comes_from_director(&datagram).goes_to_fellow(1, &trail_of(&[NODE]));
    }
}

/// The director knows of a change that makes this node the owner, and this node does not, or the other way
/// round. A window would tell nothing then.
#[test]
fn a_datagram_for_a_slot_of_another_node_is_searched_for() {
    for way in kinds_of_protocol(false) {
        for setup in [AS_NODE, AS_BOTH] {
            let mut story = SearchStory::new(setup, FORMERLY, way);
            let datagram = story.first_packet();
            story.set_changed_at(0);
            let input = from_director(way.1, &datagram.ip);
            story.packet_comes("in a tunnel", input, &datagram).goes_to_fellow(1, &trail_of(&[NODE]));
            assert_eq!(story.flows(), []);
        }
        let mut story = SearchStory::on_node(FORMERLY, way);
        let datagram = story.first_packet();
        story.set_changed_at(0);
        story.comes_from_director(&datagram).goes_to_fellow(1, &trail_of(&[NODE]));
    }
}

/// For as long as that one is dead, all its flows come here.
#[test]
fn a_datagram_for_a_slot_of_a_dead_node_begins_at_once() {
    for way in kinds_of_protocol(false) {
        let mut story = SearchStory::on_node(FORMERLY, way);
        let datagram = story.first_packet();
        story.set_changed_at(0);
        let owners = [fellow_id(way.1, DEAD), fellow_id(way.1, 1), OWN_BACKEND];
        story.machine.set_owners(port_over(way.1, FORMERLY), &owners);
        story.comes_from_director(&datagram).stays_here();
        story.has_only_flow(&datagram);
    }
}

/// Its own ring says so: that of a director which delivers to its own endpoints, whoever owns the slot.
#[test]
fn a_datagram_that_a_director_keeps_begins_at_once() {
    for way in kinds_of_protocol(false) {
        let mut story = SearchStory::new(AS_BOTH, FORMERLY, way);
        let datagram = story.first_packet();
        story.set_changed_at(0);
        story.machine.set_ring(port_over(way.1, FORMERLY), &[OWN_BACKEND; RING_LEN as usize]);
        story.comes_from_director(&datagram).stays_here();
        story.has_only_flow(&datagram);
    }
}

/// Clocks of nodes differ, and so does when they hear of a change: only who
/// begins a search asks whether it is time for one.
#[test]
fn what_somebody_searches_for_is_searched_for_to_the_end() {
    for way in kinds_of_protocol(false) {
        let mut story = SearchStory::on_node(FORMERLY, way);
        let datagram = story.first_packet();
        story.set_changed_at(0);
        story
            .comes_from_fellow(1, &trail_of(&[fellow(1)]), &datagram)
            .goes_to_fellow(2, &trail_of(&[fellow(1), NODE]));
        assert_eq!(story.flows(), []);
    }
}

#[test]
fn a_flow_once_found_needs_no_window() {
    for way in kinds_of_protocol(false) {
        let mut story = SearchStory::on_node(OWNED, way);
        let datagram = story.first_packet();
        let found = trail_of(&[NODE]).with_word(FOUND);
        story
            .comes_from_fellow(2, &found, &datagram)
            .goes_to_fellow(2, &trail_of(&[NODE]).with_word(super::DIRECT));
        story.set_changed_at(0);
        story.comes_from_director(&datagram).goes_to_fellow(2, &direct_trail());
    }
}
