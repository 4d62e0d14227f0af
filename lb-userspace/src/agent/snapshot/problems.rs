//! What is wrong, and what could be better, for people.

#[cfg(test)]
mod tests;

use std::{collections::BTreeSet, time::Instant};

use super::{Facts, Snapshot};
use crate::{
    agent::{
        aggregate::{Fault, fault_lines, problem_lines},
        fit, reach,
        reconcile::Programmed,
    },
    changes::is_same_list,
    datapath::kernel::XdpMode,
    neigh::{NetworkFaults, NextHop, Reach},
    objects::model::Problem,
};

impl Snapshot {
    /// For `status`.
    pub fn problems(&self) -> Vec<String> {
        let mut lines = problem_lines(self.source_problems().filter(|problem| !problem.left_out));
        lines.extend(fault_lines(self.other_faults()));
        lines.extend(self.announcement_problems());
        lines
    }

    /// For the log: what is said of what, in words that stay the same for as long as it is so.
    pub fn faults(&self) -> BTreeSet<Fault> {
        let of_source = |problem: &Problem| {
            let Problem { object, message, remedy, .. } = problem;
            Fault::new(format!("{message}; {remedy}"), object)
        };
        let announcing = self.announcement_problems().into_iter().map(|problem| Fault::new(problem, ""));
        self.source_problems().map(of_source).chain(self.other_faults()).chain(announcing).collect()
    }

    /// May it have other faults than one before it? Looks only at what the two do not share. What
    /// speakers find is in no snapshot.
    pub fn may_have_other_faults(&self, before: &Self) -> bool {
        let (now, was) = (&self.programmed, &before.programmed);
        !is_same_list(&before.source.faults, &self.source.faults)
            || !is_same_list(&before.source.refused, &self.source.refused)
            || self.lacks_own_node() != before.lacks_own_node()
            || (&now.shortages, &now.failure) != (&was.shortages, &was.failure)
            || self.network_faults != before.network_faults
            || reach::may_differ([&was.plan, &now.plan], [&before.hops, &self.hops])
            || self.liveness.may_differ(&before.liveness, [&was.plan, &now.plan])
            || self.announcement_status.may_differ(&before.announcement_status)
    }

    /// Is there no Node object of this machine?
    fn lacks_own_node(&self) -> bool {
        self.source.has_been_good && !self.source.cluster.nodes.contains_key(&self.me.node)
    }

    fn source_problems(&self) -> impl Iterator<Item = &Problem> {
        self.source.faults.iter().chain(self.source.refused.iter())
    }

    fn announcement_problems(&self) -> Vec<String> {
        self.announcement_status.problems(&self.source.cluster, &self.me)
    }

    fn other_faults(&self) -> Vec<Fault> {
        let Programmed { plan, shortages, failure, .. } = &self.programmed;
        let me = &self.me.node;
        let short = shortages.iter().map(|one| Fault::new(one.lack(&self.capacity), one.subject()));
        let mut faults: Vec<_> = short.collect();
        faults.extend(failure.iter().map(|failure| Fault::new(failure, "")));
        if self.lacks_own_node() {
            let said = "no such object; add it to the source, or start with its --node-name: other nodes refuse tunnels from, and send none to, a machine they do not know";
            faults.push(Fault::new(said, format!("Node {me}")));
        }
        let NetworkFaults { links, tables } = &*self.network_faults;
        faults.extend(links.iter().map(|(name, fault)| {
            Fault::new(format!("{fault}; {}", fault.remedy(name)), format!("interface {name}"))
        }));
        faults.extend(
            tables.iter().map(|fault| Fault::new(format!("{fault}; {}", fault.remedy()), fault.table())),
        );
        faults.extend(reach::faults(plan, &self.hops));
        faults.extend(self.liveness.faults(plan));
        faults
    }

    /// In bytes; 0: not known.
    pub fn uplink_mtu(&self, facts: &Facts) -> u32 {
        let on_uplink = |hop: &&NextHop| facts.attachments.iter().any(|a| a.interface == hop.interface);
        let hops = self.kernel_hops.values().filter_map(|reach| match reach {
            Reach::Via(hop) => Some(hop),
            _ => None,
        });
        hops.filter(on_uplink).map(|hop| hop.mtu).max().unwrap_or_default()
    }

    pub fn warnings(&self, facts: &Facts) -> Vec<String> {
        let generic = facts.attachments.iter().filter(|a| a.mode == XdpMode::Generic);
        let generic = generic.map(|a| {
            format!("interface {}: XDP runs in generic mode, which is slow; --xdp-mode native needs a driver with XDP", a.interface)
        });
        problem_lines(self.source_problems().filter(|problem| problem.left_out))
            .into_iter()
            .chain(fit::warnings(&self.programmed.plan.backends, self.uplink_mtu(facts)))
            .chain(self.announcement_status.warnings(Instant::now()))
            .chain(generic)
            .collect()
    }
}
