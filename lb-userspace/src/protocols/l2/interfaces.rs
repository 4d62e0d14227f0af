//! The interfaces on which VIPs can be announced.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::Arc,
};

use serde::{Deserialize, Serialize};

use super::{
    Candidates,
    links::{AnnouncingLink, InterfaceState},
};

pub struct Interfaces {
    /// The agent's own interfaces, which its programs are attached to.
    own: BTreeSet<Arc<str>>,
    /// The interfaces that exist, of the names of interest.
    seen: BTreeMap<Arc<str>, InterfaceState>,
}

/// An interface that an advertisement names, and why a VIP is not announced there.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct Fault {
    pub interface: String,
    pub why: FaultReason,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum FaultReason {
    Missing,
    NotEthernet,
    Down,
    /// The VIP is in the data path, and none of our programs is attached there.
    NoProgram,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let why = match self.why {
            FaultReason::Missing => "MISSING",
            FaultReason::NotEthernet => "no Ethernet",
            FaultReason::Down => "DOWN",
            FaultReason::NoProgram => "not the agent's",
        };
        write!(f, "{} ({why})", self.interface)
    }
}

impl Interfaces {
    pub fn new(own: &[String]) -> Self {
        Self { own: own.iter().map(|name| name.as_str().into()).collect(), seen: BTreeMap::new() }
    }

    /// Sets what the kernel reports; true if that is a change.
    pub fn set_seen(&mut self, seen: BTreeMap<Arc<str>, InterfaceState>) -> bool {
        let is_new = self.seen != seen;
        self.seen = seen;
        is_new
    }

    /// The names of all interfaces that these VIPs may be announced on, and of the agent's own.
    pub fn relevant_names<'a>(&self, vips: impl Iterator<Item = &'a Candidates>) -> BTreeSet<Arc<str>> {
        vips.flat_map(|candidates| &candidates.interfaces).chain(&self.own).cloned().collect()
    }

    /// The interfaces that a VIP can be announced on now.
    pub fn usable_for<'a>(&'a self, candidates: &'a Candidates) -> impl Iterator<Item = &'a Arc<str>> {
        self.suitable_for(candidates).filter(|name| self.usable_link(name).is_some())
    }

    /// The interfaces that a VIP is to be announced on, as soon as they are up.
    pub fn suitable_for<'a>(&'a self, candidates: &'a Candidates) -> impl Iterator<Item = &'a Arc<str>> {
        self.named_for(candidates).iter().filter(|name| self.is_suitable(candidates, name))
    }

    pub fn is_wanted_on(&self, candidates: &Candidates, name: &Arc<str>) -> bool {
        self.named_for(candidates).contains(name) && self.is_suitable(candidates, name)
    }

    /// The interfaces named for the VIP; without any, all of the agent's.
    fn named_for<'a>(&'a self, candidates: &'a Candidates) -> &'a BTreeSet<Arc<str>> {
        if candidates.interfaces.is_empty() { &self.own } else { &candidates.interfaces }
    }

    fn is_suitable(&self, candidates: &Candidates, name: &Arc<str>) -> bool {
        !candidates.in_data_path || self.has_program(name)
    }

    pub fn can_announce(&self, candidates: &Candidates) -> bool {
        self.usable_for(candidates).next().is_some()
    }

    /// The interface if it is Ethernet and up.
    pub fn usable_link(&self, name: &Arc<str>) -> Option<AnnouncingLink> {
        self.seen.get(name)?.usable_link()
    }

    /// Why the VIP is not announced on interfaces that are named for it.
    pub fn faults(&self, candidates: &Candidates) -> Vec<Fault> {
        let why = |name: &Arc<str>| match self.seen.get(name) {
            None => Some(FaultReason::Missing),
            Some(seen) if seen.mac.is_none() => Some(FaultReason::NotEthernet),
            Some(seen) if !seen.is_up => Some(FaultReason::Down),
            Some(_) if candidates.in_data_path && !self.has_program(name) => Some(FaultReason::NoProgram),
            Some(_) => None,
        };
        let fault = |name: &Arc<str>| Some(Fault { interface: name.to_string(), why: why(name)? });
        candidates.interfaces.iter().filter_map(fault).collect()
    }

    /// Is it one of the agent's, or a VLAN on one? Programs see frames before the kernel
    /// removes the VLAN tags.
    fn has_program(&self, name: &Arc<str>) -> bool {
        let device = self.seen.get(name).and_then(|seen| seen.device);
        let mut own = self.own.iter().filter_map(|name| self.seen.get(name));
        self.own.contains(name) || (device.is_some() && own.any(|own| Some(own.ifindex) == device))
    }
}

#[cfg(test)]
pub mod tests;
