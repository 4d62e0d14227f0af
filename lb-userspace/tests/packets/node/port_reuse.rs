//! Clients that use a port again: the next connection from it is a flow of its own once the endpoint has ended the
//! one before.

use lb_common::{
    Verdict::{Deliver, EgressReply, EgressReturn},
    maps::{FlowKey, NodeFlow, names},
};

use crate::{
    case::{arrives, leaves},
    expect::{at_endpoint, from_director, from_vip, hidden_at_endpoint, reply, reply_to_vip, returned},
    machine::{AS_NODE, LentMachine, lend_machine},
    packet::{ACK, FIN, Ip, RST, SEQUENCE, frame},
    services::{LOCAL, monotonic_seconds},
    world::{ARRIVING, Host, KINDS, Kind, LEAVING, NODE, Request, pod},
};

/// What ends a connection, in flags.
const ENDS: [u8; 3] = [FIN | ACK, RST, RST | ACK];
/// Of the client's next connection.
const NEXT: u32 = SEQUENCE + 1_000_000;

fn tcp_kinds() -> impl Iterator<Item = Kind> {
    KINDS.into_iter().filter(|kind| kind.is_tcp)
}

/// A node, and a client that connects to a service there from one port.
struct PortStory {
    machine: LentMachine,
    kind: Kind,
}

impl PortStory {
    /// A connection to `pod(1)`, after which that endpoint drains, and `pod(2)` takes new ones.
    fn of_draining_endpoint(kind: Kind) -> Self {
        let mut story = Self { machine: lend_machine(AS_NODE), kind };
        story.opens(SEQUENCE, pod(1));
        story.continues(ACK, pod(1));
        story.next_endpoint(pod(2));
        story.machine.set_drained((kind, LOCAL), pod(1), monotonic_seconds());
        story
    }

    /// New flows go to this one from now on.
    fn next_endpoint(&mut self, pod: Host) {
        self.machine.set_endpoint((self.kind, LOCAL), 0, pod);
    }

    fn comes(&self, request: &Request, to: Host) {
        let output = at_endpoint(request, to).frame();
        let given = arrives(format!("{}", self.kind), AS_NODE, from_director(self.kind.family, &request.ip));
        given.becomes(Deliver, output).for_service(request).assert_on(&self.machine);
    }

    /// A SYN with this sequence number.
    fn opens(&self, sequence: u32, to: Host) {
        self.comes(&self.kind.request(LOCAL).with_sequence(sequence), to);
    }

    /// A segment with these flags, of a connection that is open.
    fn continues(&self, flags: u8, to: Host) {
        self.comes(&self.kind.request(LOCAL).with_tcp_flags(flags), to);
    }

    /// The endpoint's segment with these flags leaves as one of the VIP.
    fn is_answered(&self, flags: u8, from: Host) {
        let request = self.kind.request(LOCAL);
        let sent = with_flags(reply(&request, from).ip, flags);
        let output = frame(LEAVING, &from_vip(&request, &sent));
        let given = leaves(format!("{flags:#04x}, {}", self.kind), AS_NODE, frame(LEAVING, &sent));
        given.becomes(EgressReply, output).assert_on(&self.machine);
    }

    fn only_flow(&mut self) -> NodeFlow {
        let map = self.machine.map::<FlowKey, NodeFlow>(names::NODE_FLOWS);
        let flows: Vec<_> = map.iter().map(Result::unwrap).collect();
        assert!(
            flows.len() == 1 && flows[0].0 == self.kind.request(LOCAL).flow(),
            "{}: {flows:?}",
            self.kind
        );
        flows[0].1
    }
}

fn with_flags(mut ip: Ip, flags: u8) -> Ip {
    ip.transport().set_tcp_flags(flags);
    ip
}

#[test]
fn once_the_endpoint_has_ended_a_connection_the_next_one_begins_anew() {
    for (kind, end) in tcp_kinds().flat_map(|kind| ENDS.map(|end| (kind, end))) {
        let story = PortStory::of_draining_endpoint(kind);
        story.is_answered(end, pod(1));
        // What the client has still to say is for the endpoint that has ended it.
        story.continues(ACK, pod(1));
        story.continues(FIN | ACK, pod(1));
        story.opens(NEXT, pod(2));
        story.continues(ACK, pod(2));
        story.is_answered(ACK, pod(2));
    }
}

#[test]
fn a_syn_that_comes_again_goes_to_the_same_endpoint() {
    for kind in tcp_kinds() {
        let mut story = PortStory::of_draining_endpoint(kind);
        // Of the connection that has ended.
        story.is_answered(FIN | ACK, pod(1));
        story.opens(SEQUENCE, pod(1));
        story.is_answered(RST | ACK, pod(1));
        // Of the next one.
        story.opens(NEXT, pod(2));
        story.next_endpoint(pod(3));
        story.opens(NEXT, pod(2));
        story.continues(ACK, pod(2));
    }
}

/// Anybody can send that in the client's name, and a SYN too.
#[test]
fn no_segment_of_the_clients_ends_a_flow() {
    for (kind, end) in tcp_kinds().flat_map(|kind| ENDS.map(|end| (kind, end))) {
        let mut story = PortStory::of_draining_endpoint(kind);
        story.continues(end, pod(1));
        story.is_answered(ACK, pod(1));
        story.opens(NEXT, pod(1));
        story.continues(ACK, pod(1));
        assert!(!story.only_flow().has_ended());
    }
}

/// Its last acknowledgment was lost.
#[test]
fn an_end_that_comes_again_is_not_that_of_the_next_connection() {
    for kind in tcp_kinds() {
        let mut story = PortStory::of_draining_endpoint(kind);
        story.is_answered(FIN | ACK, pod(1));
        assert!(story.only_flow().has_ended());
        story.opens(NEXT, pod(2));
        story.is_answered(FIN | ACK, pod(1));
        assert!(!story.only_flow().has_ended());
        story.next_endpoint(pod(3));
        story.opens(NEXT + 1, pod(2));
    }
}

#[test]
fn the_endpoint_that_drains_is_better_than_none_and_has_the_next_connection_then() {
    for kind in tcp_kinds() {
        let mut story = PortStory::of_draining_endpoint(kind);
        story.is_answered(FIN | ACK, pod(1));
        story.machine.set_service((kind, LOCAL), |service| service.endpoints = 0);
        story.opens(NEXT, pod(1));
        let flow = story.only_flow();
        assert!(!flow.has_ended() && flow.seen == NEXT, "{kind}: {flow:?}");
        story.machine.set_service((kind, LOCAL), |service| service.endpoints = 1);
        story.continues(ACK, pod(1));
        story.opens(NEXT + 1, pod(1));
    }
}

/// As one that was met in the middle, or that an earlier release has begun.
#[test]
fn any_syn_begins_a_flow_anew_whose_own_is_not_known() {
    for kind in tcp_kinds() {
        let mut story = PortStory { machine: lend_machine(AS_NODE), kind };
        story.continues(ACK, pod(1));
        story.is_answered(RST, pod(1));
        story.next_endpoint(pod(2));
        story.opens(SEQUENCE, pod(2));
    }
}

#[test]
fn the_next_connection_of_a_client_inside_begins_anew() {
    for kind in tcp_kinds() {
        let mut story = PortStory { machine: lend_machine(AS_NODE), kind };
        let request = kind.request(LOCAL).with_client(NODE);
        let port = request.client_port();
        let comes = |story: &PortStory, request: &Request, to: Host| {
            let output = hidden_at_endpoint(request, to, port).frame();
            let input = from_director(kind.family, &request.ip);
            let given = arrives(format!("{kind} inside"), AS_NODE, input);
            given.becomes(Deliver, output).for_service(request).assert_on(&story.machine);
        };
        comes(&story, &request, pod(1));
        story.next_endpoint(pod(2));
        comes(&story, &request, pod(1));
        let sent = with_flags(reply_to_vip(&request, pod(1), port), FIN | ACK);
        let given = leaves(format!("to {kind} inside"), AS_NODE, frame(LEAVING, &sent));
        let output = frame(ARRIVING, &returned(&request, &sent));
        given.becomes(EgressReturn, output).assert_on(&story.machine);
        comes(&story, &request.clone().with_tcp_flags(FIN | ACK), pod(1));
        comes(&story, &request.clone().with_sequence(NEXT), pod(2));
        comes(&story, &request.clone().into_later_packet(), pod(2));
    }
}
