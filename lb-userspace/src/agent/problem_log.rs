//! The log has what `status` calls a problem: once when it begins, once when it ends.

use std::collections::BTreeSet;

use tracing::{error, info};

use super::{
    aggregate::{Fault, fault_lines},
    snapshot::Snapshot,
};

/// The faults that were logged and have not ended.
#[derive(Default)]
pub struct ProblemLog(BTreeSet<Fault>);

impl ProblemLog {
    /// After each step: between ticks it looks only if the faults may be others than before the step.
    pub fn follow(&mut self, before: &Snapshot, now: &Snapshot, is_tick: bool) {
        let (begun, ended) = self.note_step(before, now, is_tick);
        begun.iter().for_each(|problem| error!("problem: {problem}"));
        ended.iter().for_each(|problem| info!("no problem any more: {problem}"));
    }

    pub(super) fn note_step(
        &mut self,
        before: &Snapshot,
        now: &Snapshot,
        is_tick: bool,
    ) -> (Vec<String>, Vec<String>) {
        if is_tick || now.may_have_other_faults(before) {
            self.note(now.faults())
        } else {
            (Vec::new(), Vec::new())
        }
    }

    /// Returns what has begun, and what has ended.
    fn note(&mut self, now: BTreeSet<Fault>) -> (Vec<String>, Vec<String>) {
        let begun = fault_lines(now.difference(&self.0).cloned());
        let ended = fault_lines(self.0.difference(&now).cloned());
        self.0 = now;
        (begun, ended)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_told_when_it_begins_and_when_it_ends() {
        let mut log = ProblemLog::default();
        let mut note = |dead: &[&str]| log.note(dead.iter().map(|of| Fault::new("dead", of)).collect());
        let told = |begun: &[&str], ended: &[&str]| {
            let lines = |all: &[&str]| all.iter().map(|of| format!("{of}: dead")).collect::<Vec<_>>();
            (lines(begun), lines(ended))
        };
        assert_eq!(note(&["a", "b"]), told(&["a, b"], &[]));
        assert_eq!(note(&["b", "a"]), told(&[], &[]));
        assert_eq!(note(&["a", "b", "c"]), told(&["c"], &[]), "of those that are known, nothing is said");
        assert_eq!(note(&["a", "d"]), told(&["d"], &["b, c"]));
        assert_eq!(note(&[]), told(&[], &["a, d"]));
    }
}
