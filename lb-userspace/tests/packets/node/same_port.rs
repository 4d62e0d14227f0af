//! One endpoint behind two services, and a client that connects to both from
//! the same port: the endpoint must be able to tell its flows apart.

use lb_common::{
    Verdict::{Deliver, DropSamePort, EgressReply},
    hash,
    maps::{FlowKey, NodeFlow, names},
};

use crate::{
    case::{Case, arrives, check_all, leaves},
    expect::{at_endpoint, from_director, from_vip, reply},
    machine::{AS_NODE, Machine, WITH_PORTS_TAKEN},
    packet::frame,
    services::{LOCAL, LOCAL_TOO},
    world::{KINDS, Kind, LEAVING, Request, pod},
};

struct SamePortStory {
    machine: Machine,
    kind: Kind,
}

impl SamePortStory {
    fn new(kind: Kind) -> Self {
        Self { machine: Machine::new(AS_NODE), kind }
    }

    /// The endpoint sees the request come from this port.
    fn is_seen_from(&self, request: &Request, port: u16) {
        let output = at_endpoint(request, pod(1)).with_client_port(port).frame();
        let name = format!("{} to {} seen from {port}", self.kind, request.port);
        let given = arrives(name, AS_NODE, from_director(self.kind.family, &request.ip));
        given.becomes(Deliver, output).for_service(request).assert_on(&self.machine);
    }

    /// What it answers to that port gets to the client's own, from the VIP.
    fn is_answered_to(&self, request: &Request, port: u16) {
        let answer = reply(&request.clone().with_client_port(port), pod(1)).ip;
        let mut expected = from_vip(request, &answer);
        expected.transport().dst_port = request.client_port();
        let name = format!("{} from {} to {port}", self.kind, request.port);
        let given = leaves(name, AS_NODE, frame(LEAVING, &answer));
        given.becomes(EgressReply, frame(LEAVING, &expected)).assert_on(&self.machine);
    }

    fn forget_flow(&mut self, request: &Request) {
        self.machine.map::<FlowKey, NodeFlow>(names::NODE_FLOWS).remove(&request.flow()).unwrap();
    }
}

/// The port that the endpoint sees instead, at the first attempt.
fn substitute_port(request: &Request) -> u16 {
    u16::from_be(hash::substitute_port(request.hash(), request.service(), 1))
}

#[test]
fn each_of_two_flows_from_one_port_gets_its_own_replies() {
    for kind in KINDS {
        let story = SamePortStory::new(kind);
        let (first, second) = (kind.request(LOCAL), kind.request(LOCAL_TOO));
        let own = first.client_port();
        let other = substitute_port(&second);
        assert_ne!(own, other);
        story.is_seen_from(&first, own);
        story.is_seen_from(&second, other);
        // The same SYN once more, and what follows it.
        for _ in 0..2 {
            story.is_seen_from(&second, other);
            story.is_answered_to(&first, own);
            story.is_answered_to(&second, other);
            story.is_seen_from(&second.clone().into_later_packet(), other);
            story.is_seen_from(&first.clone().into_later_packet(), own);
        }
    }
}

/// In IPv4, UDP needs no checksum; a rewrite must not add one.
#[test]
fn a_datagram_without_checksum_has_none_with_another_port_either() {
    for kind in KINDS.into_iter().filter(|kind| !kind.is_tcp && kind.header_len() == 20) {
        let story = SamePortStory::new(kind);
        let second = kind.request(LOCAL_TOO).without_checksum();
        story.is_seen_from(&kind.request(LOCAL), second.client_port());
        story.is_seen_from(&second, substitute_port(&second));
        story.is_answered_to(&second, substitute_port(&second));
    }
}

#[test]
fn the_port_is_the_next_flows_when_the_first_one_is_over() {
    for kind in KINDS {
        let mut story = SamePortStory::new(kind);
        let (first, second) = (kind.request(LOCAL), kind.request(LOCAL_TOO));
        story.is_seen_from(&first, first.client_port());
        story.forget_flow(&first);
        story.is_seen_from(&second, second.client_port());
        story.is_answered_to(&second, second.client_port());
    }
}

#[test]
fn a_flow_that_was_forgotten_gets_the_same_port_again() {
    for kind in KINDS {
        let mut story = SamePortStory::new(kind);
        let (first, second) = (kind.request(LOCAL), kind.request(LOCAL_TOO));
        story.is_seen_from(&first, first.client_port());
        story.is_seen_from(&second, substitute_port(&second));
        story.forget_flow(&second);
        story.is_seen_from(&second, substitute_port(&second));
        story.forget_flow(&first);
        story.is_seen_from(&first, first.client_port());
        story.is_answered_to(&first, first.client_port());
    }
}

/// A port that stands for another flow is taken for its owner as well.
#[test]
fn the_owner_of_a_substitute_gets_a_substitute_too() {
    for kind in KINDS {
        let story = SamePortStory::new(kind);
        let (first, second) = (kind.request(LOCAL), kind.request(LOCAL_TOO));
        let third = first.clone().with_client_port(substitute_port(&second));
        story.is_seen_from(&first, first.client_port());
        story.is_seen_from(&second, substitute_port(&second));
        story.is_seen_from(&third, substitute_port(&third));
        story.is_answered_to(&third, substitute_port(&third));
        story.is_answered_to(&second, substitute_port(&second));
    }
}

pub fn cases() -> Vec<Case> {
    let too_many = |kind: Kind| {
        let request = kind.request(LOCAL);
        let input = from_director(kind.family, &request.ip);
        let given = arrives(format!("{kind} where all ports are taken"), WITH_PORTS_TAKEN, input);
        given.dropped(DropSamePort).for_service(&request)
    };
    KINDS.map(too_many).into()
}

#[test]
fn where_all_ports_are_taken_a_flow_is_dropped() {
    check_all(&cases());
}
