//! What a node remembers of flows, and what for.

use std::collections::BTreeSet;

use lb_common::{
    Verdict::{Deliver, DropNoEndpoint, EgressReply},
    hash,
    maps::{EndpointKey, EndpointSlot, FlowKey, NodeFlow, Reply, ReplyKey, names},
};

use super::kinds_in_tunnels;
use crate::{
    case::{arrives, leaves},
    expect::{at_endpoint, from_director, from_vip, reply},
    machine::{AS_BOTH, AS_NODE, Machine, flow_entry, reply_entry},
    packet::{SEQUENCE, frame},
    services::{self, LOCAL, LOCAL_THREE, monotonic_seconds},
    world::{Host, KINDS, Kind, LEAVING, Request, pod},
};

/// A node, and a kind of traffic that comes to it.
struct NodeFlowStory {
    machine: Machine,
    kind: Kind,
}

impl NodeFlowStory {
    fn new(kind: Kind) -> Self {
        Self { machine: Machine::new(AS_NODE), kind }
    }

    fn goes_to(&self, request: &Request, pod: Host) {
        let output = at_endpoint(request, pod).frame();
        let given = arrives(format!("{}", self.kind), AS_NODE, from_director(self.kind.family, &request.ip));
        given.becomes(Deliver, output).for_service(request).assert_on(&self.machine);
    }

    /// The reply leaves the Pod, and the machine as one of the VIP.
    fn is_answered_from_the_vip(&self, request: &Request, pod: Host) {
        let input = frame(LEAVING, &reply(request, pod).ip);
        let output = frame(LEAVING, &from_vip(request, &reply(request, pod).ip));
        let given = leaves(format!("reply, {}", self.kind), AS_NODE, input);
        given.becomes(EgressReply, output).assert_on(&self.machine);
    }

    fn flows(&mut self) -> Vec<(FlowKey, NodeFlow)> {
        self.machine.map(names::NODE_FLOWS).iter().map(Result::unwrap).collect()
    }

    /// The last packet of each flow came then.
    fn set_seen(&mut self, seen: u32) {
        for (key, flow) in self.flows() {
            self.machine.map(names::NODE_FLOWS).insert(key, NodeFlow { seen, ..flow }, 0).unwrap();
        }
    }

    fn replies(&mut self) -> Vec<(ReplyKey, Reply)> {
        self.machine.map(names::NODE_REPLIES).iter().map(Result::unwrap).collect()
    }

    /// Exactly one flow, to this endpoint, and its reply; of TCP, the SYN with this sequence number.
    fn remembers(&mut self, request: &Request, pod: Host, sequence: u32) {
        let (key, flow) = flow_entry(request, pod);
        let seen = if self.kind.is_tcp { sequence } else { 0 };
        assert_eq!(self.flows(), [(key, NodeFlow { seen, ..flow })]);
        assert_eq!(self.replies(), [reply_entry(request, pod)]);
    }
}

#[test]
fn both_directions_of_a_flow_are_remembered() {
    for kind in KINDS {
        let mut story = NodeFlowStory::new(kind);
        let request = kind.request(LOCAL);
        story.goes_to(&request, pod(1));
        story.remembers(&request, pod(1), SEQUENCE);
        story.is_answered_from_the_vip(&request, pod(1));
    }
}

#[test]
fn a_flow_stays_with_its_endpoint_when_endpoints_change() {
    for kind in KINDS {
        let mut story = NodeFlowStory::new(kind);
        let request = kind.request(LOCAL);
        story.goes_to(&request, pod(1));
        story.machine.set_endpoint((kind, LOCAL), 0, pod(2));
        story.goes_to(&request.clone().into_later_packet(), pod(1));
        story.remembers(&request, pod(1), SEQUENCE);
        story.goes_to(&kind.request(LOCAL).with_client_port(40_002), pod(2));
        story.goes_to(&request.clone().into_later_packet(), pod(1));
        story.is_answered_from_the_vip(&request.into_later_packet(), pod(1));
    }
}

#[test]
fn a_flow_ends_when_the_last_endpoint_is_gone_only_for_newcomers() {
    for kind in KINDS {
        let mut story = NodeFlowStory::new(kind);
        story.goes_to(&kind.request(LOCAL), pod(1));
        let place = EndpointKey { service: services::service_id(kind, LOCAL), index: 0 };
        story.machine.map::<_, u32>(names::ENDPOINTS).remove(&place).unwrap();
        story.goes_to(&kind.request(LOCAL).into_later_packet(), pod(1));
        let newcomer = kind.request(LOCAL).with_client_port(40_002);
        let given = arrives(format!("{kind}"), AS_NODE, from_director(kind.family, &newcomer.ip));
        given.dropped(DropNoEndpoint).for_service(&newcomer).assert_on(&story.machine);
        assert_eq!(story.flows().len(), 1);
        assert_eq!(story.replies().len(), 1);
    }
}

/// Nobody has to look for its flows.
#[test]
fn a_flow_whose_endpoint_is_gone_begins_anew() {
    for kind in KINDS {
        let mut story = NodeFlowStory::new(kind);
        let request = kind.request(LOCAL);
        story.goes_to(&request, pod(1));
        story.machine.end_epoch((kind, LOCAL), pod(1));
        story.machine.set_endpoint((kind, LOCAL), 0, pod(2));
        story.goes_to(&request.clone().into_later_packet(), pod(2));
        assert_eq!(story.flows(), [flow_entry(&request, pod(2))]);
        story.is_answered_from_the_vip(&request, pod(2));
    }
}

/// A connection ends by itself, a UDP flow by silence: 30 s from its last packet, but not from before
/// its endpoint drains.
#[test]
fn a_flow_stays_with_an_endpoint_that_drains_unless_it_is_udp_and_idle() {
    for kind in KINDS {
        let mut story = NodeFlowStory::new(kind);
        let request = kind.request(LOCAL).into_later_packet();
        story.goes_to(&kind.request(LOCAL), pod(1));
        story.machine.set_endpoint((kind, LOCAL), 0, pod(2));
        story.machine.set_drained((kind, LOCAL), pod(1), monotonic_seconds() - 20);
        story.goes_to(&request, pod(1));
        // That packet counts, and the time before it no more.
        story.machine.set_drained((kind, LOCAL), pod(1), monotonic_seconds() - 40);
        story.goes_to(&request, pod(1));
        story.set_seen(monotonic_seconds() - 35);
        story.goes_to(&request, if kind.is_tcp { pod(1) } else { pod(2) });
    }
}

#[test]
fn an_idle_flow_stays_with_an_endpoint_that_drains_where_no_other_takes_it() {
    for kind in KINDS {
        let mut story = NodeFlowStory::new(kind);
        let request = kind.request(LOCAL).into_later_packet();
        story.goes_to(&kind.request(LOCAL), pod(1));
        story.machine.set_drained((kind, LOCAL), pod(1), monotonic_seconds() - 40);
        story.machine.set_service((kind, LOCAL), |service| service.endpoints = 0);
        story.goes_to(&request, pod(1));
        // It is in use again.
        story.machine.set_service((kind, LOCAL), |service| service.endpoints = 1);
        story.machine.set_endpoint((kind, LOCAL), 0, pod(2));
        story.goes_to(&request, pod(1));
    }
}

/// Not of another service, nor of nobody.
#[test]
fn a_slot_that_has_another_holder_or_none_begins_no_flow() {
    for kind in KINDS {
        for change in
            [|slot: &mut EndpointSlot| slot.service += 1, |slot: &mut EndpointSlot| *slot = slot.cleared()]
        {
            let mut story = NodeFlowStory::new(kind);
            story.machine.change_slot((kind, LOCAL), pod(1), change);
            let request = kind.request(LOCAL);
            let given = arrives(format!("{kind}"), AS_NODE, from_director(kind.family, &request.ip));
            given.dropped(DropNoEndpoint).for_service(&request).assert_on(&story.machine);
            assert_eq!(story.flows().len(), 0);
        }
    }
}

#[test]
fn an_endpoint_that_the_service_does_not_count_gets_no_flow() {
    for kind in KINDS {
        let mut story = NodeFlowStory::new(kind);
        story.machine.set_service((kind, LOCAL), |service| service.endpoints = 0);
        let request = kind.request(LOCAL);
        let given = arrives(format!("{kind}"), AS_NODE, from_director(kind.family, &request.ip));
        given.dropped(DropNoEndpoint).for_service(&request).assert_on(&story.machine);
        assert_eq!(story.flows().len(), 0);
    }
}

/// So that the RST with which the endpoint will answer comes from the VIP.
#[test]
fn a_flow_met_in_the_middle_gets_an_endpoint_and_a_reply() {
    for kind in KINDS {
        let mut story = NodeFlowStory::new(kind);
        let request = kind.request(LOCAL).into_later_packet();
        story.goes_to(&request, pod(1));
        story.remembers(&request, pod(1), 0);
        story.is_answered_from_the_vip(&request, pod(1));
    }
}

#[test]
fn it_is_one_flow_however_the_packets_come() {
    for (kind, outer) in kinds_in_tunnels() {
        let mut story = NodeFlowStory { machine: Machine::new(AS_BOTH), kind };
        let request = kind.request(LOCAL);
        let output = at_endpoint(&request, pod(1)).frame();
        for input in [request.frame(), from_director(outer, &request.ip)] {
            let given = arrives(format!("{kind}, {outer:?}"), AS_BOTH, input);
            given.becomes(Deliver, output.clone()).for_service(&request).assert_on(&story.machine);
        }
        story.remembers(&request, pod(1), SEQUENCE);
    }
}

#[test]
fn the_flow_hash_spreads_flows_over_endpoints() {
    for kind in KINDS {
        let story = NodeFlowStory::new(kind);
        let mut seen = BTreeSet::new();
        for port in 40_000..40_050 {
            let request = kind.request(LOCAL_THREE).with_client_port(port);
            let index = hash::endpoint(request.hash(), 3) as u8;
            story.goes_to(&request, pod(index + 1));
            seen.insert(index);
        }
        assert_eq!(seen.len(), 3);
    }
}
