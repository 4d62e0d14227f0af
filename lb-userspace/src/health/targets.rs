//! Whom to ask, from what the plan sends to.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
};

use lb_common::maps;

use crate::{
    neigh::{NextHops, Reach},
    objects::model::{Check, Cluster},
    plan::{self, BackendKey, Identity, Plan, Subject},
};

/// What is to be asked of a server.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Question {
    pub check: Check,
    /// VIP and port of the service.
    pub to: SocketAddr,
    /// Names the server: see [`lb_common::check`].
    pub mark: u32,
    /// The interface to leave by; none: there is no way to it, and so no answer.
    pub interface: Option<String>,
}

/// The nodes to probe, and from where; the bare servers to check, and how.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Targets {
    /// Our own addresses, at most one of each family.
    pub own: Vec<IpAddr>,
    pub nodes: BTreeSet<BackendKey>,
    pub servers: BTreeMap<Subject, Question>,
}

/// What a director knows of the ways to its backends.
pub struct Ways<'a> {
    pub hops: &'a NextHops,
    /// The entries of `BACKENDS`.
    pub backends: &'a BTreeMap<u16, maps::Backend>,
    /// Where our programs are: indices of devices.
    pub interfaces: &'a BTreeSet<u32>,
}

/// All nodes in the rings of a director, all that a node may hand packets on to
/// (`fellows`), but this machine; and all bare servers that are to be checked.
pub fn targets(
    cluster: &Cluster,
    me: &Identity,
    ways: &Ways<'_>,
    plan: &Plan,
    fellows: &BTreeSet<BackendKey>,
) -> Targets {
    let own = cluster.nodes.get(&me.node).map(|node| node.addresses.clone()).unwrap_or_default();
    let is_other = |key: &BackendKey| ways.hops.get(&IpAddr::from(key.addr)) != Some(&Reach::Local);
    let services = plan.services.iter().filter(|_| plan.is_director);
    let members = services.flat_map(|(service, planned)| {
        planned.members.iter().map(|(backend, _)| Subject::of(service, backend))
    });
    let nodes = members.filter_map(|subject| match subject {
        Subject::Node(key) => Some(key),
        Subject::Server(..) => None,
    });
    let nodes = nodes.chain(fellows.iter().copied()).filter(is_other).collect();
    let servers = if plan.is_director { servers(cluster, ways, plan) } else { BTreeMap::new() };
    Targets { own, nodes, servers }
}

fn servers(cluster: &Cluster, ways: &Ways<'_>, plan: &Plan) -> BTreeMap<Subject, Question> {
    let ids: BTreeMap<_, _> =
        ways.backends.iter().map(|(id, backend)| (BackendKey::of(backend), *id)).collect();
    let mut servers = BTreeMap::new();
    for service in cluster.services.values() {
        let key = plan::service_key(&service.frontend);
        let (Some(check), Some(planned)) = (&service.check, plan.services.get(&key)) else { continue };
        let to = SocketAddr::new(service.frontend.vip, service.frontend.port);
        for (backend, _) in planned.members.iter() {
            let reach = ways.hops.get(&IpAddr::from(backend.addr)).filter(|reach| ways.sees_checks(reach));
            let (Some(id), Some(reach)) = (ids.get(backend), reach) else { continue };
            let question = Question {
                check: check.clone(),
                to,
                mark: lb_common::check::mark(*id),
                interface: interface(reach),
            };
            servers.insert(Subject::of(&key, backend), question);
        }
    }
    servers
}

impl Ways<'_> {
    /// Do checks of a server that is reached so pass our program? They would
    /// take another way than traffic otherwise.
    fn sees_checks(&self, reach: &Reach) -> bool {
        match reach {
            Reach::Local => false,
            // Of two VLAN tags, the program would find one in the packet.
            Reach::Via(hop) => hop.tags.len() <= 1 && self.interfaces.contains(&hop.device),
            // There will be none.
            Reach::Unreachable(_) => true,
        }
    }
}

fn interface(reach: &Reach) -> Option<String> {
    match reach {
        Reach::Via(hop) => Some(hop.interface.clone()),
        Reach::Local | Reach::Unreachable(_) => None,
    }
}
