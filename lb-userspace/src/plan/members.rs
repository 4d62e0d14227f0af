//! The backends that take packets for a service, and this machine's part in it.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

use lb_common::{Addr, maps, roles};

use super::{
    backend::unresolved_entry,
    planned::{BackendKey, Identity},
    policy::FlowShare,
};
use crate::objects::model::{Backends, Cluster, DeliveryMode, Endpoint, Service};

/// A backend that can take packets for a service: its name for Maglev, its key and its weight.
pub type NamedMember = (Arc<str>, BackendKey, u32);

/// The members of a ring by name, with their weights. Cheap to copy, since there are many rings, and
/// all that is known of each names its members.
pub type Weights = Arc<[(Arc<str>, u32)]>;

/// What Maglev has to know of them, in the same order.
pub fn weights_of<'a>(members: impl IntoIterator<Item = &'a NamedMember>) -> Weights {
    members.into_iter().map(|(name, _, weight)| (Arc::clone(name), *weight)).collect()
}

/// Bytes that stand in front of a service's packets on the network between
/// directors and backends, at most; 0 if nothing does.
pub fn max_overhead(cluster: &Cluster, service: &Service) -> u16 {
    if service.delivery == DeliveryMode::L2 {
        return 0;
    }
    let members = named_members(cluster, service);
    members.iter().map(|(_, key, _)| unresolved_entry(key).overhead()).max().unwrap_or_default()
}

/// The backends that can take packets for a service. The weight of a node is the number of its
/// endpoints that take new connections, that of a bare server 1.
///
/// If no endpoint takes any, the draining ones count: their connections live on.
pub fn named_members(cluster: &Cluster, service: &Service) -> Vec<NamedMember> {
    let key = |addr: IpAddr, bare| BackendKey { addr: Addr::from(addr), mode: service.delivery, bare };
    match &service.backends {
        Backends::Bare(servers) => {
            servers.iter().map(|server| (server.to_string().into(), key(*server, true), 1)).collect()
        }
        Backends::Endpoints(endpoints) => {
            let mut weights: BTreeMap<&Arc<str>, u32> = BTreeMap::new();
            let all_drain = endpoints.iter().all(|endpoint| endpoint.draining);
            for endpoint in endpoints.iter().filter(|endpoint| all_drain || !endpoint.draining) {
                *weights.entry(&endpoint.node).or_default() += 1;
            }
            let member = |(name, weight): (&Arc<str>, u32)| {
                let addr = cluster.nodes.get(name)?.address_like(service.frontend.vip)?;
                Some((Arc::clone(name), key(addr, false), weight))
            };
            weights.into_iter().filter_map(member).collect()
        }
    }
}

/// This machine's part of a service's new flows. Flows to Pods begin on nodes,
/// which share them by their ready endpoints; flows to bare servers begin on
/// directors, which share them equally. None if none begin on this machine.
pub fn flow_share(cluster: &Cluster, me: &Identity, named: &[NamedMember], bare: bool) -> Option<FlowShare> {
    let has = |role| me.roles & role != 0;
    if bare {
        let directors = cluster.nodes.values().filter(|node| node.director).count();
        let total = u32::try_from(directors).unwrap_or(u32::MAX).max(1);
        return has(roles::DIRECTOR).then_some(FlowShare { own: 1, total });
    }
    let own = named.iter().find(|(name, ..)| **name == *me.node).map_or(0, |(.., weight)| *weight);
    let total = named.iter().map(|(.., weight)| weight).sum();
    has(roles::NODE).then_some(FlowShare { own, total })
}

/// The service's endpoints on this node: those that drain, or all others. None
/// on a machine that is no node.
pub fn local_endpoints(me: &Identity, service: &Service, draining: bool) -> Vec<maps::Endpoint> {
    let Backends::Endpoints(endpoints) = &service.backends else { return Vec::new() };
    let is_node = me.roles & roles::NODE != 0;
    let here = |e: &&Endpoint| is_node && e.node == me.node && e.draining == draining;
    let entry = |endpoint: &Endpoint| maps::Endpoint {
        addr: Addr::from(endpoint.addr),
        port: endpoint.port.to_be(),
        pad: 0,
    };
    endpoints.iter().filter(here).map(entry).collect()
}
