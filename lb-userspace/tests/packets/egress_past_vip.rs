//! Clients that get to an endpoint past the VIP, from a port that they had towards it: the answer to a SYN that
//! did not come by the VIP leaves as it is, and ends what was remembered of the one that did.

use lb_common::{
    Verdict::{Deliver, EgressPass, EgressReply, EgressReturn},
    hash,
    maps::{FlowKey, NodeFlow, Reply, ReplyKey, names},
};

use crate::{
    case::{Case, arrives, check_all, leaves},
    expect::{at_endpoint, from_director, from_vip, hidden_at_endpoint, reply, reply_to_vip, returned},
    machine::{AS_NODE, LentMachine, WITH_SYNS, lend_machine},
    packet::{ACK, Ip, RST, SEQUENCE, SYN, frame},
    services::{LOCAL, LOCAL_TOO},
    world::{ARRIVING, Host, KINDS, Kind, LEAVING, NODE, Request, pod},
};

const SYN_ACK: u8 = SYN | ACK;
const RST_ACK: u8 = RST | ACK;
/// The sequence number of an endpoint.
const INITIAL: u32 = 77;
/// Acknowledges the SYN that came by the VIP.
const OURS: u32 = SEQUENCE + 1;
/// Acknowledges one that did not.
const OTHER: u32 = 0x89ab_cdef;

fn tcp_kinds() -> impl Iterator<Item = Kind> {
    KINDS.into_iter().filter(|kind| kind.is_tcp)
}

/// What an endpoint sends to the client of a request.
fn segment(request: &Request, from: Host, flags: u8, sequence: u32, acknowledgment: u32) -> Ip {
    with_numbers(reply(request, from).ip, flags, sequence, acknowledgment)
}

fn with_numbers(mut ip: Ip, flags: u8, sequence: u32, acknowledgment: u32) -> Ip {
    ip.transport().set_tcp_flags(flags);
    ip.transport().set_tcp_numbers(sequence, acknowledgment);
    ip
}

/// The last one ends the flow.
fn cases_of_kind(kind: Kind) -> Vec<Case> {
    let request = kind.request(LOCAL);
    let table = [
        ("a SYN-ACK", SYN_ACK, INITIAL, OURS, EgressReply),
        ("a SYN-ACK to a SYN with data", SYN_ACK, INITIAL, OURS + 1400, EgressReply),
        ("a SYN-ACK to all data that a SYN can have", SYN_ACK, INITIAL, OURS + 65_535, EgressReply),
        ("an ACK of something else", ACK, INITIAL, OTHER, EgressReply),
        ("a SYN of the Pod's own", SYN, INITIAL, OTHER, EgressReply),
        ("an RST to what had an ACK", RST, OTHER, 0, EgressReply),
        ("an RST that ends a connection", RST_ACK, INITIAL, OTHER, EgressReply),
        ("an RST to the SYN", RST_ACK, 0, OURS, EgressReply),
        ("an RST to another SYN", RST_ACK, 0, OTHER, EgressPass),
        ("a SYN-ACK after that", SYN_ACK, INITIAL, OURS, EgressReply),
        ("a SYN-ACK to another SYN", SYN_ACK, INITIAL, OTHER, EgressPass),
    ];
    let cases = table.map(|(what, flags, sequence, acknowledgment, verdict)| {
        let sent = segment(&request, pod(1), flags, sequence, acknowledgment);
        let given = leaves(format!("{what}, {kind}"), WITH_SYNS, frame(LEAVING, &sent));
        if verdict == EgressPass {
            return given.untouched(EgressPass);
        }
        given.becomes(verdict, frame(LEAVING, &from_vip(&request, &sent)))
    });
    cases.into()
}

pub fn cases() -> Vec<Case> {
    tcp_kinds().flat_map(cases_of_kind).collect()
}

#[test]
fn answers_to_other_syns_leave_as_they_are() {
    check_all(&cases());
}

/// A node, and a kind of TCP.
struct PastVipStory {
    machine: LentMachine,
    kind: Kind,
}

impl PastVipStory {
    fn new(kind: Kind) -> Self {
        Self { machine: lend_machine(AS_NODE), kind }
    }

    /// By the VIP to this endpoint, which sees it come from this port.
    fn comes_from_port(&self, request: &Request, to: Host, port: u16) {
        let output = at_endpoint(request, to).with_client_port(port).frame();
        let given = arrives(format!("{}", self.kind), AS_NODE, from_director(self.kind.family, &request.ip));
        given.becomes(Deliver, output).for_service(request).assert_on(&self.machine);
    }

    fn comes(&self, request: &Request, to: Host) {
        self.comes_from_port(request, to, request.client_port());
    }

    /// The answer to a SYN with this sequence number leaves as one of the VIP.
    fn is_answered(&self, request: &Request, from: Host, sequence: u32) {
        let answer = segment(request, from, SYN_ACK, INITIAL, sequence.wrapping_add(1));
        let output = frame(LEAVING, &from_vip(request, &answer));
        let given = leaves(format!("to {sequence}, {}", self.kind), AS_NODE, frame(LEAVING, &answer));
        given.becomes(EgressReply, output).assert_on(&self.machine);
    }

    fn leaves_as_it_is(&self, sent: &Ip) {
        let given = leaves(format!("past the VIP, {}", self.kind), AS_NODE, frame(LEAVING, sent));
        given.untouched(EgressPass).assert_on(&self.machine);
    }

    fn flows(&mut self) -> Vec<(FlowKey, NodeFlow)> {
        self.machine.map(names::NODE_FLOWS).iter().map(Result::unwrap).collect()
    }

    /// As many flows, and replies.
    fn remembers(&mut self, flows: usize) {
        assert_eq!(self.flows().len(), flows, "{}", self.kind);
        let replies = self.machine.map::<ReplyKey, Reply>(names::NODE_REPLIES).iter().count();
        assert_eq!(replies, flows, "{}", self.kind);
    }
}

#[test]
fn a_connection_past_the_vip_is_left_alone_and_the_next_one_by_the_vip_begins_anew() {
    for kind in tcp_kinds() {
        let mut story = PastVipStory::new(kind);
        let request = kind.request(LOCAL);
        for sequence in [SEQUENCE, 5, u32::MAX] {
            story.comes(&request.clone().with_sequence(sequence), pod(1));
            story.is_answered(&request, pod(1), sequence);
            story.remembers(1);
            for (flags, acknowledgment) in [(SYN_ACK, OTHER), (SYN_ACK, OTHER), (ACK, OTHER + 9)] {
                story.leaves_as_it_is(&segment(&request, pod(1), flags, INITIAL, acknowledgment));
                story.remembers(0);
            }
        }
    }
}

/// Just before it, and just beyond what data it can have had.
#[test]
fn a_sequence_number_near_by_is_another_syns() {
    for kind in tcp_kinds() {
        for acknowledgment in [SEQUENCE, OURS + 65_536] {
            let mut story = PastVipStory::new(kind);
            let request = kind.request(LOCAL);
            story.comes(&request, pod(1));
            story.leaves_as_it_is(&segment(&request, pod(1), SYN_ACK, INITIAL, acknowledgment));
            story.remembers(0);
        }
    }
}

/// Once more, or a new one from the same port.
#[test]
fn every_syn_by_the_vip_is_noted() {
    for kind in tcp_kinds() {
        let mut story = PastVipStory::new(kind);
        let request = kind.request(LOCAL);
        for sequence in [5, 5, OTHER, SEQUENCE] {
            story.comes(&request.clone().with_sequence(sequence), pod(1));
            story.comes(&request.clone().into_later_packet(), pod(1));
            story.is_answered(&request, pod(1), sequence);
            let flows = story.flows();
            assert!(flows.len() == 1 && flows[0].1.seen == sequence, "{kind}: {flows:?}");
        }
    }
}

/// As one that another node has had before, or that an earlier release has noted.
#[test]
fn a_flow_whose_syn_is_not_known_has_all_answers() {
    for kind in tcp_kinds() {
        let mut story = PastVipStory::new(kind);
        let request = kind.request(LOCAL);
        story.comes(&request.clone().into_later_packet(), pod(1));
        story.is_answered(&request, pod(1), OTHER);
        story.remembers(1);
        story.comes(&request, pod(1));
        story.leaves_as_it_is(&segment(&request, pod(1), SYN_ACK, INITIAL, OTHER));
        story.remembers(0);
    }
}

/// Nothing is known of the SYN of the former one then, and nothing may happen to the present one.
#[test]
fn a_flow_that_has_gone_to_another_endpoint_stays_there() {
    for kind in tcp_kinds() {
        let mut story = PastVipStory::new(kind);
        let request = kind.request(LOCAL);
        story.comes(&request, pod(1));
        story.machine.end_epoch((kind, LOCAL), pod(1));
        story.machine.set_endpoint((kind, LOCAL), 0, pod(2));
        story.comes(&request.clone().with_sequence(5), pod(2));
        story.is_answered(&request, pod(1), OTHER);
        assert_eq!(story.flows().len(), 1, "{kind}");
        story.comes(&request.clone().into_later_packet(), pod(2));
        story.is_answered(&request, pod(2), 5);
    }
}

#[test]
fn of_two_flows_from_one_port_the_one_ends_that_is_answered_past_the_vip() {
    for kind in tcp_kinds() {
        let mut story = PastVipStory::new(kind);
        let (first, second) = (kind.request(LOCAL), kind.request(LOCAL_TOO).with_sequence(5));
        let port = u16::from_be(hash::substitute_port(second.hash(), second.service(), 1));
        story.comes(&first, pod(1));
        story.comes_from_port(&second, pod(1), port);
        let seen = second.clone().with_client_port(port);
        story.leaves_as_it_is(&segment(&seen, pod(1), SYN_ACK, INITIAL, OTHER));
        story.remembers(1);
        story.is_answered(&first, pod(1), SEQUENCE);
        // The port is the client's own again.
        story.leaves_as_it_is(&segment(&first, pod(1), SYN_ACK, INITIAL, OTHER));
        story.comes(&second, pod(1));
        story.is_answered(&second, pod(1), 5);
    }
}

/// Their endpoint answers to the VIP, which nobody is who comes past it.
#[test]
fn clients_inside_have_all_answers() {
    for kind in tcp_kinds() {
        let mut story = PastVipStory::new(kind);
        let request = kind.request(LOCAL).with_client(NODE);
        let output = hidden_at_endpoint(&request, pod(1), request.client_port()).frame();
        let given = arrives(format!("{kind} inside"), AS_NODE, from_director(kind.family, &request.ip));
        given.becomes(Deliver, output).for_service(&request).assert_on(&story.machine);
        let answer = reply_to_vip(&request, pod(1), request.client_port());
        let answer = with_numbers(answer, SYN_ACK, INITIAL, OTHER);
        let given = leaves(format!("to {kind} inside"), AS_NODE, frame(LEAVING, &answer));
        let output = frame(ARRIVING, &returned(&request, &answer));
        given.becomes(EgressReturn, output).assert_on(&story.machine);
        story.remembers(1);
    }
}
