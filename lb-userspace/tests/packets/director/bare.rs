//! Flows to bare servers: the only ones that a director remembers.

use lb_common::{
    Verdict::{DropNoBackend, ForwardL2},
    maps::{Backend, FlowKey, Holder, names},
};

use crate::{
    case::{Case, arrives},
    expect::by_mac,
    machine::{AS_DIRECTOR, Machine},
    packet::{ACK, SYN},
    services::{BARE, BARE_SERVERS, RING_LEN, macs_to_bare_server},
    world::{KINDS, Kind, Request},
};

const OLD: u32 = BARE_SERVERS[0];
const NEW: u32 = BARE_SERVERS[1];

/// A director whose ring of bare servers has just changed hands.
struct BareServerStory {
    machine: Machine,
    kind: Kind,
}

impl BareServerStory {
    fn new(kind: Kind) -> Self {
        Self { machine: Machine::new(AS_DIRECTOR), kind }
    }

    fn opening_packet(&self) -> Request {
        self.kind.request(BARE)
    }

    /// A packet later in the flow.
    fn later_packet(&self) -> Request {
        self.opening_packet().into_later_packet()
    }

    fn goes_to(&self, request: &Request, server: u32) {
        forwarded(format!("{} to server {server}", self.kind), request, server).assert_on(&self.machine);
    }

    fn set_ring_to(&mut self, server: u32) {
        self.machine.set_ring(BARE, &[server as u16; RING_LEN as usize]);
    }

    fn remembers(&mut self, expected: &[(FlowKey, u32)]) {
        let flows = self.machine.map::<FlowKey, Holder>(names::BARE_FLOWS);
        let found: Vec<_> =
            flows.iter().map(|item| item.map(|(key, flow)| (key, flow.backend)).unwrap()).collect();
        assert_eq!(found, expected, "{}", self.kind);
    }
}

fn forwarded(name: String, request: &Request, server: u32) -> Case {
    arrives(name, AS_DIRECTOR, request.frame())
        .becomes(ForwardL2, by_mac(macs_to_bare_server(server), request))
        .for_backend(request, server)
}

#[test]
fn a_flow_stays_with_its_server_when_the_ring_changes() {
    for kind in KINDS {
        let mut story = BareServerStory::new(kind);
        story.goes_to(&story.opening_packet(), OLD);
        story.remembers(&[(story.opening_packet().flow(), OLD)]);
        story.set_ring_to(NEW);
        story.goes_to(&story.later_packet(), OLD);
        story.goes_to(&story.later_packet(), OLD);
        story.remembers(&[(story.opening_packet().flow(), OLD)]);
    }
}

#[test]
fn a_new_flow_follows_the_ring() {
    for kind in KINDS {
        let mut story = BareServerStory::new(kind);
        story.goes_to(&story.opening_packet(), OLD);
        story.set_ring_to(NEW);
        story.goes_to(&story.opening_packet().with_client_port(40_002), NEW);
        story.goes_to(&story.later_packet(), OLD);
    }
}

#[test]
fn a_flow_whose_server_is_gone_follows_the_ring() {
    for kind in KINDS {
        let mut story = BareServerStory::new(kind);
        story.goes_to(&story.opening_packet(), OLD);
        story.set_ring_to(NEW);
        story.machine.set_backend(OLD, Backend::default());
        story.goes_to(&story.later_packet(), NEW);
        story.remembers(&[(story.opening_packet().flow(), NEW)]);
    }
}

#[test]
fn a_syn_chooses_anew() {
    for kind in KINDS.into_iter().filter(|kind| kind.is_tcp) {
        let mut story = BareServerStory::new(kind);
        story.goes_to(&story.opening_packet(), OLD);
        story.set_ring_to(NEW);
        story.goes_to(&story.opening_packet(), NEW);
        story.remembers(&[(story.opening_packet().flow(), NEW)]);
        story.set_ring_to(OLD);
        story.goes_to(&story.later_packet(), NEW);
    }
}

#[test]
fn a_syn_with_ack_does_not_choose_anew() {
    for kind in KINDS.into_iter().filter(|kind| kind.is_tcp) {
        let mut story = BareServerStory::new(kind);
        story.goes_to(&story.opening_packet(), OLD);
        story.set_ring_to(NEW);
        story.goes_to(&story.opening_packet().with_tcp_flags(SYN | ACK), OLD);
    }
}

#[test]
fn a_flow_met_in_the_middle_follows_the_ring_and_is_remembered() {
    for kind in KINDS {
        let mut story = BareServerStory::new(kind);
        story.goes_to(&story.later_packet(), OLD);
        story.remembers(&[(story.later_packet().flow(), OLD)]);
    }
}

#[test]
fn without_any_server_a_flow_is_dropped_and_finds_the_next_one() {
    for kind in KINDS {
        let mut story = BareServerStory::new(kind);
        story.set_ring_to(0);
        let dropped = arrives(format!("{kind}"), AS_DIRECTOR, story.opening_packet().frame());
        dropped.dropped(DropNoBackend).for_service(&story.opening_packet()).assert_on(&story.machine);
        story.set_ring_to(NEW);
        story.goes_to(&story.later_packet(), NEW);
    }
}
