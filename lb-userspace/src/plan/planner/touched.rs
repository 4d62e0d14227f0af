//! Which parts of a plan the changes since the last one can touch.
//!
//! A service that is planned again although nothing has changed for it comes out as it was. So one
//! too many costs time, and one too few would be a mistake.

use std::{collections::BTreeSet, net::IpAddr, sync::Arc};

use imbl::OrdMap;
use lb_common::Addr;

use super::Round;
use crate::{
    changes::{changed_elements, changed_keys},
    neigh::NextHops,
    objects::model::{Backends, Cluster, Frontend, Node, Service},
    plan::{
        mss::Mss,
        subject::{Dead, Subject},
    },
};

type Nodes = OrdMap<Arc<str>, Arc<Node>>;

/// What a plan was made from.
pub(super) struct Basis {
    services: OrdMap<Frontend, Arc<Service>>,
    passed: OrdMap<Frontend, Arc<str>>,
    nodes: Nodes,
    pub hops: NextHops,
    dead: Dead,
    mss: Mss,
}

/// The parts of a plan that may differ from the last one.
pub(super) struct Touched {
    pub services: BTreeSet<Frontend>,
    /// Of backends: their next hops or their health differ.
    pub addresses: BTreeSet<Addr>,
    /// Those whose health differs.
    pub health: BTreeSet<Addr>,
    pub peers: bool,
}

/// What differs for services that are themselves as they were.
struct Causes {
    /// Nodes that came, went or moved, or are at one of `addresses`.
    nodes: BTreeSet<Arc<str>>,
    /// Those that were looked up for the first time, or are to be again, and those that look dead
    /// or do so no more. How a backend is reached otherwise is not the services' business.
    addresses: BTreeSet<Addr>,
    /// Nodes that are directors now and were not, or the other way round. New flows to bare servers are shared
    /// out among directors, and those with endpoints of a `Local` service may have any of its flows.
    directors: BTreeSet<Arc<str>>,
}

impl Basis {
    pub fn new(round: &Round<'_>) -> Self {
        Self {
            services: round.cluster.services.clone(),
            passed: round.cluster.passed.clone(),
            nodes: round.cluster.nodes.clone(),
            hops: round.hops.clone(),
            dead: round.dead.clone(),
            mss: round.mss,
        }
    }

    /// What the plan of this round has to look at. None: at everything, because this machine's
    /// own addresses, from which tunnels begin, or something that all services have, differ.
    pub fn touched_by(&self, round: &Round<'_>) -> Option<Touched> {
        let now = round.cluster;
        if self.has_moved(&round.me.node, &now.nodes) || self.mss != round.mss {
            return None;
        }
        let nodes = changed_keys(&self.nodes, &now.nodes);
        let hops = changed_keys(&self.hops, round.hops);
        let dead = changed_elements(&self.dead, round.dead);
        let dead: BTreeSet<Addr> = dead.iter().map(Subject::addr).collect();
        let was_known = |target: &IpAddr| self.hops.contains_key(target);
        let looked_up = hops.iter().filter(|target| was_known(target) != round.is_known(target));
        let concerned = looked_up.map(|target| Addr::from(*target)).chain(dead.iter().copied());
        let causes = self.causes(&nodes, concerned.collect(), &now.nodes);
        let mut services: BTreeSet<_> = changed_keys(&self.services, &now.services).into_iter().collect();
        services.extend(self.touched_passed(&services, now));
        services.extend(causes.touched_services(&now.services));
        let addresses = hops.iter().map(|target| Addr::from(*target)).chain(dead.iter().copied()).collect();
        Some(Touched { services, addresses, health: dead, peers: !nodes.is_empty() })
    }

    /// Ports of kube-proxy's that have changed, or have services on their VIPs now and had none, or the other way
    /// round. `changed`: services that differ in anything.
    fn touched_passed(&self, changed: &BTreeSet<Frontend>, now: &Cluster) -> Vec<Frontend> {
        let was_there = |frontend: &&Frontend| self.services.contains_key(*frontend);
        let came_or_went = changed.iter().filter(|f| was_there(f) != now.services.contains_key(*f));
        let vips: BTreeSet<IpAddr> = came_or_went.map(|frontend| frontend.vip).collect();
        let beside = vips.into_iter().flat_map(|vip| now.passed.range(Frontend::all_of(vip)));
        let mut touched = changed_keys(&self.passed, &now.passed);
        touched.extend(beside.map(|(frontend, _)| *frontend));
        touched
    }

    /// `changed`: nodes that differ in anything. `addresses`: see [`Causes`].
    fn causes(&self, changed: &[Arc<str>], addresses: BTreeSet<Addr>, now: &Nodes) -> Causes {
        let moved = changed.iter().filter(|name| self.has_moved(name, now)).cloned();
        let nodes = moved.chain(nodes_at(now, &addresses)).collect();
        let is_director = |nodes: &Nodes, name: &Arc<str>| nodes.get(name).is_some_and(|node| node.director);
        let directors =
            changed.iter().filter(|name| is_director(&self.nodes, name) != is_director(now, name));
        let directors = directors.cloned().collect();
        Causes { nodes, addresses, directors }
    }

    /// Has a node come or gone, or has it other addresses?
    fn has_moved(&self, name: &Arc<str>, now: &Nodes) -> bool {
        addresses_of(&self.nodes, name) != addresses_of(now, name)
    }
}

impl Causes {
    /// Looks at all services, if there is anything to look for. That is quick, and an index of who is
    /// on which node would have to follow each change of an endpoint.
    fn touched_services(&self, services: &OrdMap<Frontend, Arc<Service>>) -> Vec<Frontend> {
        if self.nodes.is_empty() && self.addresses.is_empty() && self.directors.is_empty() {
            return Vec::new();
        }
        let touched = services.iter().filter(|(_, service)| self.touch(service));
        touched.map(|(frontend, _)| *frontend).collect()
    }

    fn touch(&self, service: &Service) -> bool {
        match &service.backends {
            Backends::Endpoints(endpoints) => {
                let is_touched =
                    |node| self.nodes.contains(node) || service.local && self.directors.contains(node);
                endpoints.iter().any(|endpoint| is_touched(&endpoint.node))
            }
            Backends::Bare(servers) => {
                !self.directors.is_empty()
                    || servers.iter().any(|server| self.addresses.contains(&Addr::from(*server)))
            }
        }
    }
}

fn addresses_of<'a>(nodes: &'a Nodes, name: &Arc<str>) -> Option<&'a [IpAddr]> {
    nodes.get(name).map(|node| node.addresses.as_slice())
}

fn nodes_at(nodes: &Nodes, addresses: &BTreeSet<Addr>) -> Vec<Arc<str>> {
    if addresses.is_empty() {
        return Vec::new();
    }
    let is_there = |node: &Node| node.addresses.iter().any(|addr| addresses.contains(&Addr::from(*addr)));
    nodes.iter().filter(|(_, node)| is_there(node)).map(|(name, _)| name.clone()).collect()
}
