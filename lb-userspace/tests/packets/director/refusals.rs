//! Packets to a service that no backend can take.

use lb_common::Verdict::{DropNoBackend, DropNoSuchPort, DropUnresolved};

use super::DIRECTORS;
use crate::{
    case::{Case, arrives, check_all},
    services::{BEYOND_THE_TABLE, CLEARED, EMPTY_SLOT, NO_RING, NO_SERVICE, UNRESOLVED},
    world::{KINDS, Kind},
};

pub fn cases() -> Vec<Case> {
    KINDS.into_iter().flat_map(cases_of_kind).collect()
}

fn cases_of_kind(kind: Kind) -> Vec<Case> {
    let mut cases = Vec::new();
    for setup in DIRECTORS {
        let given = |port| {
            let name = format!("{kind} to port {port} on {setup}");
            arrives(name, setup, kind.request(port).frame())
        };
        cases.extend(
            [NO_RING, EMPTY_SLOT, CLEARED, BEYOND_THE_TABLE]
                .map(|port| given(port).dropped(DropNoBackend).for_service(&kind.request(port))),
        );
        cases.push(given(UNRESOLVED).dropped(DropUnresolved).for_its_backend(&kind.request(UNRESOLVED)));
        cases.push(given(NO_SERVICE).dropped(DropNoSuchPort));
    }
    cases
}

#[test]
fn packets_that_no_backend_can_take_are_dropped_for_a_reason() {
    check_all(&cases());
}
