//! A SYN goes past nodes that have no endpoint which takes new connections, and what follows is
//! searched for the same way.

use lb_common::Verdict::DropNoEndpoint;

use super::{
    DIRECT, FOUND, OVER, direct_trail, kinds_between_nodes, story::SearchStory, strangers, trail_of,
};
use crate::{
    machine::{AS_BOTH, AS_NODE, Setup, WITHOUT_STRAYS},
    services::{DEAD, FORMERLY, LEFT, OWN_BACKEND, RING_LEN, fellow_id, port_over},
    world::{Family, Kind, NODE, fellow},
};

fn ways() -> impl Iterator<Item = (Kind, Family)> {
    kinds_between_nodes().filter(|(kind, _)| kind.is_tcp)
}

/// A node without endpoints. Fellow 1 owns the slot, and fellows 2 and 3 did before this node.
fn left(setup: Setup, way: (Kind, Family)) -> SearchStory {
    let mut story = SearchStory::new(setup, LEFT, way);
    let [first, second, third] = [1, 2, 3].map(|number| fellow_id(way.1, number));
    story.machine.set_owners(port_over(way.1, LEFT), &[first, OWN_BACKEND, second, third]);
    story
}

#[test]
fn it_goes_from_one_to_the_next_that_it_was_not_at() {
    let [f1, f2] = [1, 2].map(fellow);
    for way in ways() {
        let mut story = left(AS_NODE, way);
        let syn = story.first_packet();
        story.comes_from_director(&syn).goes_to_fellow(1, &trail_of(&[NODE]));
        story.comes_from_fellow(1, &trail_of(&[f1]), &syn).goes_to_fellow(2, &trail_of(&[f1, NODE]));
        story.comes_from_fellow(2, &trail_of(&[f1, f2]), &syn).goes_to_fellow(3, &trail_of(&[f1, f2, NODE]));
        assert_eq!(story.flows(), []);
    }
}

#[test]
fn a_node_with_an_endpoint_takes_it() {
    for way in ways() {
        let mut story = SearchStory::on_node(FORMERLY, way);
        let syn = story.first_packet();
        story.comes_from_fellow(1, &trail_of(&[fellow(1)]), &syn).stays_here();
        story.has_only_flow(&syn);
        story.remembers(&[]);
    }
}

/// Its ring and its endpoints may be of different moments.
#[test]
fn an_owner_without_endpoints_passes_it_on_too() {
    for (setup, way) in [AS_NODE, AS_BOTH].into_iter().flat_map(|setup| ways().map(move |way| (setup, way))) {
        let mut story = SearchStory::new(setup, LEFT, way);
        let port = port_over(way.1, LEFT);
        story.machine.set_owners(port, &[OWN_BACKEND, fellow_id(way.1, 1)]);
        story.machine.set_ring(port, &[OWN_BACKEND; RING_LEN as usize]);
        let syn = story.first_packet();
        story.comes_from_director(&syn).goes_to_fellow(1, &trail_of(&[NODE]));
    }
}

#[test]
fn it_goes_past_the_dead() {
    for way in ways() {
        let mut story = SearchStory::on_node(LEFT, way);
        let owners = [fellow_id(way.1, DEAD), OWN_BACKEND, fellow_id(way.1, 2)];
        story.machine.set_owners(port_over(way.1, LEFT), &owners);
        let syn = story.first_packet();
        story.comes_from_director(&syn).goes_to_fellow(2, &trail_of(&[NODE]));
        story.comes_from_fellow(2, &trail_of(&[fellow(2)]), &syn).goes_nowhere(DropNoEndpoint);
    }
}

/// The owner's list may be longer; but seven nodes are enough, and what is over ends.
#[test]
fn it_does_not_go_round() {
    for way in ways() {
        let story = left(AS_NODE, way);
        let syn = story.first_packet();
        let all = [1, 2, 3].map(fellow);
        story
            .comes_from_fellow(3, &trail_of(&all), &syn)
            .goes_to_fellow(1, &trail_of(&[&all[..], &[NODE]].concat()));
        let seven = trail_of(&strangers(7));
        story.comes_from_fellow(7, &seven, &syn).goes_to_fellow(1, &seven.clone().with_word(OVER));
        story.comes_from_fellow(7, &seven.with_word(OVER), &syn).goes_nowhere(DropNoEndpoint);
    }
}

/// Nobody is to pay for a flood of SYNs but the owner, whom it is for.
#[test]
fn beyond_the_limit_of_strays_it_goes_to_the_owner_alone() {
    for way in ways() {
        let mut story = left(WITHOUT_STRAYS, way);
        let syn = story.first_packet();
        story.comes_from_director(&syn).goes_to_fellow(1, &trail_of(&[]).with_word(OVER));
        story.remembers(&[]);
    }
}

/// Whoever took it may be in no list.
#[test]
fn what_follows_is_searched_for_where_the_syn_went() {
    let [f1, f2, f3] = [1, 2, 3].map(fellow);
    for way in ways() {
        let mut story = left(AS_NODE, way);
        let (syn, later) = (story.first_packet(), story.later_packet());
        story.comes_from_fellow(2, &trail_of(&[f1, f2]), &syn).goes_to_fellow(3, &trail_of(&[f1, f2, NODE]));
        story.remembers_passing_on(&[(&syn, 3)]);
        story.comes_from_director(&later).goes_to_fellow(3, &trail_of(&[NODE]));
        story.comes_from_fellow(1, &trail_of(&[f1]), &later).goes_to_fellow(3, &trail_of(&[f1, NODE]));
        // After all else that it can still be asked for.
        let seven = trail_of(&strangers(7));
        story.comes_from_fellow(7, &seven, &later).goes_to_fellow(3, &seven.clone().with_word(OVER));
        story.comes_from_fellow(3, &trail_of(&[f3]), &later).goes_to_fellow(1, &trail_of(&[f3, NODE]));
        assert_eq!(story.flows(), []);
    }
}

#[test]
fn who_took_it_is_found_and_gets_what_follows() {
    for way in ways() {
        let mut story = left(AS_NODE, way);
        let (syn, later) = (story.first_packet(), story.later_packet());
        story.comes_from_director(&syn).goes_to_fellow(1, &trail_of(&[NODE]));
        let trail = trail_of(&[NODE, fellow(1)]);
        story
            .comes_from_fellow(4, &trail.clone().with_word(FOUND), &later)
            .goes_to_fellow(4, &trail.with_word(DIRECT));
        story.remembers(&[(&later, 4)]);
        story.comes_from_director(&later).goes_to_fellow(4, &direct_trail());
    }
}

/// The client did not get the answer, and tries again.
#[test]
fn a_syn_of_a_flow_that_is_found_goes_there_too() {
    for way in ways() {
        let mut story = left(AS_NODE, way);
        let (syn, trail) = (story.first_packet(), trail_of(&[NODE, fellow(1)]));
        story
            .comes_from_fellow(4, &trail.clone().with_word(FOUND), &syn)
            .goes_to_fellow(4, &trail.with_word(DIRECT));
        story.remembers(&[(&syn, 4)]);
    }
}
