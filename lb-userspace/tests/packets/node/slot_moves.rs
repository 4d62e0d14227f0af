//! Machines that are director and node: a flow that goes on here stays here when its slot goes to another machine.

use lb_common::{
    Verdict::{Deliver, ForwardIpip},
    maps::{FlowKey, NodeFlow, names},
};

use crate::{
    case::arrives,
    expect::{at_endpoint, in_tunnel},
    machine::{AS_BOTH, LentMachine, lend_machine},
    packet::SEQUENCE,
    services::{self, IPIP4, LOCAL, RING_LEN, monotonic_seconds},
    world::{Family, KINDS, Kind, Request, pod},
};

/// A machine on which a client has opened a flow, whose slot then goes to another one.
struct SlotStory {
    machine: LentMachine,
    kind: Kind,
}

impl SlotStory {
    fn new(kind: Kind) -> Self {
        let mut story = Self { machine: lend_machine(AS_BOTH), kind };
        story.stays(&kind.request(LOCAL));
        story.machine.set_ring(LOCAL, &[services::backend_of(IPIP4) as u16; RING_LEN as usize]);
        story.machine.set_service((kind, LOCAL), |service| service.changed = monotonic_seconds());
        story
    }

    fn stays(&self, request: &Request) {
        let given = arrives(format!("{} stays", self.kind), AS_BOTH, request.frame());
        let output = at_endpoint(request, pod(1)).frame();
        given.becomes(Deliver, output).for_service(request).assert_on(&self.machine);
    }

    fn is_forwarded(&self, request: &Request) {
        let given = arrives(format!("{} is forwarded", self.kind), AS_BOTH, request.frame());
        let id = services::backend_of(IPIP4);
        let output = in_tunnel(Family::V4, request);
        given.becomes(ForwardIpip, output).for_backend(request, id).assert_on(&self.machine);
    }
}

#[test]
fn a_flow_stays_and_new_ones_are_forwarded() {
    for kind in KINDS {
        let story = SlotStory::new(kind);
        let request = kind.request(LOCAL);
        story.stays(&request.clone().into_later_packet());
        // The same SYN, or the next datagram.
        story.stays(&request);
        story.is_forwarded(&request.clone().with_client_port(40_002));
        story.is_forwarded(&request.clone().with_client_port(40_002).into_later_packet());
    }
}

/// Its client's next connection may have begun on the other machine.
#[test]
fn a_connection_that_has_ended_is_forwarded() {
    for kind in KINDS.into_iter().filter(|kind| kind.is_tcp) {
        let mut story = SlotStory::new(kind);
        let request = kind.request(LOCAL);
        let mut flows = story.machine.map::<FlowKey, NodeFlow>(names::NODE_FLOWS);
        let flow = flows.get(&request.flow(), 0).unwrap();
        flows.insert(request.flow(), flow.with_end(true), 0).unwrap();
        story.is_forwarded(&request.clone().with_sequence(SEQUENCE + 1_000_000));
        story.is_forwarded(&request.into_later_packet());
    }
}
