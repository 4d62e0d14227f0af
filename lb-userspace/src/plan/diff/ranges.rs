//! Whom services admit.

use std::collections::BTreeSet;

use lb_common::maps::{Service, service_flags};

use super::DiffBuilder;
use crate::plan::{op::Op, planned::PlannedService, policy::SourceRange, shortage::Shortage};

/// The changes of a service's source ranges.
pub(super) struct RangeChanges {
    /// [`service_flags::RANGES`], if the service is to ask for them.
    pub flag: u32,
    /// Those to make before the service is written.
    pub first: Vec<Op>,
    /// Deletions to make afterwards.
    pub last: Vec<Op>,
    /// Entries of all services after them.
    pub count: usize,
}

impl DiffBuilder<'_> {
    /// Finds room for a service's ranges, or keeps the old ones.
    pub(super) fn find_ranges(
        &mut self,
        id: u32,
        old: Option<&Service>,
        planned: &PlannedService,
    ) -> Result<RangeChanges, Shortage> {
        self.range_changes(id, planned).or_else(|shortage| {
            let Some(old) = old else { return Err(shortage) };
            self.diff.shortages.push(shortage);
            let flag = old.flags & service_flags::RANGES;
            Ok(RangeChanges { flag, first: Vec::new(), last: Vec::new(), count: self.range_count })
        })
    }

    fn range_changes(&self, id: u32, planned: &PlannedService) -> Result<RangeChanges, Shortage> {
        let none = BTreeSet::new();
        let old = self.mirror.ranges.get(&id).unwrap_or(&none);
        let wanted: BTreeSet<SourceRange> = planned.policy.ranges.iter().copied().collect();
        let new: Vec<Op> = wanted.difference(old).map(|range| Op::SetRange(id, *range)).collect();
        let gone: Vec<Op> = old.difference(&wanted).map(|range| Op::DeleteRange(id, *range)).collect();
        let (flag, capacity) = (planned.flags & service_flags::RANGES, self.capacity.ranges as usize);
        let count = self.range_count + new.len() - gone.len();
        if self.range_count + new.len() <= capacity {
            Ok(RangeChanges { flag, first: new, last: gone, count })
        } else if count <= capacity {
            // Only in place of those that go. For a moment, clients in both are refused.
            let first = gone.into_iter().chain(new).collect();
            Ok(RangeChanges { flag, first, last: Vec::new(), count })
        } else {
            Err(Shortage::Ranges(planned.name.clone()))
        }
    }
}
