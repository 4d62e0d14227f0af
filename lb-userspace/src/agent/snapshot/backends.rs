//! `trigon backends`

use std::{collections::BTreeMap, net::IpAddr};

use lb_common::{
    Addr,
    maps::{Backend, backend_flags},
};

use super::{Reader, Snapshot};
use crate::{
    agent::{reach, report::BackendReport},
    datapath::kernel::Stats,
    plan::{BackendKey, names},
};

impl Reader {
    pub fn backends(&self) -> Vec<BackendReport> {
        let snapshot = self.snapshot();
        let nodes: BTreeMap<Addr, &str> = snapshot
            .source
            .cluster
            .nodes
            .values()
            .flat_map(|node| node.addresses.iter().map(|addr| (Addr::from(*addr), &*node.name)))
            .collect();
        let report = |(id, backend): (&u16, &Backend)| {
            snapshot.backend_report(&self.stats, *id, backend, nodes.get(&backend.outer_dst).copied())
        };
        snapshot.programmed.mirror.backends.iter().map(report).collect()
    }
}

impl Snapshot {
    fn backend_report(&self, stats: &Stats, id: u16, backend: &Backend, node: Option<&str>) -> BackendReport {
        let address = IpAddr::from(backend.outer_dst);
        let traffic = stats.backend(id).unwrap_or_default();
        let is_bare = backend.flags & backend_flags::BARE != 0;
        BackendReport {
            id,
            address,
            node: node.filter(|_| !is_bare).map(ToOwned::to_owned),
            delivery: names::delivery(backend).into(),
            resolved: reach::is_reachable(backend),
            next_hop: names::next_hop(self.hops.get(&address)),
            mtu: backend.mtu,
            health: self.liveness.health_reports(&BackendKey::from_entry(backend), &self.programmed.plan),
            packets: traffic.packets,
            bytes: traffic.bytes,
        }
    }
}
