//! On which interfaces VIPs can be announced.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};

use serde::{Deserialize, Serialize};

use super::{
    Candidates,
    links::{Link, Seen},
};

pub struct Interfaces {
    /// The agent's own, which its programs are on.
    own: BTreeSet<Arc<str>>,
    /// What there is of all names that are of interest.
    seen: BTreeMap<Arc<str>, Seen>,
}

/// An interface that an advertisement names, and why a VIP is not announced there.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct Fault {
    pub interface: String,
    pub why: Why,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Why {
    Missing,
    NotEthernet,
    Down,
    /// What would come there for a VIP in the data path, no program would see.
    NoProgram,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let why = match self.why {
            Why::Missing => "MISSING",
            Why::NotEthernet => "no Ethernet",
            Why::Down => "DOWN",
            Why::NoProgram => "not the agent's",
        };
        write!(f, "{} ({why})", self.interface)
    }
}

impl Interfaces {
    pub fn new(own: &[String]) -> Self {
        Self { own: own.iter().map(|name| name.as_str().into()).collect(), seen: BTreeMap::new() }
    }

    /// What the kernel says; true if it is a change.
    pub fn set(&mut self, seen: BTreeMap<Arc<str>, Seen>) -> bool {
        let is_new = self.seen != seen;
        self.seen = seen;
        is_new
    }

    /// All names that are of interest to these VIPs.
    pub fn names<'a>(&self, vips: impl Iterator<Item = &'a Candidates>) -> BTreeSet<Arc<str>> {
        vips.flat_map(|candidates| &candidates.interfaces).chain(&self.own).cloned().collect()
    }

    /// Where a VIP can be announced now.
    pub fn usable<'a>(&'a self, candidates: &'a Candidates) -> impl Iterator<Item = &'a Arc<str>> {
        self.of(candidates).filter(|name| self.link(name).is_some())
    }

    /// Where a VIP is to be announced, as soon as that is possible.
    pub fn of<'a>(&'a self, candidates: &'a Candidates) -> impl Iterator<Item = &'a Arc<str>> {
        self.named(candidates).iter().filter(|name| self.is_fit(candidates, name))
    }

    pub fn is_on(&self, candidates: &Candidates, name: &Arc<str>) -> bool {
        self.named(candidates).contains(name) && self.is_fit(candidates, name)
    }

    /// Without names of its own, a VIP is for all of the agent's interfaces.
    fn named<'a>(&'a self, candidates: &'a Candidates) -> &'a BTreeSet<Arc<str>> {
        if candidates.interfaces.is_empty() { &self.own } else { &candidates.interfaces }
    }

    fn is_fit(&self, candidates: &Candidates, name: &Arc<str>) -> bool {
        !candidates.in_data_path || self.has_program(name)
    }

    pub fn can_announce(&self, candidates: &Candidates) -> bool {
        self.usable(candidates).next().is_some()
    }

    /// Up, and Ethernet.
    pub fn link(&self, name: &Arc<str>) -> Option<Link> {
        self.seen.get(name)?.usable()
    }

    /// Of those that are named for the VIP.
    pub fn faults(&self, candidates: &Candidates) -> Vec<Fault> {
        let why = |name: &Arc<str>| match self.seen.get(name) {
            None => Some(Why::Missing),
            Some(seen) if seen.mac.is_none() => Some(Why::NotEthernet),
            Some(seen) if !seen.is_up => Some(Why::Down),
            Some(_) if candidates.in_data_path && !self.has_program(name) => Some(Why::NoProgram),
            Some(_) => None,
        };
        let fault = |name: &Arc<str>| Some(Fault { interface: name.to_string(), why: why(name)? });
        candidates.interfaces.iter().filter_map(fault).collect()
    }

    /// It is one of the agent's, or a VLAN on one: programs see frames before the
    /// kernel takes the tags off.
    fn has_program(&self, name: &Arc<str>) -> bool {
        let device = self.seen.get(name).and_then(|seen| seen.device);
        let mut own = self.own.iter().filter_map(|name| self.seen.get(name));
        self.own.contains(name) || (device.is_some() && own.any(|own| Some(own.ifindex) == device))
    }
}

#[cfg(test)]
pub mod tests;
