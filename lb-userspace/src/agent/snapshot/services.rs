//! `trigon services`

use std::net::{IpAddr, SocketAddr};

use lb_common::maps::{Endpoint, ServiceKey};

use super::{Reader, Snapshot};
use crate::{
    agent::report::{RingShare, ServiceReport},
    datapath::kernel::Stats,
    plan::{BackendKey, PlannedService, names},
};

impl Reader {
    pub fn services(&self) -> Vec<ServiceReport> {
        let snapshot = self.snapshot();
        let services = snapshot.programmed.plan.services.iter();
        services.map(|(key, planned)| snapshot.service_report(&self.stats, key, planned)).collect()
    }
}

impl Snapshot {
    fn service_report(&self, stats: &Stats, key: &ServiceKey, planned: &PlannedService) -> ServiceReport {
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
            endpoints: planned.endpoints.iter().map(address_text).collect(),
            draining: planned.draining.iter().map(address_text).collect(),
            source_ranges: planned.policy.ranges.iter().map(ToString::to_string).collect(),
            affinity_seconds: Some(planned.policy.affinity).filter(|seconds| *seconds > 0),
            new_flows_per_second: Some(planned.policy.new_flows).filter(|flows| *flows > 0),
            packets: traffic.packets,
            bytes: traffic.bytes,
        }
    }
}

fn address_text(endpoint: &Endpoint) -> String {
    SocketAddr::new(IpAddr::from(endpoint.addr), u16::from_be(endpoint.port)).to_string()
}
