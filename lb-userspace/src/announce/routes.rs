//! Prefixes and their attributes, for each peer.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    net::IpAddr,
    sync::Arc,
};

use ipnet::IpNet;

use super::{
    carry::{self, DataPathState, Site},
    choose::{Advertisements, selects_any},
};
use crate::{
    objects::model::{BgpAdvertisement, Cluster, Problem},
    protocols::bgp::{Attributes, Routes},
};

/// For each peer, by its name.
pub type RoutesByPeer = BTreeMap<Arc<str>, Arc<Routes>>;

/// The routes that this node sends to each peer; and a problem for each peer that is this node itself,
/// and for each two advertisements that contradict each other. `listens`: the port that peers call.
pub fn build_routes(
    cluster: &Cluster,
    here: &Site<'_>,
    listens: Option<u16>,
    carried: &BTreeSet<IpAddr>,
    all: &Advertisements<'_>,
) -> (RoutesByPeer, Vec<Problem>) {
    let announcers = announcers_by_prefix(cluster, here, carried, all);
    let mut combined = CombinedAttributes { all, cache: HashMap::new(), problems: BTreeMap::new() };
    // Most peers get the same routes, which they share.
    let mut shared_routes: BTreeMap<Vec<usize>, Arc<Routes>> = BTreeMap::new();
    let mut by_peer = RoutesByPeer::new();
    let mut places = HashSet::new();
    let mut problems = Vec::new();
    for (name, peer) in &cluster.announcing.peers {
        if !peer.nodes.matches(here.labels) {
            continue;
        }
        if listens.is_some_and(|port| peer.is_at(here.addresses, port)) {
            problems.push(own_peer_problem(name, here));
            continue;
        }
        // Of two peers at one place, which a change of Node labels can bring together, the first by name.
        if !places.insert(peer.endpoint_key()) {
            continue;
        }
        let telling: Vec<usize> =
            (0..all.bgp.len()).filter(|index| all.bgp[*index].is_for_peer(name)).collect();
        let routes = shared_routes.entry(telling).or_insert_with_key(|telling| {
            let route = |(prefix, by): (&IpNet, &BTreeSet<usize>)| {
                let by: Vec<usize> = by.iter().filter(|index| telling.contains(index)).copied().collect();
                Some((*prefix, combined.combine_attributes(by, prefix)?))
            };
            Arc::new(announcers.iter().filter_map(route).collect())
        });
        by_peer.insert(Arc::clone(name), Arc::clone(routes));
    }
    problems.extend(combined.problems.into_values());
    (by_peer, problems)
}

/// The prefixes that this node announces, each with the advertisements that ask for it.
fn announcers_by_prefix(
    cluster: &Cluster,
    here: &Site<'_>,
    carried: &BTreeSet<IpAddr>,
    all: &Advertisements<'_>,
) -> BTreeMap<IpNet, BTreeSet<usize>> {
    let ours: Vec<bool> = all.bgp.iter().map(|one| one.nodes.matches(here.labels)).collect();
    let mut announcers: BTreeMap<IpNet, BTreeSet<usize>> = BTreeMap::new();
    for (vip, announced) in &cluster.announced {
        let wishes =
            carry::servable_wishes(announced, here, DataPathState::on_this_node(cluster, *vip, carried));
        for (index, prefix) in all.prefixes_for(*vip).filter(|(index, _)| ours[*index]) {
            if selects_any(&all.bgp[index].services, &wishes) {
                announcers.entry(prefix).or_default().insert(index);
            }
        }
    }
    announcers
}

/// Attributes of routes that several advertisements ask for.
struct CombinedAttributes<'a> {
    all: &'a Advertisements<'a>,
    cache: HashMap<Vec<usize>, Arc<Attributes>>,
    /// By the two that contradict each other.
    problems: BTreeMap<(usize, usize), Problem>,
}

impl CombinedAttributes<'_> {
    /// None if no advertisement asks for the route: `by` is empty.
    fn combine_attributes(&mut self, by: Vec<usize>, prefix: &IpNet) -> Option<Arc<Attributes>> {
        let (first, rest) = by.split_first()?;
        if let Some(known) = self.cache.get(&by) {
            return Some(Arc::clone(known));
        }
        let leader = self.all.bgp[*first];
        let mut attributes = Arc::clone(&leader.attributes);
        for index in rest {
            let other = self.all.bgp[*index];
            let more = Arc::make_mut(&mut attributes);
            more.communities.extend(&other.attributes.communities);
            more.large_communities.extend(&other.attributes.large_communities);
            if let Some((field, message)) = other.contradiction_with(leader) {
                let problem = || contradiction_problem(other, leader, field, &message, prefix);
                self.problems.entry((*first, *index)).or_insert_with(problem);
            }
        }
        self.cache.insert(by, Arc::clone(&attributes));
        Some(attributes)
    }
}

/// What calls this node at the port that it listens on would be answered by itself.
fn own_peer_problem(peer: &str, here: &Site<'_>) -> Problem {
    Problem {
        object: format!("BgpPeer {peer}"),
        field: "spec.peerAddress".to_owned(),
        message: format!("this is Node {} itself, which does without this peer", here.name),
        remedy: "write the router's address, or choose other nodes by nodeSelectors; if another BGP daemon on the \
                 Node has that port, start the agent with another --bgp-port"
            .to_owned(),
        ..Problem::default()
    }
}

fn contradiction_problem(
    this: &BgpAdvertisement,
    other: &BgpAdvertisement,
    field: &str,
    message: &str,
    prefix: &IpNet,
) -> Problem {
    Problem {
        object: format!("BgpAdvertisement {}", this.full_name),
        field: format!("spec.{field}"),
        message: format!(
            "{message} of BgpAdvertisement {}, which {prefix} is announced with",
            other.full_name
        ),
        remedy: "write the same in both, or let them choose different pools, Services, peers or nodes"
            .to_owned(),
        ..Problem::default()
    }
}
