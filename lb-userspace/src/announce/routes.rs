//! Prefixes and their attributes, for each peer.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    net::IpAddr,
    sync::Arc,
};

use ipnet::IpNet;

use super::{
    carry::{self, DataPath, Site},
    choose::{Advertisements, is_for},
};
use crate::{
    objects::model::{BgpAdvertisement, Cluster, Problem},
    protocols::bgp::{Attributes, Routes},
};

/// For each peer, by its name.
pub type ByPeer = BTreeMap<Arc<str>, Arc<Routes>>;

/// What this node tells its peers, and where advertisements contradict each other.
pub fn routes(
    cluster: &Cluster,
    here: &Site<'_>,
    carried: &BTreeSet<IpAddr>,
    all: &Advertisements<'_>,
) -> (ByPeer, Vec<Problem>) {
    let announcers = announcers(cluster, here, carried, all);
    let mut combined = Combined { all, known: HashMap::new(), problems: BTreeMap::new() };
    // Most peers are told the same.
    let mut told: BTreeMap<Vec<usize>, Arc<Routes>> = BTreeMap::new();
    let mut by_peer = ByPeer::new();
    let mut places = HashSet::new();
    for (name, peer) in &cluster.announcing.peers {
        // Of two in the same place that labels brought together here, the first by name.
        if !peer.nodes.matches(here.labels) || !places.insert(peer.place()) {
            continue;
        }
        let telling: Vec<usize> = (0..all.bgp.len()).filter(|index| all.bgp[*index].tells(name)).collect();
        let routes = told.entry(telling).or_insert_with_key(|telling| {
            let route = |(prefix, by): (&IpNet, &BTreeSet<usize>)| {
                let by: Vec<usize> = by.iter().filter(|index| telling.contains(index)).copied().collect();
                Some((*prefix, combined.attributes(by, prefix)?))
            };
            Arc::new(announcers.iter().filter_map(route).collect())
        });
        by_peer.insert(Arc::clone(name), Arc::clone(routes));
    }
    (by_peer, combined.problems.into_values().collect())
}

/// The prefixes that this node announces, each with the advertisements that ask for it.
fn announcers(
    cluster: &Cluster,
    here: &Site<'_>,
    carried: &BTreeSet<IpAddr>,
    all: &Advertisements<'_>,
) -> BTreeMap<IpNet, BTreeSet<usize>> {
    let ours: Vec<bool> = all.bgp.iter().map(|one| one.nodes.matches(here.labels)).collect();
    let mut announcers: BTreeMap<IpNet, BTreeSet<usize>> = BTreeMap::new();
    for (vip, announced) in &cluster.announced {
        let wishes = carry::wishes(announced, here, DataPath::here(cluster, *vip, carried));
        for (index, prefix) in all.prefixes(*vip).filter(|(index, _)| ours[*index]) {
            if is_for(&all.bgp[index].services, &wishes) {
                announcers.entry(prefix).or_default().insert(index);
            }
        }
    }
    announcers
}

/// Attributes of routes that several advertisements ask for.
struct Combined<'a> {
    all: &'a Advertisements<'a>,
    known: HashMap<Vec<usize>, Arc<Attributes>>,
    /// By the two that contradict each other.
    problems: BTreeMap<(usize, usize), Problem>,
}

impl Combined<'_> {
    /// None: nobody asks for the route.
    fn attributes(&mut self, by: Vec<usize>, prefix: &IpNet) -> Option<Arc<Attributes>> {
        let (first, rest) = by.split_first()?;
        if let Some(known) = self.known.get(&by) {
            return Some(Arc::clone(known));
        }
        let leader = self.all.bgp[*first];
        let mut attributes = Arc::clone(&leader.attributes);
        for index in rest {
            let other = self.all.bgp[*index];
            let more = Arc::make_mut(&mut attributes);
            more.communities.extend(&other.attributes.communities);
            more.large_communities.extend(&other.attributes.large_communities);
            if let Some((field, message)) = other.contradicts(leader) {
                let problem = || contradiction(other, leader, field, &message, prefix);
                self.problems.entry((*first, *index)).or_insert_with(problem);
            }
        }
        self.known.insert(by, Arc::clone(&attributes));
        Some(attributes)
    }
}

fn contradiction(
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
        location: None,
    }
}
