//! What is wrong, and what could be better, for people.

use std::{collections::BTreeSet, time::Instant};

use super::{Facts, Snapshot};
use crate::{
    agent::{
        aggregate::{Fault, fault_lines, problem_lines},
        fit, reach,
        reconcile::Programmed,
    },
    datapath::kernel::XdpMode,
    neigh::{NetworkFaults, NextHop, Reach},
    objects::model::Problem,
};

impl Snapshot {
    /// For `status`.
    pub fn problems(&self) -> Vec<String> {
        let mut lines = problem_lines(self.source_problems());
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
        if self.source.has_been_good && !self.source.cluster.nodes.contains_key(me) {
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

    pub fn warnings(&self, facts: &Facts) -> Vec<String> {
        let on_uplink = |hop: &&NextHop| facts.attachments.iter().any(|a| a.interface == hop.interface);
        let hops = self.kernel_hops.values().filter_map(|reach| match reach {
            Reach::Via(hop) => Some(hop),
            _ => None,
        });
        let uplink = hops.filter(on_uplink).map(|hop| hop.mtu).max().unwrap_or_default();
        let generic = facts.attachments.iter().filter(|a| a.mode == XdpMode::Generic);
        let generic = generic.map(|a| {
            format!("interface {}: XDP runs in generic mode, which is slow; --xdp-mode native needs a driver with XDP", a.interface)
        });
        fit::warnings(&self.programmed.plan.backends, uplink)
            .into_iter()
            .chain(self.announcement_status.warnings(Instant::now()))
            .chain(generic)
            .collect()
    }
}
