//! `trigon status`

use std::time::{Duration, Instant};

use lb_common::maps::Backend;

use super::{Facts, Reader, Snapshot};
use crate::{
    agent::{
        fit, reach,
        report::{AgentStatus, Count, InterfaceReport, SourceReport},
    },
    datapath::kernel::{Attachment, XdpMode},
    neigh::{NextHop, Reach},
    plan::{BackendKey, names},
};

impl Reader {
    pub fn status(&self) -> AgentStatus {
        self.snapshot().status(&self.facts, self.uptime())
    }
}

impl Snapshot {
    fn status(&self, facts: &Facts, uptime: Duration) -> AgentStatus {
        let me = &self.me;
        let plan = &self.programmed.plan;
        let is_good = |(key, backend): &(&BackendKey, &Backend)| {
            let is_silent = reach::is_silent(&key.addr.into(), &self.hops);
            reach::is_reachable(backend) && !is_silent && self.liveness.is_alive(key, plan)
        };
        let reachable = plan.backends.iter().filter(is_good).count();
        AgentStatus {
            ready: self.programmed.is_settled() && self.source.problems.is_empty(),
            node: me.node.to_string(),
            roles: names::roles(me.roles),
            version: env!("CARGO_PKG_VERSION").into(),
            uptime_seconds: uptime.as_secs(),
            generation: self.programmed.generation,
            interfaces: facts.attachments.iter().map(interface_report).collect(),
            source: SourceReport { directory: facts.source.clone(), good: self.source.problems.is_empty() },
            services: Count { total: plan.services.len() + plan.held, good: self.programmed.proven.len() },
            backends: Count { total: plan.backends.len(), good: reachable },
            problems: self.problems(facts),
            warnings: self.warnings(facts),
        }
    }

    fn warnings(&self, facts: &Facts) -> Vec<String> {
        let on_uplink = |hop: &&NextHop| facts.attachments.iter().any(|a| a.interface == hop.interface);
        let hops = self.kernel_hops.values().filter_map(|reach| match reach {
            Reach::Via(hop) => Some(hop),
            _ => None,
        });
        let uplink = hops.filter(on_uplink).map(|hop| hop.mtu).max().unwrap_or_default();
        let mut warnings = fit::warnings(&self.programmed.plan.backends, uplink);
        warnings.extend(self.announcement_status.warnings(Instant::now()));
        warnings
    }

    fn problems(&self, facts: &Facts) -> Vec<String> {
        let me = &self.me.node;
        let source = self.source.problems.iter().chain(self.source.refused.iter()).map(ToString::to_string);
        let shortages = self.programmed.shortages.iter().map(ToString::to_string);
        let unknown = (self.source.has_been_good && !self.source.cluster.nodes.contains_key(me)).then(|| {
            format!("Node {me}: no such object; add it to the source, or start with its --node-name: other nodes refuse tunnels from, and send none to, a machine they do not know")
        });
        let generic = facts.attachments.iter().filter(|a| a.mode == XdpMode::Generic);
        let generic = generic.map(|a| {
            format!("interface {}: XDP runs in generic mode, which is slow; --xdp-mode native needs a driver with XDP", a.interface)
        });
        source
            .chain(shortages)
            .chain(self.programmed.failure.clone())
            .chain(unknown)
            .chain(reach::problems(&self.programmed.plan, &self.hops))
            .chain(self.liveness.problems(&self.programmed.plan))
            .chain(self.announcement_status.problems(&self.source.cluster, &self.me))
            .chain(generic)
            .collect()
    }
}

fn interface_report(attachment: &Attachment) -> InterfaceReport {
    InterfaceReport {
        name: attachment.interface.clone(),
        xdp: attachment.mode.to_string(),
        adopted: attachment.adopted,
    }
}
