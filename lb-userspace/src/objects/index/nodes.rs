//! The Nodes: which version of each is in effect.
//!
//! A Node whose present version is not good, or that asks for an address which another has, keeps
//! its last good version; one that is gone stays for as long as endpoints are on it.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
};

use imbl::OrdMap;
use k8s_openapi::api::core::v1;

use crate::objects::{
    model::{Node, Problem},
    source::{ObjectRef, Rank},
    translate::{self, Nodes, TranslateConfig},
};

#[derive(Default)]
pub struct NodeVersions {
    entries: BTreeMap<Arc<str>, Entry>,
    known: Nodes,
    usable: OrdMap<Arc<str>, Arc<Node>>,
    problems: Vec<Problem>,
    /// Nodes that are gone, and stay because of their endpoints.
    leftovers: BTreeSet<Arc<str>>,
    /// Addresses that some Node asks for or lists, and does not have.
    in_vain: BTreeSet<IpAddr>,
}

/// The object itself is large and not needed any more.
struct Entry {
    rank: Rank,
    /// None: it is gone.
    latest: Option<Translated>,
    good: Option<Arc<Node>>,
}

#[derive(PartialEq)]
struct Translated {
    node: Option<Arc<Node>>,
    problems: Vec<Problem>,
}

impl Translated {
    fn is_good(&self) -> bool {
        self.problems.iter().all(|problem| problem.left_out)
    }
}

/// A version that is tried.
struct Candidate {
    rank: Rank,
    /// None: there is none that can be used.
    node: Option<Arc<Node>>,
    is_latest: bool,
}

/// What has changed for others.
#[derive(Default)]
pub struct NodeChanges {
    /// Nodes that came, went or became usable or unusable.
    pub names: BTreeSet<Arc<str>>,
    /// Addresses that have another owner.
    pub addresses: BTreeSet<IpAddr>,
}

impl NodeVersions {
    /// Which nodes there are, as far as Services depend on them.
    pub fn known(&self) -> &Nodes {
        &self.known
    }

    /// All that can be used.
    pub fn usable(&self) -> &OrdMap<Arc<str>, Arc<Node>> {
        &self.usable
    }

    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// Returns whether it says anything new. Most updates of a Node only renew its heartbeat.
    pub fn put(&mut self, this: &ObjectRef, object: &v1::Node, options: TranslateConfig) -> bool {
        let (node, problems) = translate::node(object, options);
        let latest = Some(Translated { node: node.map(Arc::new), problems });
        let born = object.metadata.creation_timestamp.as_ref().map(|time| time.0);
        let rank = Rank::new(born, this.clone());
        let entry = self.entries.entry(Arc::clone(&this.name));
        let entry = entry.or_insert_with(|| Entry { rank: rank.clone(), latest: None, good: None });
        let is_new = entry.rank != rank || entry.latest != latest;
        (entry.rank, entry.latest) = (rank, latest);
        is_new
    }

    pub fn remove(&mut self, name: &str) {
        if let Some(entry) = self.entries.get_mut(name) {
            entry.latest = None;
            // If it was never good, it stays as far as it was used.
            entry.good = entry.good.take().or_else(|| self.usable.get(name).cloned());
        }
    }

    /// Does some Node ask for this address, or list it, and not have it? It may, once that is a VIP no more.
    pub fn is_in_vain(&self, address: IpAddr) -> bool {
        self.in_vain.contains(&address)
    }

    /// Nodes that are gone, and stay because of their endpoints.
    pub fn leftovers(&self) -> impl Iterator<Item = &str> {
        self.leftovers.iter().map(|name| &**name)
    }

    /// Decides which versions are in effect. `has_endpoints`: are there endpoints on it?
    /// `vip_owner`: the Service that has this VIP. `is_vip`: is it one that packets come to already?
    pub fn settle(
        &mut self,
        has_endpoints: impl Fn(&str) -> bool,
        vip_owner: impl Fn(IpAddr) -> Option<String>,
        is_vip: impl Fn(IpAddr) -> bool,
    ) -> NodeChanges {
        self.entries
            .retain(|name, entry| entry.latest.is_some() || entry.good.is_some() && has_endpoints(name));
        let mut problems = self.own_problems();
        let mut candidates = self.candidates();
        let gone = self.entries.iter().filter(|(_, entry)| entry.latest.is_none());
        self.leftovers = gone.map(|(name, _)| Arc::clone(name)).collect();
        self.in_vain.clear();
        loop {
            let losers = self.losers(&candidates, &vip_owner);
            if losers.is_empty() {
                break;
            }
            for (name, problem) in losers {
                problems.push(problem);
                let Some(candidate) = candidates.get_mut(&name) else { continue };
                self.in_vain.extend(candidate.node.iter().flat_map(|node| &node.addresses));
                let good = self.entries.get(&name).and_then(|entry| entry.good.clone());
                candidate.node = good.filter(|_| candidate.is_latest);
                candidate.is_latest = false;
            }
        }
        let (known, usable) = join(&candidates, is_vip);
        let others = usable.values().flat_map(|node| &node.other_addresses);
        self.in_vain.extend(others.filter(|address| known.owner(**address).is_none()));
        for (name, candidate) in candidates.into_iter().filter(|(_, candidate)| candidate.is_latest) {
            if let Some(entry) = self.entries.get_mut(&name)
                && entry.latest.as_ref().is_some_and(Translated::is_good)
            {
                entry.good = candidate.node.or(entry.good.take());
            }
        }
        let changes = changes_between(&self.known, &known);
        (self.known, self.usable, self.problems) = (known, usable, problems);
        changes
    }

    /// What is wrong with each by itself.
    fn own_problems(&self) -> Vec<Problem> {
        let of_entry = |entry: &Entry| match &entry.latest {
            Some(latest) => latest.problems.clone(),
            None => vec![leftover_problem(&entry.rank.object)],
        };
        self.entries.values().flat_map(of_entry).collect()
    }

    /// The latest version of each if it is good by itself; else the last good one, or what there is.
    fn candidates(&self) -> BTreeMap<Arc<str>, Candidate> {
        let candidate = |entry: &'_ Entry| match (&entry.latest, &entry.good) {
            (Some(latest), None) => (latest.node.clone(), true),
            (Some(latest), _) if latest.is_good() => (latest.node.clone(), true),
            (_, good) => (good.clone(), false),
        };
        let named = self.entries.iter().map(|(name, entry)| {
            let (node, is_latest) = candidate(entry);
            (Arc::clone(name), Candidate { rank: entry.rank.clone(), node, is_latest })
        });
        named.collect()
    }

    /// Those that don't get an address which they ask for. Those that lose only to another of them
    /// may get it yet: they are left out, unless all do.
    fn losers(
        &self,
        candidates: &BTreeMap<Arc<str>, Candidate>,
        vip_owner: &impl Fn(IpAddr) -> Option<String>,
    ) -> BTreeMap<Arc<str>, Problem> {
        let mut asking: BTreeMap<IpAddr, Vec<&Rank>> = BTreeMap::new();
        for candidate in candidates.values() {
            for address in candidate.node.iter().flat_map(|node| &node.addresses) {
                asking.entry(*address).or_insert_with(|| Vec::with_capacity(1)).push(&candidate.rank);
            }
        }
        let mut lost = Vec::new();
        for (address, ranks) in &asking {
            let holds = |rank: &Rank| self.known.owner(*address) == Some(&rank.object.name);
            let first = ranks.iter().min_by_key(|rank| rank.precedence(holds(rank))).copied();
            let owner = if first.is_some_and(holds) { None } else { vip_owner(*address) };
            let (winner, message) = match (owner, first) {
                (Some(service), _) => (None, format!("{address} is a VIP of Service {service}")),
                (None, Some(first)) if ranks.len() > 1 => {
                    (Some(first), format!("{address} is also the address of {}", first.object))
                }
                _ => continue,
            };
            let remedy = "give each Node an address of its own";
            let losers = ranks.iter().filter(|rank| Some(**rank) != winner);
            lost.extend(
                losers.map(|rank| (rank, winner, rank.object.problem("status.addresses", &*message, remedy))),
            );
        }
        let names: BTreeSet<_> = lost.iter().map(|(rank, ..)| &rank.object.name).collect();
        let is_final =
            |winner: Option<&Rank>| winner.is_none_or(|winner| !names.contains(&winner.object.name));
        let are_any_final = lost.iter().any(|(_, winner, _)| is_final(*winner));
        let told = lost.iter().filter(|(_, winner, _)| !are_any_final || is_final(*winner));
        told.map(|(rank, _, problem)| (Arc::clone(&rank.object.name), problem.clone())).collect()
    }
}

/// A VIP that a Service has already stays a VIP, though a Node lists it: it may be a machine that has it on
/// an interface.
fn join(
    candidates: &BTreeMap<Arc<str>, Candidate>,
    is_vip: impl Fn(IpAddr) -> bool,
) -> (Nodes, OrdMap<Arc<str>, Arc<Node>>) {
    let (mut known, mut usable) = (Nodes::default(), OrdMap::new());
    for (name, candidate) in candidates {
        known.names.insert(Arc::clone(name), candidate.node.is_some());
        if let Some(node) = &candidate.node {
            let others = node.other_addresses.iter().filter(|address| !is_vip(**address));
            let addresses = node.addresses.iter().chain(others);
            known.addresses.extend(addresses.map(|address| (*address, Arc::clone(name))));
            usable.insert(Arc::clone(name), Arc::clone(node));
        }
    }
    (known, usable)
}

fn changes_between(before: &Nodes, now: &Nodes) -> NodeChanges {
    NodeChanges {
        names: different_keys(&before.names, &now.names),
        addresses: different_keys(&before.addresses, &now.addresses),
    }
}

fn different_keys<K: Ord + Clone, V: PartialEq>(a: &BTreeMap<K, V>, b: &BTreeMap<K, V>) -> BTreeSet<K> {
    let differs = |key: &&K| a.get(*key) != b.get(*key);
    a.keys().chain(b.keys()).filter(differs).cloned().collect()
}

fn leftover_problem(this: &ObjectRef) -> Problem {
    let remedy = "take its endpoints out of the EndpointSlices, or add the Node again";
    this.problem("metadata.name", "is gone, but has endpoints: it stays until they are gone", remedy)
}
