//! `trigon status`

use std::time::Duration;

use lb_common::{
    Verdict,
    maps::{Backend, SEARCHES_LEN},
};

use super::{Facts, Reader, Snapshot};
use crate::{
    agent::{
        reach,
        reconcile::Programmed,
        report::{AgentStatus, Count, HandedOn, InterfaceReport, SourceReport},
    },
    datapath::kernel::Attachment,
    plan::{BackendKey, names},
};

impl Reader {
    pub fn status(&self) -> AgentStatus {
        let mut status = self.snapshot().status(&self.facts, self.uptime());
        status.warnings.extend(self.report_fault.borrow().clone());
        status.handed_on = self.handed_on();
        status
    }

    fn handed_on(&self) -> HandedOn {
        let count = |verdict| self.stats.verdict(verdict).unwrap_or_default();
        let ended = |hops| self.stats.searches(hops).unwrap_or_default();
        HandedOn {
            second_hop: count(Verdict::HandOn) + count(Verdict::HandOnRedirect),
            found: (1..SEARCHES_LEN).map(ended).collect(),
            nobody: ended(0),
            limited: count(Verdict::DropStray),
            dead_owner: count(Verdict::DropDeadOwner),
        }
    }
}

impl Snapshot {
    /// Does this machine do its part: is all that was planned there, are its uplinks up, and
    /// does it reach backends, if it is a director? A source that has become bad takes nothing
    /// away.
    fn is_ready(&self) -> bool {
        let Programmed { plan, .. } = &self.programmed;
        self.programmed.is_settled()
            && self.network_faults.links.is_empty()
            && !reach::is_cut_off(plan, &self.hops)
    }

    fn status(&self, facts: &Facts, uptime: Duration) -> AgentStatus {
        let me = &self.me;
        let plan = &self.programmed.plan;
        let is_good = |(key, backend): &(&BackendKey, &Backend)| {
            let is_silent = reach::is_silent(&key.addr.into(), &self.hops);
            reach::is_reachable(backend) && !is_silent && self.liveness.is_alive(key, plan)
        };
        let reachable = plan.backends.iter().filter(is_good).count();
        let problems = self.problems();
        let ready = self.is_ready();
        AgentStatus {
            ready,
            degraded: ready && !problems.is_empty(),
            node: me.node.to_string(),
            roles: names::roles(me.roles),
            version: env!("CARGO_PKG_VERSION").into(),
            uptime_seconds: uptime.as_secs(),
            generation: self.programmed.generation,
            interfaces: facts.attachments.iter().map(interface_report).collect(),
            source: SourceReport { place: facts.source.clone(), good: self.source.is_good() },
            services: Count { total: plan.services.len() + plan.held, good: self.programmed.proven.len() },
            backends: Count { total: plan.backends.len(), good: reachable },
            handed_on: HandedOn::default(),
            problems,
            warnings: self.warnings(facts),
        }
    }
}

fn interface_report(attachment: &Attachment) -> InterfaceReport {
    InterfaceReport {
        name: attachment.interface.clone(),
        xdp: attachment.mode.to_string(),
        adopted: attachment.adopted,
    }
}
