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
    services::{BARE, BARE_SERVERS, RING_LEN, to_bare_server},
    world::{KINDS, Kind, Request},
};

const OLD: u32 = BARE_SERVERS[0];
const NEW: u32 = BARE_SERVERS[1];

/// A director whose ring of bare servers has just changed hands.
struct Story {
    machine: Machine,
    kind: Kind,
}

impl Story {
    fn of(kind: Kind) -> Self {
        Self { machine: Machine::new(AS_DIRECTOR), kind }
    }

    fn opening(&self) -> Request {
        self.kind.request(BARE)
    }

    /// A packet later in the flow.
    fn later(&self) -> Request {
        self.opening().later()
    }

    fn goes_to(&self, request: &Request, server: u32) {
        forwarded(format!("{} to server {server}", self.kind), request, server).happens_on(&self.machine);
    }

    fn ring_names(&mut self, server: u32) {
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
        .becomes(ForwardL2, by_mac(to_bare_server(server), request))
        .for_backend(request, server)
}

#[test]
fn a_flow_stays_with_its_server_when_the_ring_changes() {
    for kind in KINDS {
        let mut story = Story::of(kind);
        story.goes_to(&story.opening(), OLD);
        story.remembers(&[(story.opening().flow(), OLD)]);
        story.ring_names(NEW);
        story.goes_to(&story.later(), OLD);
        story.goes_to(&story.later(), OLD);
        story.remembers(&[(story.opening().flow(), OLD)]);
    }
}

#[test]
fn a_new_flow_follows_the_ring() {
    for kind in KINDS {
        let mut story = Story::of(kind);
        story.goes_to(&story.opening(), OLD);
        story.ring_names(NEW);
        story.goes_to(&story.opening().with_client_port(40_002), NEW);
        story.goes_to(&story.later(), OLD);
    }
}

#[test]
fn a_flow_whose_server_is_gone_follows_the_ring() {
    for kind in KINDS {
        let mut story = Story::of(kind);
        story.goes_to(&story.opening(), OLD);
        story.ring_names(NEW);
        story.machine.set_backend(OLD, Backend::default());
        story.goes_to(&story.later(), NEW);
        story.remembers(&[(story.opening().flow(), NEW)]);
    }
}

#[test]
fn a_syn_chooses_anew() {
    for kind in KINDS.into_iter().filter(|kind| kind.is_tcp) {
        let mut story = Story::of(kind);
        story.goes_to(&story.opening(), OLD);
        story.ring_names(NEW);
        story.goes_to(&story.opening(), NEW);
        story.remembers(&[(story.opening().flow(), NEW)]);
        story.ring_names(OLD);
        story.goes_to(&story.later(), NEW);
    }
}

#[test]
fn a_syn_with_ack_does_not_choose_anew() {
    for kind in KINDS.into_iter().filter(|kind| kind.is_tcp) {
        let mut story = Story::of(kind);
        story.goes_to(&story.opening(), OLD);
        story.ring_names(NEW);
        story.goes_to(&story.opening().with_tcp_flags(SYN | ACK), OLD);
    }
}

#[test]
fn a_flow_met_in_the_middle_follows_the_ring_and_is_remembered() {
    for kind in KINDS {
        let mut story = Story::of(kind);
        story.goes_to(&story.later(), OLD);
        story.remembers(&[(story.later().flow(), OLD)]);
    }
}

#[test]
fn without_any_server_a_flow_is_dropped_and_finds_the_next_one() {
    for kind in KINDS {
        let mut story = Story::of(kind);
        story.ring_names(0);
        let dropped = arrives(format!("{kind}"), AS_DIRECTOR, story.opening().frame());
        dropped.dropped(DropNoBackend).for_service(&story.opening()).happens_on(&story.machine);
        story.ring_names(NEW);
        story.goes_to(&story.later(), NEW);
    }
}
