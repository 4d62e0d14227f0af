//! What happens to a node, one packet after the other.

use std::collections::BTreeMap;

use lb_common::{
    Verdict::{self, Deliver, HandOn},
    maps::{FlowKey, Holder, NodeFlow, names},
};

use super::{Trail, frame_from_fellow, frame_to_fellow};
use crate::{
    case::{Given, arrives},
    expect::at_endpoint,
    machine::{AS_NODE, LentMachine, Setup, flow_entry, lend_machine},
    services::{fellow_id, port_over},
    world::{Family, Kind, Request, pod},
};

/// A node, a kind of traffic that comes to it, and the family in which nodes
/// reach each other.
pub struct SearchStory {
    pub machine: LentMachine,
    setup: Setup,
    pub kind: Kind,
    pub outer: Family,
    port: u16,
}

/// A packet that is about to come; its methods send it and check what becomes of it.
#[must_use]
pub struct Step<'a> {
    story: &'a SearchStory,
    given: Given,
    request: &'a Request,
}

impl SearchStory {
    /// On a node, of a service.
    pub fn on_node(port: u16, (kind, outer): (Kind, Family)) -> Self {
        Self::new(AS_NODE, port, (kind, outer))
    }

    pub fn new(setup: Setup, port: u16, (kind, outer): (Kind, Family)) -> Self {
        Self { machine: lend_machine(setup), setup, kind, outer, port: port_over(outer, port) }
    }

    /// The first packet of a client.
    pub fn first_packet(&self) -> Request {
        self.kind.request(self.port)
    }

    /// A packet that begins no connection.
    pub fn later_packet(&self) -> Request {
        self.first_packet().into_later_packet()
    }

    /// From the director, by its MAC address.
    pub fn comes_from_director<'a>(&'a self, request: &'a Request) -> Step<'a> {
        self.packet_comes("from the director", request.frame(), request)
    }

    pub fn comes_from_fellow<'a>(&'a self, fellow: u8, trail: &Trail, request: &'a Request) -> Step<'a> {
        let what = format!("from {fellow} saying {:#04x}", trail.hops);
        self.packet_comes(&what, frame_from_fellow(self.outer, fellow, trail, request), request)
    }

    pub fn packet_comes<'a>(&'a self, what: &str, input: Vec<u8>, request: &'a Request) -> Step<'a> {
        let name = format!("{} between nodes over {:?}, {what}", self.kind, self.outer);
        Step { story: self, given: arrives(name, self.setup, input), request }
    }

    /// A client has opened a flow, and it is one of this node.
    pub fn with_open_flow(self) -> Self {
        self.comes_from_fellow(1, &super::trail_of(&[]).with_word(super::OVER), &self.first_packet())
            .stays_here();
        self
    }

    /// Slots of the service changed hands then, in seconds of `CLOCK_MONOTONIC`.
    pub fn set_changed_at(&mut self, time: u32) {
        self.machine.set_service((self.kind, self.port), |service| service.changed = time);
    }

    /// The flows that are here.
    pub fn flows(&mut self) -> Vec<(FlowKey, NodeFlow)> {
        self.machine.map(names::NODE_FLOWS).iter().map(Result::unwrap).collect()
    }

    /// Exactly this flow is here, whatever packet it has begun with.
    pub fn has_only_flow(&mut self, request: &Request) {
        let flows: Vec<_> =
            self.flows().into_iter().map(|(key, flow)| (key, NodeFlow { seen: 0, ..flow })).collect();
        assert_eq!(flows, [flow_entry(request, pod(1))], "{}", self.kind);
    }

    /// These flows, and no others, are remembered as ones of fellows.
    pub fn remembers(&mut self, found: &[(&Request, u8)]) {
        self.remembers_holders(found, |backend| Holder { backend });
    }

    /// The SYNs of these flows, and of no others, are remembered as passed on to fellows.
    pub fn remembers_passing_on(&mut self, passed: &[(&Request, u8)]) {
        self.remembers_holders(passed, Holder::passed_on);
    }

    fn remembers_holders(&mut self, expected: &[(&Request, u8)], holder: impl Fn(u32) -> Holder) {
        let key = |flow: FlowKey| (flow.service, flow.client_port);
        let map = self.machine.map::<FlowKey, Holder>(names::BARE_FLOWS);
        let is: BTreeMap<_, _> =
            map.iter().map(Result::unwrap).map(|(flow, holder)| (key(flow), holder.backend)).collect();
        let outer = self.outer;
        let entry = |(request, fellow): &(&Request, u8)| {
            (key(request.flow()), holder(u32::from(fellow_id(outer, *fellow))).backend)
        };
        assert_eq!(is, expected.iter().map(entry).collect(), "{}", self.kind);
    }
}

impl Step<'_> {
    /// The node hands it on to a fellow.
    pub fn goes_to_fellow(self, fellow: u8, trail: &Trail) {
        let output = frame_to_fellow(self.story.outer, fellow, trail, self.request);
        self.given.becomes(HandOn, output).for_service(self.request).assert_on(&self.story.machine);
    }

    /// To the one endpoint.
    pub fn stays_here(self) {
        let output = at_endpoint(self.request, pod(1)).frame();
        self.given.becomes(Deliver, output).for_service(self.request).assert_on(&self.story.machine);
    }

    pub fn goes_nowhere(self, verdict: Verdict) {
        self.given.dropped(verdict).for_service(self.request).assert_on(&self.story.machine);
    }
}
