//! Fragments come to where all of a client's meet, whoever owns the slot of their flow.

use lb_common::Verdict::{Deliver, DropFragment, HandOn};

use super::{Trail, kinds_between_nodes, story::SearchStory, trail_of};
use crate::{
    case::{Given, arrives},
    expect::{at_endpoint, gue_packet, source_port},
    gather::machine_with_meeting,
    machine::{AS_BOTH, AS_NODE, Setup},
    packet::{Gue, Ip, frame},
    services::{FORMERLY, LOCAL, OWNED, macs_to_fellow, port_over},
    world::{ARRIVING, Family, Kind, NODE, Request, fellow, pod},
};

/// The order in which the fragments of a datagram come: the first one first.
const ORDER: [usize; 4] = [0, 2, 3, 1];

fn datagrams_between_nodes() -> impl Iterator<Item = (Kind, Family)> {
    kinds_between_nodes().filter(|(kind, _)| !kind.is_tcp)
}

fn fragments_of(datagram: &Request) -> Vec<Ip> {
    datagram.ip.fragments(0x901, &[64, 80, 72])
}

fn comes(setup: Setup, (kind, outer): (Kind, Family), part: &Ip) -> Given {
    let name = format!("a fragment, {kind} between nodes over {outer:?}, on {setup}");
    arrives(name, setup, frame(ARRIVING, part))
}

/// A part of the datagram as this node hands it on.
fn frame_to_fellow(outer: Family, number: u8, trail: &Trail, datagram: &Request, part: &Ip) -> Vec<u8> {
    let gue = Gue::new(source_port(datagram), &trail.private_data(outer), part);
    frame(macs_to_fellow(number), &gue_packet(&gue, outer, NODE, fellow(number), datagram.hash()))
}

#[test]
fn long_after_a_change_too_fragments_go_on_to_the_owner() {
    for way in datagrams_between_nodes() {
        let mut story = SearchStory::on_node(FORMERLY, way);
        story.set_changed_at(0);
        let datagram = story.first_packet().with_len(300);
        let parts = fragments_of(&datagram);
        for part in ORDER.map(|n| &parts[n]) {
            let output = frame_to_fellow(story.outer, 1, &trail_of(&[NODE]), &datagram, part);
            comes(AS_NODE, way, part)
                .becomes(HandOn, output)
                .for_service(&datagram)
                .with_counted_len(part.bytes().len())
                .assert_on(&story.machine);
        }
        assert_eq!(story.flows(), [], "none has begun here");
    }
}

#[test]
fn at_the_owner_they_stay() {
    for way in datagrams_between_nodes() {
        let mut story = SearchStory::on_node(OWNED, way);
        story.set_changed_at(0);
        let datagram = story.first_packet().with_len(300);
        let (parts, at_pod) = (fragments_of(&datagram), fragments_of(&at_endpoint(&datagram, pod(1))));
        for n in ORDER {
            comes(AS_NODE, way, &parts[n])
                .becomes(Deliver, frame(ARRIVING, &at_pod[n]))
                .for_service(&datagram)
                .with_counted_len(parts[n].bytes().len())
                .assert_on(&story.machine);
        }
    }
}

/// By its ring, the owner of their slot would send them back here.
#[test]
fn where_fragments_meet_a_director_hands_them_on_as_a_node() {
    let machine = machine_with_meeting(AS_BOTH, LOCAL);
    for way in datagrams_between_nodes() {
        let (kind, outer) = way;
        let datagram = kind.request(port_over(outer, FORMERLY)).with_len(300);
        let id = if outer == Family::V4 { 0x911 } else { 0x912 };
        let parts = datagram.ip.fragments(id, &[64, 80, 72]);
        comes(AS_BOTH, way, &parts[1]).dropped(DropFragment).assert_on(&machine);
        for part in ORDER.map(|n| &parts[n]) {
            let output = frame_to_fellow(outer, 1, &trail_of(&[NODE]), &datagram, part);
            comes(AS_BOTH, way, part)
                .becomes(HandOn, output)
                .for_service(&datagram)
                .with_counted_len(part.bytes().len())
                .assert_on(&machine);
        }
    }
}
