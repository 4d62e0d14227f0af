//! Services of which only so many flows may begin in a second: on the node
//! where they begin, and of bare servers on the director. The machines' second
//! never ends, so that no test depends on the time.

use lb_common::Verdict::{Deliver, DropNewFlow, ForwardL2};

use crate::{
    case::{Case, arrives, check_all},
    expect::{at_endpoint, by_mac},
    machine::{AS_DIRECTOR, AS_NODE, DIRECTOR_AT_LIMIT, Machine, NODE_AT_LIMIT, Setup},
    services::{
        BARE, BARE_LIMITED, BARE_SERVERS, LIMITED, LOCAL, NEW_FLOWS, macs_to_bare_server, monotonic_seconds,
        service_id,
    },
    world::{KINDS, Kind, Request, pod},
};

fn case_name(setup: Setup, fate: &str, request: &Request) -> String {
    format!("{} from {} on {setup} at its limit: {fate}", request.kind, request.client_port())
}

fn delivered(setup: Setup, request: &Request) -> Case {
    let given = arrives(case_name(setup, "delivered", request), setup, request.frame());
    given.becomes(Deliver, at_endpoint(request, pod(1)).frame()).for_service(request)
}

fn forwarded(setup: Setup, request: &Request) -> Case {
    let given = arrives(case_name(setup, "forwarded", request), setup, request.frame());
    given
        .becomes(ForwardL2, by_mac(macs_to_bare_server(BARE_SERVERS[0]), request))
        .for_backend(request, BARE_SERVERS[0])
}

fn refused(setup: Setup, request: &Request) -> Case {
    let given = arrives(case_name(setup, "refused", request), setup, request.frame());
    given.dropped(DropNewFlow).for_service(request)
}

pub fn cases() -> Vec<Case> {
    KINDS.into_iter().flat_map(cases_of_kind).collect()
}

fn cases_of_kind(kind: Kind) -> [Case; 4] {
    let request = |port| kind.request(port);
    [
        refused(NODE_AT_LIMIT, &request(LIMITED)),
        refused(DIRECTOR_AT_LIMIT, &request(BARE_LIMITED)),
        delivered(NODE_AT_LIMIT, &request(LOCAL)),
        forwarded(DIRECTOR_AT_LIMIT, &request(BARE)),
    ]
}

#[test]
fn no_more_flows_begin_than_may() {
    check_all(&cases());
}

/// `port`: of a service with a limit.
fn check_existing_flows(setup: Setup, port: u16, arrives: fn(Setup, &Request) -> Case) {
    for kind in KINDS {
        let machine = Machine::new(setup);
        let flow = |n: u32| kind.request(port).with_client_port(40_000 + n as u16);
        for n in 0..NEW_FLOWS {
            arrives(setup, &flow(n)).assert_on(&machine);
        }
        for _ in 0..2 {
            refused(setup, &flow(NEW_FLOWS)).assert_on(&machine);
            for n in 0..NEW_FLOWS {
                arrives(setup, &flow(n).into_later_packet()).assert_on(&machine);
            }
        }
        if kind.is_tcp {
            // Begun elsewhere: an RST of the endpoint's, or another director's flow.
            arrives(setup, &flow(9).into_later_packet()).assert_on(&machine);
        }
    }
}

#[test]
fn existing_flows_are_not_limited_on_a_node() {
    check_existing_flows(AS_NODE, LIMITED, delivered);
}

#[test]
fn existing_flows_are_not_limited_on_a_director() {
    check_existing_flows(AS_DIRECTOR, BARE_LIMITED, forwarded);
}

/// A SYN that is sent again has begun its flow already.
#[test]
fn a_syn_counts_once_on_a_node() {
    for kind in KINDS {
        let mut machine = Machine::new(AS_NODE);
        for _ in 0..3 {
            delivered(AS_NODE, &kind.request(LIMITED)).assert_on(&machine);
        }
        assert_eq!(machine.flows_begun(service_id(kind, LIMITED)), (u32::MAX, 1));
    }
}

#[test]
fn a_new_second_counts_anew() {
    for kind in KINDS {
        let mut machine = Machine::new(AS_NODE);
        let before = monotonic_seconds();
        machine.set_flows_begun(service_id(kind, LIMITED), before - 1, NEW_FLOWS);
        delivered(AS_NODE, &kind.request(LIMITED)).assert_on(&machine);
        let (second, count) = machine.flows_begun(service_id(kind, LIMITED));
        assert!((before..=monotonic_seconds()).contains(&second));
        assert_eq!(count, 1);
    }
}
