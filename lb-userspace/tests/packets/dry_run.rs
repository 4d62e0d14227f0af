//! What a dry run tells is what happens, and nothing changes by it.

use std::collections::BTreeMap;

use crate::{
    coverage,
    machine::{Condition, Machine},
};

#[test]
fn a_dry_run_tells_what_happens_and_changes_nothing() {
    let mut machines = BTreeMap::new();
    let mut complaints = Vec::new();
    let mut told = 0;
    // That a table is full is found out by trying, and a limit by counting.
    let needs_change = |condition| matches!(condition, Condition::Full(_) | Condition::Strays(_));
    for case in coverage::all().into_iter().filter(|case| !needs_change(case.setup.condition)) {
        let (machine, _) = machines.entry(case.setup).or_insert_with(|| {
            let machine = Machine::of_dry_runs(case.setup);
            let before = machine.dump();
            (machine, before)
        });
        if machine.is_possible_here() {
            complaints.extend(case.check_told(machine).err());
            told += 1;
        }
    }
    assert!(complaints.is_empty(), "{} of {told}:\n{}", complaints.len(), complaints.join("\n"));
    for (setup, (mut machine, before)) in machines {
        for (before, after) in before.iter().zip(machine.dump()) {
            assert!(*before == after, "{setup}: map {} has changed", after.0);
        }
        assert!(machine.told().is_empty(), "{setup} has told of drops");
    }
}
