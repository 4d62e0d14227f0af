//! A machine that has just become a director: its services have slots, which are those of a node's
//! history, and no rings yet.

use lb_common::Verdict::{Deliver, DropNoBackend};

use crate::{
    case::{Given, arrives},
    expect::at_endpoint,
    machine::{AS_BOTH, AS_DIRECTOR, Machine, Setup},
    services::LOCAL,
    world::{KINDS, Request, pod},
};

/// So many flows meet every slot, also those that others' rings have behind the first chunk.
const PORTS: std::ops::Range<u16> = 40_000..40_400;

/// Sends the opening packets of many flows to a machine whose `LOCAL` has no ring, and checks each.
fn check_flows(setup: Setup, check: impl Fn(Given, &Request, &Machine)) {
    let mut machine = Machine::new(setup);
    for kind in KINDS {
        machine.set_service((kind, LOCAL), |service| service.ring_offset = 0);
        for port in PORTS {
            let request = kind.request(LOCAL).with_client_port(port);
            check(arrives(format!("{kind} from port {port}"), setup, request.frame()), &request, &machine);
        }
    }
}

#[test]
fn a_node_without_rings_is_the_node_it_was() {
    check_flows(AS_BOTH, |given, request, machine| {
        let output = at_endpoint(request, pod(1)).frame();
        given.becomes(Deliver, output).for_service(request).assert_on(machine);
    });
}

#[test]
fn a_director_without_rings_takes_none_of_others() {
    check_flows(AS_DIRECTOR, |given, request, machine| {
        given.dropped(DropNoBackend).for_service(request).assert_on(machine);
    });
}
