//! Flow tables that take no new entries.

use lb_common::Verdict::DropFlowTable;

use crate::{
    case::{Case, arrives, check_all},
    expect::from_director,
    machine::{FLOWS_FULL, REPLIES_FULL},
    services::LOCAL,
    world::KINDS,
};

pub fn cases() -> Vec<Case> {
    let setups = [REPLIES_FULL, FLOWS_FULL];
    let all = KINDS.into_iter().flat_map(|kind| setups.map(|setup| (kind, setup)));
    all.map(|(kind, setup)| {
        let request = kind.request(LOCAL);
        let input = from_director(kind.family, &request.ip);
        let given = arrives(format!("{kind} where {:?}", setup.condition), setup, input);
        given.dropped(DropFlowTable).for_service(&request)
    })
    .collect()
}

#[test]
fn a_flow_that_cannot_be_remembered_is_dropped() {
    check_all(&cases());
}
