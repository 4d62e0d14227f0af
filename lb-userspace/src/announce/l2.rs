//! Who may answer for a VIP on a link.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::IpAddr,
    sync::Arc,
};

use super::{
    carry::{self, DataPath, Site},
    choose::{Advertisements, is_for},
};
use crate::{
    objects::model::{Announced, Carrier, Cluster},
    protocols::{
        bgp::config::Leaving,
        l2::{Ballot, Candidates, L2Orders},
    },
};

pub fn wanted(
    cluster: &Cluster,
    here: &Site<'_>,
    carried: &BTreeSet<IpAddr>,
    all: &Advertisements<'_>,
    leaving: Leaving,
) -> L2Orders {
    let mut chosen = Chosen { cluster, all, ballots: HashMap::new() };
    let mut vips = BTreeMap::new();
    for (vip, announced) in &cluster.announced {
        let advertisements = &all.about(*vip).l2;
        if advertisements.is_empty() {
            continue;
        }
        let ballot = chosen.ballot(*vip, announced, advertisements);
        if ballot.nodes().is_empty() {
            continue;
        }
        let wishes = carry::wishes(announced, here, DataPath::here(cluster, *vip, carried));
        let ours = advertisements.iter().map(|index| all.l2[*index]);
        let ours: Vec<_> = ours.filter(|one| one.nodes.matches(here.labels)).collect();
        let ready = ballot.has(here.name) && ours.iter().any(|one| is_for(&one.services, &wishes));
        let everywhere = ours.iter().any(|one| one.interfaces.is_empty());
        let interfaces = ours.iter().flat_map(|one| &one.interfaces).filter(|_| !everywhere);
        let interfaces = interfaces.cloned().collect();
        vips.insert(*vip, Candidates { ballot, ready, in_data_path: announced.is_dsr(), interfaces });
    }
    L2Orders {
        me: Arc::clone(here.name),
        nodes: company(cluster, here.name, &vips),
        vips,
        leaving: leaving != Leaving::No,
    }
}

/// All candidates and their addresses, if we are one of them.
fn company(
    cluster: &Cluster,
    me: &Arc<str>,
    vips: &BTreeMap<IpAddr, Candidates>,
) -> BTreeMap<Arc<str>, Vec<IpAddr>> {
    // Most VIPs share theirs.
    let ballots: HashMap<*const Ballot, &Ballot> =
        vips.values().map(|one| (Arc::as_ptr(&one.ballot), &*one.ballot)).collect();
    if !ballots.values().any(|ballot| ballot.has(me)) {
        return BTreeMap::new();
    }
    let names: BTreeSet<&Arc<str>> = ballots.values().flat_map(|ballot| ballot.nodes()).collect();
    let addresses = |name: &Arc<str>| cluster.nodes.get(name).map(|node| node.addresses.clone());
    names.into_iter().map(|name| (Arc::clone(name), addresses(name).unwrap_or_default())).collect()
}

/// Whom advertisements choose, by what everybody knows, so that everybody
/// comes to the same.
struct Chosen<'a> {
    cluster: &'a Cluster,
    all: &'a Advertisements<'a>,
    ballots: HashMap<Question<'a>, Arc<Ballot>>,
}

/// All that a ballot depends on: VIPs that have it in common share the ballot.
#[derive(PartialEq, Eq, Hash)]
struct Question<'a> {
    advertisements: Vec<usize>,
    is_dsr: bool,
    data_path: DataPath,
    ways: BTreeSet<Way<'a>>,
}

/// Where a Service's traffic can be brought to its Pods from.
#[derive(PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Way<'a> {
    DataPath,
    /// Anywhere, if it is ready.
    Anywhere(bool),
    Local(&'a BTreeSet<Arc<str>>),
}

impl<'a> Chosen<'a> {
    fn ballot(&mut self, vip: IpAddr, announced: &'a Announced, about: &[usize]) -> Arc<Ballot> {
        // With service selectors, advertisements depend on the VIP as well.
        let of_service = about.iter().copied().filter(|index| {
            let services = &self.all.l2[*index].services;
            announced.wishes.values().any(|wish| services.matches(&wish.labels))
        });
        let question = Question {
            advertisements: of_service.collect(),
            is_dsr: announced.is_dsr(),
            data_path: DataPath::wanted(self.cluster, vip),
            ways: announced.wishes.values().map(|wish| Way::of(&wish.carrier)).collect(),
        };
        if let Some(known) = self.ballots.get(&question) {
            return Arc::clone(known);
        }
        let ballot = Arc::new(self.nodes(&question, announced).into());
        self.ballots.insert(question, Arc::clone(&ballot));
        ballot
    }

    fn nodes(&self, question: &Question<'_>, announced: &Announced) -> BTreeSet<Arc<str>> {
        let is_able = |site: &Site<'_>| !carry::wishes(announced, site, question.data_path).is_empty();
        let is_chosen = |site: &Site<'_>| {
            question.advertisements.iter().any(|index| self.all.l2[*index].nodes.matches(site.labels))
        };
        let chosen = |node| {
            let site = Site::seen(node);
            (is_able(&site) && is_chosen(&site)).then(|| Arc::clone(site.name))
        };
        let nodes = &self.cluster.nodes;
        match question.local() {
            Some(names) => names.into_iter().filter_map(|name| chosen(nodes.get(name)?)).collect(),
            None => nodes.values().filter_map(|node| chosen(node)).collect(),
        }
    }
}

impl<'a> Question<'a> {
    /// The nodes that come into question, if it is not all.
    fn local(&self) -> Option<BTreeSet<&'a Arc<str>>> {
        let nodes = |way: &Way<'a>| match way {
            Way::Local(nodes) => Some(*nodes),
            _ => None,
        };
        let sets = self.ways.iter().map(nodes).collect::<Option<Vec<_>>>()?;
        Some(sets.into_iter().flatten().collect())
    }
}

impl<'a> Way<'a> {
    fn of(carrier: &'a Carrier) -> Self {
        match carrier {
            Carrier::DataPath => Self::DataPath,
            Carrier::KubeProxy { local: true, nodes, .. } => Self::Local(nodes),
            Carrier::KubeProxy { ready, .. } => Self::Anywhere(*ready),
        }
    }
}
