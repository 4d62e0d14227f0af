//! Who may answer for a VIP on a link.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::IpAddr,
    sync::Arc,
};

use super::{
    carry::{self, DataPathState, Site},
    choose::{Advertisements, selects_any},
};
use crate::{
    objects::model::{Announced, Carrier, Cluster},
    protocols::{
        bgp::config::Leaving,
        l2::{Ballot, Candidates, L2Orders},
    },
};

pub fn build_orders(
    cluster: &Cluster,
    here: &Site<'_>,
    carried: &BTreeSet<IpAddr>,
    all: &Advertisements<'_>,
    leaving: Leaving,
) -> L2Orders {
    let mut all_ballots = Ballots { cluster, all, ballots: HashMap::new() };
    let mut vips = BTreeMap::new();
    for (vip, announced) in &cluster.announced {
        let advertisements = &all.for_vip(*vip).l2;
        if advertisements.is_empty() {
            continue;
        }
        let ballot = all_ballots.ballot_for(*vip, announced, advertisements);
        if ballot.nodes().is_empty() {
            continue;
        }
        let wishes =
            carry::servable_wishes(announced, here, DataPathState::on_this_node(cluster, *vip, carried));
        let ours = advertisements.iter().map(|index| all.l2[*index]);
        let ours: Vec<_> = ours.filter(|one| one.nodes.matches(here.labels)).collect();
        let ready = ballot.has_node(here.name) && ours.iter().any(|one| selects_any(&one.services, &wishes));
        let everywhere = ours.iter().any(|one| one.interfaces.is_empty());
        let interfaces = ours.iter().flat_map(|one| &one.interfaces).filter(|_| !everywhere);
        let interfaces = interfaces.cloned().collect();
        vips.insert(*vip, Candidates { ballot, ready, in_data_path: announced.is_dsr(), interfaces });
    }
    L2Orders {
        me: Arc::clone(here.name),
        nodes: candidate_addresses(cluster, here.name, &vips),
        vips,
        leaving: leaving != Leaving::No,
    }
}

/// All candidates and their addresses; empty if this node is not one of them.
fn candidate_addresses(
    cluster: &Cluster,
    me: &Arc<str>,
    vips: &BTreeMap<IpAddr, Candidates>,
) -> BTreeMap<Arc<str>, Vec<IpAddr>> {
    // Most VIPs share a ballot.
    let ballots: HashMap<*const Ballot, &Ballot> =
        vips.values().map(|one| (Arc::as_ptr(&one.ballot), &*one.ballot)).collect();
    if !ballots.values().any(|ballot| ballot.has_node(me)) {
        return BTreeMap::new();
    }
    let names: BTreeSet<&Arc<str>> = ballots.values().flat_map(|ballot| ballot.nodes()).collect();
    let addresses = |name: &Arc<str>| cluster.nodes.get(name).map(|node| node.addresses.clone());
    names.into_iter().map(|name| (Arc::clone(name), addresses(name).unwrap_or_default())).collect()
}

/// The candidates for VIPs. They depend on objects alone, so that all nodes
/// compute the same.
struct Ballots<'a> {
    cluster: &'a Cluster,
    all: &'a Advertisements<'a>,
    ballots: HashMap<BallotKey<'a>, Arc<Ballot>>,
}

/// All that a ballot depends on: VIPs that have it in common share the ballot.
#[derive(PartialEq, Eq, Hash)]
struct BallotKey<'a> {
    advertisements: Vec<usize>,
    is_dsr: bool,
    data_path: DataPathState,
    served_from: BTreeSet<ServedFrom<'a>>,
}

/// Where a Service's traffic can be brought to its Pods from.
#[derive(PartialEq, Eq, PartialOrd, Ord, Hash)]
enum ServedFrom<'a> {
    DataPath,
    /// From any node, if the Service has a ready endpoint.
    Anywhere(bool),
    /// From these nodes: `externalTrafficPolicy: Local`.
    Local(&'a BTreeSet<Arc<str>>),
}

impl<'a> Ballots<'a> {
    fn ballot_for(&mut self, vip: IpAddr, announced: &'a Announced, advertisements: &[usize]) -> Arc<Ballot> {
        // With service selectors, advertisements depend on the VIP as well.
        let of_service = advertisements.iter().copied().filter(|index| {
            let services = &self.all.l2[*index].services;
            announced.wishes.values().any(|wish| services.matches(&wish.labels))
        });
        let key = BallotKey {
            advertisements: of_service.collect(),
            is_dsr: announced.is_dsr(),
            data_path: DataPathState::on_any_director(self.cluster, vip),
            served_from: announced
                .wishes
                .values()
                .map(|wish| ServedFrom::of_carrier(&wish.carrier))
                .collect(),
        };
        if let Some(known) = self.ballots.get(&key) {
            return Arc::clone(known);
        }
        let ballot = Arc::new(self.candidate_nodes(&key, announced).into());
        self.ballots.insert(key, Arc::clone(&ballot));
        ballot
    }

    fn candidate_nodes(&self, key: &BallotKey<'_>, announced: &Announced) -> BTreeSet<Arc<str>> {
        let is_able = |site: &Site<'_>| !carry::servable_wishes(announced, site, key.data_path).is_empty();
        let is_chosen = |site: &Site<'_>| {
            key.advertisements.iter().any(|index| self.all.l2[*index].nodes.matches(site.labels))
        };
        let chosen = |node| {
            let site = Site::of_node(node);
            (is_able(&site) && is_chosen(&site)).then(|| Arc::clone(site.name))
        };
        let nodes = &self.cluster.nodes;
        match key.only_candidates() {
            Some(names) => names.into_iter().filter_map(|name| chosen(nodes.get(name)?)).collect(),
            None => nodes.values().filter_map(|node| chosen(node)).collect(),
        }
    }
}

impl<'a> BallotKey<'a> {
    /// The only nodes that can be candidates, if all Services are local; None: any node can.
    fn only_candidates(&self) -> Option<BTreeSet<&'a Arc<str>>> {
        let nodes = |way: &ServedFrom<'a>| match way {
            ServedFrom::Local(nodes) => Some(*nodes),
            _ => None,
        };
        let sets = self.served_from.iter().map(nodes).collect::<Option<Vec<_>>>()?;
        Some(sets.into_iter().flatten().collect())
    }
}

impl<'a> ServedFrom<'a> {
    fn of_carrier(carrier: &'a Carrier) -> Self {
        match carrier {
            Carrier::DataPath => Self::DataPath,
            Carrier::KubeProxy { local: true, nodes, .. } => Self::Local(nodes),
            Carrier::KubeProxy { ready, .. } => Self::Anywhere(*ready),
        }
    }
}
