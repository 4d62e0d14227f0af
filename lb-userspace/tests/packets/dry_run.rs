//! A dry run reports what a real run would do, and changes no map.

use std::collections::BTreeMap;

use lb_common::{
    hash,
    maps::{FlowKey, NodeFlow, memory, names},
};

use crate::{
    coverage,
    machine::{AS_NODE, Condition, Hook, Machine, flow_entry},
    services::{OWNED, RING_LEN},
    world::{KINDS, pod},
};

#[test]
fn a_dry_run_tells_what_happens_and_changes_nothing() {
    let mut machines = BTreeMap::new();
    let mut complaints = Vec::new();
    let mut checked = 0;
    // A full table shows only on an insert, and the limit of strays only by counting:
    // a dry run does neither.
    let needs_change = |condition| matches!(condition, Condition::Full(_) | Condition::Strays(_));
    for case in coverage::all_cases().into_iter().filter(|case| !needs_change(case.setup.condition)) {
        let (machine, _) = machines.entry(case.setup).or_insert_with(|| {
            let machine = Machine::new_dry_run(case.setup);
            let before = machine.dump();
            (machine, before)
        });
        if machine.is_supported_by_kernel() {
            complaints.extend(case.check_dry_run(machine).err());
            checked += 1;
        }
    }
    assert!(complaints.is_empty(), "{} of {checked}:\n{}", complaints.len(), complaints.join("\n"));
    for (setup, (mut machine, before)) in machines {
        for (before, after) in before.iter().zip(machine.dump()) {
            assert!(*before == after, "{setup}: map {} has changed", after.0);
        }
        assert!(machine.take_drop_reports().is_empty(), "{setup} has told of drops");
    }
}

/// By the slot, its owner and former owners are known: of a flow that begins, and of one that is here.
#[test]
fn a_node_tells_the_slot_of_every_flow() {
    let mut machine = Machine::new_dry_run(AS_NODE);
    for kind in KINDS {
        let request = kind.request(OWNED);
        let slot = hash::slot(request.hash(), RING_LEN);
        let (_, story) = machine.dry_run(Hook::Xdp, &request.frame());
        assert_eq!(story.slot, slot, "{kind} that begins");
        let (key, flow) = flow_entry(&request, pod(1));
        machine.map::<FlowKey, NodeFlow>(names::NODE_FLOWS).insert(key, flow, 0).unwrap();
        let (_, story) = machine.dry_run(Hook::Xdp, &request.into_later_packet().frame());
        assert_eq!((story.memory, story.slot), (memory::HERE, slot), "{kind} that is here");
    }
}
