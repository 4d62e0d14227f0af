//! Which nodes to probe and which bare servers to check: those that the plan sends to.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use imbl::OrdMap;
use lb_common::maps;

use crate::{
    changes::changed_keys,
    neigh::{NextHops, Reach},
    objects::model::{Check, Cluster, Node},
    plan::{self, BackendKey, Identity, Plan, Subject},
};

/// What is to be asked of a server.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CheckQuestion {
    pub check: Check,
    /// VIP and port of the service.
    pub to: SocketAddr,
    /// Names the server: see [`lb_common::check`].
    pub mark: u32,
    /// The interface to leave by. None: there is no route to the server, and the check fails.
    pub interface: Option<String>,
}

/// The nodes to probe, and from where; the bare servers to check, and how.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Targets {
    /// Our own addresses, at most one of each family.
    pub own: Vec<IpAddr>,
    pub nodes: BTreeSet<BackendKey>,
    pub servers: BTreeMap<Subject, CheckQuestion>,
}

/// What a director knows of how its backends are reached.
pub struct PathsToBackends<'a> {
    pub hops: &'a NextHops,
    /// The entries of `BACKENDS`.
    pub backends: &'a OrdMap<u16, maps::Backend>,
}

/// What targets were chosen by. Cheap to copy.
#[derive(Clone)]
pub struct TargetsBasis {
    nodes: OrdMap<Arc<str>, Arc<Node>>,
    members: OrdMap<BackendKey, usize>,
    hops: NextHops,
}

impl TargetsBasis {
    pub fn new(cluster: &Cluster, plan: &Plan, hops: &NextHops) -> Self {
        Self { nodes: cluster.nodes.clone(), members: plan.members.clone(), hops: hops.clone() }
    }

    /// May others be chosen now? Looks only at what has changed. Not for plans with bare servers, of
    /// which all that is asked counts.
    pub fn differs(&self, now: &Self) -> bool {
        let is_local = |hops: &NextHops, target: &IpAddr| hops.get(target) == Some(&Reach::Local);
        let mut members = changed_keys(&self.members, &now.members).into_iter();
        let mut hops = changed_keys(&self.hops, &now.hops).into_iter();
        self.nodes != now.nodes
            || members.any(|key| self.members.contains_key(&key) != now.members.contains_key(&key))
            || hops.any(|target| is_local(&self.hops, &target) != is_local(&now.hops, &target))
    }
}

/// All nodes in the rings of a director, all that a node may hand packets on to
/// (`fellows`), but this machine; and all bare servers that are to be checked.
pub fn choose_targets(
    cluster: &Cluster,
    me: &Identity,
    ways: &PathsToBackends<'_>,
    plan: &Plan,
    fellows: &BTreeSet<BackendKey>,
) -> Targets {
    let own = cluster.nodes.get(&me.node).map(|node| node.addresses.clone()).unwrap_or_default();
    let is_other = |key: &BackendKey| ways.hops.get(&IpAddr::from(key.addr)) != Some(&Reach::Local);
    let members = plan.members.keys().filter(|key| plan.is_director && !key.bare);
    let nodes = members.filter_map(|key| match Subject::of_node(key) {
        Subject::Node(key) => Some(key),
        Subject::Server(..) => None,
    });
    let nodes = nodes.chain(fellows.iter().copied()).filter(is_other).collect();
    let has_servers = plan.is_director && plan.members.keys().any(|key| key.bare);
    let servers = if has_servers { servers_to_check(cluster, ways, plan) } else { BTreeMap::new() };
    Targets { own, nodes, servers }
}

fn servers_to_check(
    cluster: &Cluster,
    ways: &PathsToBackends<'_>,
    plan: &Plan,
) -> BTreeMap<Subject, CheckQuestion> {
    let ids: BTreeMap<_, _> =
        ways.backends.iter().map(|(id, backend)| (BackendKey::from_entry(backend), *id)).collect();
    let mut servers = BTreeMap::new();
    for service in cluster.services.values() {
        let key = plan::service_key(&service.frontend);
        let (Some(check), Some(planned)) = (&service.check, plan.services.get(&key)) else { continue };
        let to = SocketAddr::new(service.frontend.vip, service.frontend.port);
        for (backend, _) in planned.members.iter() {
            let reach = ways.hops.get(&IpAddr::from(backend.addr)).filter(|reach| can_see_checks(reach));
            let (Some(id), Some(reach)) = (ids.get(backend), reach) else { continue };
            let question = CheckQuestion {
                check: check.clone(),
                to,
                mark: lb_common::check::mark(*id),
                interface: egress_interface(reach),
            };
            servers.insert(Subject::of_backend(&key, backend), question);
        }
    }
    servers
}

/// Does our program see the checks of a server that is reached so? Others would
/// take another route than its traffic.
fn can_see_checks(reach: &Reach) -> bool {
    match reach {
        Reach::Local => false,
        // Of two VLAN tags, the program would find one in the packet.
        Reach::Via(hop) => hop.tags.len() <= 1,
        // No check will be sent: it fails.
        Reach::Unreachable(_) => true,
    }
}

fn egress_interface(reach: &Reach) -> Option<String> {
    match reach {
        Reach::Via(hop) => Some(hop.interface.clone()),
        Reach::Local | Reach::Unreachable(_) => None,
    }
}
