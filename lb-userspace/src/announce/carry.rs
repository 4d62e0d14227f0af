//! From where a VIP can be announced: where its packets would be in good hands.

use std::{collections::BTreeSet, net::IpAddr, sync::Arc};

use lb_common::roles;

use super::sharing::sharers;
use crate::{
    objects::model::{Announced, Backends, Carrier, Cluster, Frontend, Labels, Node, Protocol, Wish},
    plan::Identity,
};

/// As with MetalLB, such a node announces nothing that kube-proxy carries.
const EXCLUDED: &str = "node.kubernetes.io/exclude-from-external-load-balancers";

/// Labels of a node that has no object.
static NO_LABELS: Labels = Labels::new();

/// A node, as far as announcing goes.
#[derive(Clone)]
pub struct Site<'a> {
    pub name: &'a Arc<str>,
    pub labels: &'a Labels,
    pub addresses: &'a [IpAddr],
    pub director: bool,
}

impl<'a> Site<'a> {
    /// Ourselves: what we are is what we were told.
    pub fn of(me: &'a Identity, cluster: &'a Cluster) -> Self {
        let node = cluster.nodes.get(&me.node);
        Self {
            name: &me.node,
            labels: node.map_or(&NO_LABELS, |node| &node.labels),
            addresses: node.map_or(&[], |node| &node.addresses),
            director: me.roles & roles::DIRECTOR != 0,
        }
    }

    /// Any node, as everybody sees it.
    pub fn seen(node: &'a Node) -> Self {
        Self { name: &node.name, labels: &node.labels, addresses: &node.addresses, director: node.director }
    }
}

/// How the data path stands to a VIP on some node.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum DataPath {
    Carries,
    /// There is nothing to carry: none of its Services has a backend.
    Idle,
    /// It cannot, or not yet.
    Cannot,
}

impl DataPath {
    /// On this node.
    pub fn here(cluster: &Cluster, vip: IpAddr, carried: &BTreeSet<IpAddr>) -> Self {
        match Self::wanted(cluster, vip) {
            Self::Idle => Self::Idle,
            _ if carried.contains(&vip) => Self::Carries,
            _ => Self::Cannot,
        }
    }

    /// By what the objects say, on any director.
    pub fn wanted(cluster: &Cluster, vip: IpAddr) -> Self {
        let first = Frontend { vip, port: 0, protocol: Protocol::Tcp };
        let last = Frontend { vip, port: u16::MAX, protocol: Protocol::Udp };
        let mut services = cluster.services.range(first..=last);
        let has_backends = services.any(|(_, service)| match &service.backends {
            Backends::Endpoints(endpoints) => endpoints.iter().any(|endpoint| !endpoint.draining),
            Backends::Bare(servers) => !servers.is_empty(),
        });
        if has_backends { Self::Carries } else { Self::Idle }
    }
}

/// The Services of a VIP for whose sake a node can announce it: all that have
/// an endpoint anywhere, or none, since routers bring it the packets of all.
///
/// A VIP with a Service in the data path is for directors alone: to any other
/// node, packets of its established connections would mean nothing.
pub fn wishes<'a>(announced: &'a Announced, site: &Site<'_>, data_path: DataPath) -> Vec<&'a Wish> {
    if announced.is_dsr() && (!site.director || data_path == DataPath::Cannot) {
        return Vec::new();
    }
    let mut wishes = sharers(announced);
    wishes.retain(|wish| has_endpoints(wish, data_path));
    if wishes.iter().all(|wish| is_served(wish, site)) { wishes } else { Vec::new() }
}

/// Has a Service any endpoint that is ready, on whatever node?
pub fn has_endpoints(wish: &Wish, data_path: DataPath) -> bool {
    match &wish.carrier {
        Carrier::DataPath => data_path != DataPath::Idle,
        Carrier::KubeProxy { ready, .. } => *ready,
    }
}

/// Would packets for such a Service get on from this node?
fn is_served(wish: &Wish, site: &Site<'_>) -> bool {
    match &wish.carrier {
        Carrier::DataPath => true,
        Carrier::KubeProxy { .. } if site.labels.contains_key(EXCLUDED) => false,
        Carrier::KubeProxy { local, nodes, .. } => !*local || nodes.contains(site.name),
    }
}
