//! Which problems steps write into the log.

use super::*;
use crate::agent::problem_log::ProblemLog;

/// What a step writes into the log of problems, without a tick.
fn step(
    engine: &mut Engine<MemoryTables>,
    log: &mut ProblemLog,
    input: Input,
) -> (bool, (Vec<String>, Vec<String>)) {
    let before = engine.snapshot();
    engine.handle(input, Now::read());
    let now = engine.snapshot();
    (now.may_have_other_faults(&before), log.note_step(&before, &now, false))
}

#[test]
fn a_problem_that_no_tick_sees_is_logged() {
    let (mut engine, mut log) = (loaded_engine(), ProblemLog::default());
    let mut step = |reach| step(&mut engine, &mut log, Input::NextHops(Arc::new(hops_with(reach)))).1;
    let lines = [
        "this director reaches none of its backends: look at its links and routes",
        "backend 10.0.0.1: unreachable: no route",
    ];
    let lines = BTreeSet::from(lines.map(str::to_owned));
    let (begun, ended) = step(Reach::Unreachable("no route".into()));
    assert_eq!((BTreeSet::from_iter(begun), ended), (lines.clone(), Vec::new()));
    let (begun, ended) = step(Reach::Via(way_to_node1()));
    assert_eq!((begun, BTreeSet::from_iter(ended)), (Vec::new(), lines));
}

/// Nobody looks for problems after the changes that there are most of.
#[test]
fn a_change_without_problems_costs_no_look_for_any() {
    let (mut engine, mut log) = (loaded_engine(), ProblemLog::default());
    let more =
        ENDPOINT.replace("nodeName: node1}", "nodeName: node1}, {addresses: [10.1.0.2], nodeName: node1}");
    let changes = [
        load(&format!("{NODES}{more}")),
        Input::NextHops(Arc::new(hops_with(Reach::Via(NextHop { dst_mac: Some([9; 6]), ..way_to_node1() })))),
    ];
    for input in changes {
        let before = engine.snapshot();
        assert!(!step(&mut engine, &mut log, input).0);
        let now = engine.snapshot();
        assert!((&now.source.cluster, &now.hops) != (&before.source.cluster, &before.hops));
    }
}
