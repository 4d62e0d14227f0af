//! What begins at once, whoever had the slot before: a connection, and a
//! datagram when it is long ago.

use lb_common::Verdict::DropNoEndpoint;

use super::{FOUND, OVER, been, direct, kinds_between_nodes, story::Story};
use crate::{
    machine::{AS_BOTH, AS_NODE},
    services::{self, FORMERLY, LEFT, ME, OWNED, over},
    world::{Family, Kind, NODE, fellow},
};

/// The seconds for which datagrams are offered to former owners: `UDP_WINDOW`.
const WINDOW: u32 = 120;

fn ways(is_tcp: bool) -> impl Iterator<Item = (Kind, Family)> {
    kinds_between_nodes().filter(move |(kind, _)| kind.is_tcp == is_tcp)
}

#[test]
fn a_connection_begins_where_its_syn_arrives() {
    for way in ways(true) {
        for (setup, port) in [(AS_NODE, OWNED), (AS_BOTH, OWNED), (AS_NODE, FORMERLY)] {
            let mut story = Story::on(setup, port, way);
            let (syn, later) = (story.first(), story.later());
            story.comes(&syn).stays_here();
            story.has_only(&syn);
            story.comes(&later).stays_here();
        }
    }
}

/// A client that uses its port again.
#[test]
fn a_new_connection_is_not_the_one_that_was_found() {
    for way in ways(true) {
        let story = Story::of(OWNED, way);
        let (syn, later) = (story.first(), story.later());
        story
            .comes_from(2, &been(&[NODE]).saying(FOUND), &later)
            .goes_to(2, &been(&[NODE]).saying(super::DIRECT));
        story.comes(&later).goes_to(2, &direct());
        story.comes(&syn).stays_here();
        story.comes(&later).stays_here();
    }
}

/// The directors have yet to hear of it.
#[test]
fn past_a_node_without_endpoints_it_begins_at_the_owner() {
    for way in ways(true) {
        let mut story = Story::of(LEFT, way);
        let syn = story.first();
        story.comes(&syn).goes_to(1, &been(&[]).saying(OVER));
        story.comes_from(2, &been(&[fellow(2)]), &syn).goes_to(1, &been(&[fellow(2)]).saying(OVER));
        assert_eq!(story.flows(), []);
    }
}

#[test]
fn nobody_else_is_there_to_begin_it() {
    for way in kinds_between_nodes() {
        let mut story = Story::of(LEFT, way);
        let (first, later) = (story.first(), story.later());
        story.changed_at(0);
        for owners in [&[][..], &[ME]] {
            story.machine.set_owners(over(way.1, LEFT), owners);
            story.comes(&first).goes_nowhere(DropNoEndpoint);
            story.comes(&later).goes_nowhere(DropNoEndpoint);
            story.comes_from(1, &been(&[]).saying(OVER), &first).goes_nowhere(DropNoEndpoint);
        }
    }
}

#[test]
fn long_after_a_change_a_datagram_begins_at_once() {
    for way in ways(false) {
        let now = services::now();
        for changed in [0, now.saturating_sub(WINDOW + 1)] {
            let mut story = Story::of(OWNED, way);
            let datagram = story.first();
            story.changed_at(changed);
            story.comes(&datagram).stays_here();
            story.has_only(&datagram);
        }
    }
}

/// A minute from the end of the time, so that the test has one too.
#[test]
fn soon_after_a_change_a_datagram_is_searched_for() {
    for way in ways(false) {
        let mut story = Story::of(OWNED, way);
        let datagram = story.first();
        let changed = services::now().saturating_sub(WINDOW / 2).max(1);
        story.changed_at(changed);
        story.comes(&datagram).goes_to(1, &been(&[NODE]));
    }
}

#[test]
fn long_after_a_change_it_goes_past_a_node_without_endpoints_too() {
    for way in ways(false) {
        let mut story = Story::of(LEFT, way);
        let datagram = story.first();
        story.changed_at(0);
        story.comes(&datagram).goes_to(1, &been(&[]).saying(OVER));
    }
}

/// Clocks of nodes differ, and so does when they hear of a change: only who
/// begins a search asks whether it is time for one.
#[test]
fn what_somebody_searches_for_is_searched_for_to_the_end() {
    for way in ways(false) {
        let mut story = Story::of(FORMERLY, way);
        let datagram = story.first();
        story.changed_at(0);
        story.comes_from(1, &been(&[fellow(1)]), &datagram).goes_to(2, &been(&[fellow(1), NODE]));
        assert_eq!(story.flows(), []);
    }
}

#[test]
fn a_flow_once_found_needs_no_window() {
    for way in ways(false) {
        let mut story = Story::of(OWNED, way);
        let datagram = story.first();
        let found = been(&[NODE]).saying(FOUND);
        story.comes_from(2, &found, &datagram).goes_to(2, &been(&[NODE]).saying(super::DIRECT));
        story.changed_at(0);
        story.comes(&datagram).goes_to(2, &direct());
    }
}
