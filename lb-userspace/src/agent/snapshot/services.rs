//! `trigon services`

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
};

use lb_common::maps::{Endpoint, Service, ServiceKey};

use super::{Reader, Snapshot};
use crate::{
    agent::report::{RingShare, ServiceReport},
    datapath::kernel::Stats,
    plan::{BackendKey, PlannedService, history, names},
};

/// Of histories that were looked at, by their offsets: many services share one.
type Depths = HashMap<u32, usize>;

impl Reader {
    pub fn services(&self) -> Vec<ServiceReport> {
        let snapshot = self.snapshot();
        let mut depths = Depths::new();
        let services = snapshot.programmed.plan.services.iter();
        services
            .map(|(key, planned)| snapshot.service_report(&self.stats, &mut depths, key, planned))
            .collect()
    }
}

impl Snapshot {
    fn service_report(
        &self,
        stats: &Stats,
        depths: &mut Depths,
        key: &ServiceKey,
        planned: &PlannedService,
    ) -> ServiceReport {
        let entry = self.programmed.service(key);
        let traffic = entry.and_then(|entry| stats.service(entry.id).ok()).unwrap_or_default();
        let mut slots = vec![0; planned.members.len()];
        planned.live.iter().for_each(|member| slots[usize::from(member)] += 1);
        let share = |((backend, weight), slots): (&(_, u32), usize)| {
            let backend: &BackendKey = backend;
            RingShare { address: IpAddr::from(backend.addr), weight: *weight, slots }
        };
        ServiceReport {
            name: planned.name.to_string(),
            vip: IpAddr::from(key.addr),
            port: u16::from_be(key.port),
            protocol: names::protocol(key.protocol).into(),
            kube_proxy: planned.is_passed(),
            programmed: self.programmed.proven.get(key).copied(),
            ring: planned.ring.len(),
            backends: planned.members.iter().zip(slots).map(share).collect(),
            slots_moved: self.programmed.mirror.written.get(key).map_or(0, |written| written.moved),
            history_depth: entry.map_or(0, |entry| self.history_depth(entry, depths)),
            endpoints: planned.endpoints.iter().map(address_text).collect(),
            draining: planned.draining.iter().map(address_text).collect(),
            source_ranges: planned.policy.ranges.iter().map(ToString::to_string).collect(),
            affinity_seconds: Some(planned.policy.affinity).filter(|seconds| *seconds > 0),
            new_flows_per_second: Some(planned.policy.new_flows).filter(|flows| *flows > 0),
            packets: traffic.packets,
            bytes: traffic.bytes,
        }
    }

    fn history_depth(&self, entry: &Service, depths: &mut Depths) -> usize {
        let Some(lists) = self.programmed.mirror.history_of(entry) else { return 0 };
        *depths.entry(entry.history_offset).or_insert_with(|| history::depth(lists))
    }
}

fn address_text(endpoint: &Endpoint) -> String {
    SocketAddr::new(IpAddr::from(endpoint.addr), u16::from_be(endpoint.port)).to_string()
}
