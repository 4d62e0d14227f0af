//! What happens to a node, one packet after the other.

use std::collections::BTreeMap;

use lb_common::{
    Verdict::{self, Deliver, HandOn},
    maps::{FlowKey, Holder, NodeFlow, names},
};

use super::{Trail, from, to};
use crate::{
    case::{Given, arrives},
    expect::at_endpoint,
    machine::{AS_NODE, Lent, Setup, flow_entry, lend},
    services::{fellow_id, over},
    world::{Family, Kind, Request, pod},
};

/// A node, a kind of traffic that comes to it, and the family in which nodes
/// reach each other.
pub struct Story {
    pub machine: Lent,
    setup: Setup,
    pub kind: Kind,
    pub outer: Family,
    port: u16,
}

/// A packet has come, and now?
pub struct Step<'a> {
    story: &'a Story,
    given: Given,
    request: &'a Request,
}

impl Story {
    /// On a node, of a service.
    pub fn of(port: u16, (kind, outer): (Kind, Family)) -> Self {
        Self::on(AS_NODE, port, (kind, outer))
    }

    pub fn on(setup: Setup, port: u16, (kind, outer): (Kind, Family)) -> Self {
        Self { machine: lend(setup), setup, kind, outer, port: over(outer, port) }
    }

    /// The first packet of a client.
    pub fn first(&self) -> Request {
        self.kind.request(self.port)
    }

    /// A packet that begins no connection.
    pub fn later(&self) -> Request {
        self.first().later()
    }

    /// From the director, by its MAC address.
    pub fn comes<'a>(&'a self, request: &'a Request) -> Step<'a> {
        self.step("from the director", request.frame(), request)
    }

    pub fn comes_from<'a>(&'a self, fellow: u8, trail: &Trail, request: &'a Request) -> Step<'a> {
        let what = format!("from {fellow} saying {:#04x}", trail.hops);
        self.step(&what, from(self.outer, fellow, trail, request), request)
    }

    pub fn step<'a>(&'a self, what: &str, input: Vec<u8>, request: &'a Request) -> Step<'a> {
        let name = format!("{} between nodes over {:?}, {what}", self.kind, self.outer);
        Step { story: self, given: arrives(name, self.setup, input), request }
    }

    /// A client has opened a flow, and it is one of this node.
    pub fn has_flow(self) -> Self {
        self.comes_from(1, &super::been(&[]).saying(super::OVER), &self.first()).stays_here();
        self
    }

    /// Slots of the service changed hands then, in seconds of `CLOCK_MONOTONIC`.
    pub fn changed_at(&mut self, time: u32) {
        self.machine.set_service((self.kind, self.port), |service| service.changed = time);
    }

    /// The flows that are here.
    pub fn flows(&mut self) -> Vec<(FlowKey, NodeFlow)> {
        self.machine.map(names::NODE_FLOWS).iter().map(Result::unwrap).collect()
    }

    /// Exactly this flow is here.
    pub fn has_only(&mut self, request: &Request) {
        let expected = [flow_entry(request, pod(1))];
        assert_eq!(self.flows(), expected, "{}", self.kind);
    }

    /// These flows, and no others, are remembered as ones of fellows.
    pub fn remembers(&mut self, found: &[(&Request, u8)]) {
        let key = |flow: FlowKey| (flow.service, flow.client_port);
        let map = self.machine.map::<FlowKey, Holder>(names::BARE_FLOWS);
        let is: BTreeMap<_, _> =
            map.iter().map(Result::unwrap).map(|(flow, holder)| (key(flow), holder.backend)).collect();
        let outer = self.outer;
        let expected =
            found.iter().map(|(request, fellow)| (key(request.flow()), u32::from(fellow_id(outer, *fellow))));
        assert_eq!(is, expected.collect(), "{}", self.kind);
    }
}

impl Step<'_> {
    /// The node hands it on to a fellow.
    pub fn goes_to(self, fellow: u8, trail: &Trail) {
        let output = to(self.story.outer, fellow, trail, self.request);
        self.given.becomes(HandOn, output).for_service(self.request).happens_on(&self.story.machine);
    }

    /// To the one endpoint.
    pub fn stays_here(self) {
        let output = at_endpoint(self.request, pod(1)).frame();
        self.given.becomes(Deliver, output).for_service(self.request).happens_on(&self.story.machine);
    }

    pub fn goes_nowhere(self, verdict: Verdict) {
        self.given.dropped(verdict).for_service(self.request).happens_on(&self.story.machine);
    }
}
