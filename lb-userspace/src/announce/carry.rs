//! Which nodes can announce a VIP: those that can serve the packets sent to it.

use std::{collections::BTreeSet, net::IpAddr, sync::Arc};

use lb_common::roles;

use super::sharing::admitted_wishes;
use crate::{
    objects::model::{Announced, Carrier, Cluster, Frontend, Labels, Node, Wish},
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
    /// This node. Its role is that of the agent's arguments, not of its Node object.
    pub fn of_this_node(me: &'a Identity, cluster: &'a Cluster) -> Self {
        let node = cluster.nodes.get(&me.node);
        Self {
            name: &me.node,
            labels: node.map_or(&NO_LABELS, |node| &node.labels),
            addresses: node.map_or(&[], |node| &node.addresses),
            director: me.roles & roles::DIRECTOR != 0,
        }
    }

    /// A node by its Node object, so that all nodes come to the same result.
    pub fn of_node(node: &'a Node) -> Self {
        Self { name: &node.name, labels: &node.labels, addresses: &node.addresses, director: node.director }
    }
}

/// Whether the data path of a node carries a VIP.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum DataPathState {
    Carries,
    /// There is nothing to carry: no backend of the VIP's Services in the data path takes new
    /// connections.
    Idle,
    /// It has backends, but is not carried here, or not yet.
    Cannot,
}

impl DataPathState {
    /// On this node. `carried`: as in [`super::plan`].
    pub fn on_this_node(cluster: &Cluster, vip: IpAddr, carried: &BTreeSet<IpAddr>) -> Self {
        match Self::on_any_director(cluster, vip) {
            Self::Idle => Self::Idle,
            _ if carried.contains(&vip) => Self::Carries,
            _ => Self::Cannot,
        }
    }

    /// On any director, by what the objects say: never `Cannot`.
    pub fn on_any_director(cluster: &Cluster, vip: IpAddr) -> Self {
        let mut services = cluster.services.range(Frontend::all_of(vip));
        if services.any(|(_, service)| service.backends.take_new()) { Self::Carries } else { Self::Idle }
    }
}

/// The Services of a VIP for which a node can announce it: all that have an
/// endpoint on any node, or none of them if the node cannot serve each one, since
/// routers send it the packets of all.
///
/// A VIP with a Service in the data path is for directors alone: to any other
/// node, packets of its established connections would mean nothing.
pub fn servable_wishes<'a>(
    announced: &'a Announced,
    site: &Site<'_>,
    data_path: DataPathState,
) -> Vec<&'a Wish> {
    if announced.is_dsr() && (!site.director || data_path == DataPathState::Cannot) {
        return Vec::new();
    }
    let mut wishes = admitted_wishes(announced);
    wishes.retain(|wish| has_endpoints(wish, data_path));
    if wishes.iter().all(|wish| is_served(wish, site)) { wishes } else { Vec::new() }
}

/// Has a Service any endpoint that takes new connections, on whatever node?
pub fn has_endpoints(wish: &Wish, data_path: DataPathState) -> bool {
    match &wish.carrier {
        Carrier::DataPath => data_path != DataPathState::Idle,
        Carrier::KubeProxy { ready, .. } => *ready,
    }
}

/// Can this node serve packets for the Service?
fn is_served(wish: &Wish, site: &Site<'_>) -> bool {
    match &wish.carrier {
        Carrier::DataPath => true,
        Carrier::KubeProxy { .. } if site.labels.get(EXCLUDED).is_some() => false,
        Carrier::KubeProxy { local, nodes, .. } => !*local || nodes.contains(site.name),
    }
}
