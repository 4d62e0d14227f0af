//! A director that is itself the owner of the slot: the packet stays here,
//! and no path's MTU matters.

use lb_common::Verdict::Deliver;

use crate::{
    case::{Case, arrives, check_all},
    expect::at_endpoint,
    machine::AS_BOTH,
    services::{LOCAL, MTU},
    world::{KINDS, Kind, pod},
};

pub fn cases() -> Vec<Case> {
    KINDS.into_iter().flat_map(cases_of_kind).collect()
}

fn cases_of_kind(kind: Kind) -> [Case; 3] {
    let requests = [
        ("a first packet", kind.request(LOCAL)),
        ("a later packet", kind.request(LOCAL).into_later_packet()),
        ("a long packet", kind.request(LOCAL).with_len(MTU)),
    ];
    requests.map(|(what, request)| {
        let output = at_endpoint(&request, pod(1)).frame();
        let given = arrives(format!("{kind}: {what} stays"), AS_BOTH, request.frame());
        given.becomes(Deliver, output).for_service(&request)
    })
}

#[test]
fn what_the_director_itself_owns_stays_here() {
    check_all(&cases());
}
