//! Which Service gets which address.
//!
//! Each address is decided by itself. A Service that has it in its status comes first, then the older one, then the
//! name; the others get it too if they may share it with all before them, by the rules that agents announce VIPs by. So
//! a decision needs nothing but the objects as they are, and an event costs what its addresses touch.
//!
//! A Service keeps what it has until it gets what it asks for instead, as everything in Trigon keeps its last good
//! version; and it keeps an address that a Node comes with later: a Node's kubelet writes that by itself.

mod sharing;
mod wanted;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::IpAddr,
    sync::Arc,
};

use self::sharing::Conflict;
pub use self::sharing::conflict_between;
pub use self::wanted::{Verdict, Wanted};
use super::object::{Node, Object, Service};
use crate::objects::source::{Change, Kind, ObjectRef};

/// The Services and Nodes, and who gets what.
#[derive(Default)]
pub struct Addresses {
    services: HashMap<ObjectRef, Arc<Service>>,
    nodes: HashMap<ObjectRef, BTreeSet<IpAddr>>,
    of_node: BTreeMap<IpAddr, BTreeSet<ObjectRef>>,
    /// Services that have an address or ask for it.
    claimants: BTreeMap<IpAddr, BTreeSet<ObjectRef>>,
    /// Who does not get it, and why. Addresses that nobody is refused are not there.
    refused: BTreeMap<IpAddr, BTreeMap<ObjectRef, Loss>>,
    /// Addresses to be decided anew.
    open: BTreeSet<IpAddr>,
    /// Services that may have another outcome.
    touched: BTreeSet<ObjectRef>,
}

/// Why a Service does not get an address.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Loss {
    ToService(ObjectRef, Conflict),
    ToNode(ObjectRef),
}

impl Addresses {
    pub fn apply(&mut self, change: Change<Object>) {
        match change {
            Change::Put(Object::Service(service), _) => self.put_service(service),
            Change::Put(Object::Node(Node { this, addresses, .. }), _) => self.put_node(&this, addresses),
            Change::Put(Object::Other(this), _) => self.remove_service(&this),
            Change::Gone(this) if this.kind == Kind::Node => self.put_node(&this, BTreeSet::new()),
            Change::Gone(this) => self.remove_service(&this),
            Change::Put(Object::Report(_), _) | Change::Synced(_) => {}
        }
    }

    pub fn service(&self, this: &ObjectRef) -> Option<&Arc<Service>> {
        self.services.get(this)
    }

    pub fn services(&self) -> impl Iterator<Item = &ObjectRef> {
        self.services.keys()
    }

    /// Decides what is open, and returns the Services that may have another outcome than before.
    pub fn settle(&mut self) -> BTreeSet<ObjectRef> {
        for address in std::mem::take(&mut self.open) {
            let losses = self.losses(address);
            self.touched.extend(self.claimants.get(&address).into_iter().flatten().cloned());
            if losses.is_empty() {
                self.refused.remove(&address);
            } else {
                self.refused.insert(address, losses);
            }
        }
        std::mem::take(&mut self.touched)
    }

    /// What is to be written into the status of a Service, after [`Self::settle`].
    pub fn wanted(&self, service: &Service) -> Wanted {
        wanted::wanted(service, |address| self.refused.get(&address)?.get(service.this()))
    }

    fn put_service(&mut self, service: Arc<Service>) {
        let this = service.this().clone();
        self.remove_service(&this);
        for address in claims_of(&service) {
            self.claimants.entry(address).or_default().insert(this.clone());
            self.open.insert(address);
        }
        self.touched.insert(this.clone());
        self.services.insert(this, service);
    }

    fn remove_service(&mut self, this: &ObjectRef) {
        let Some(service) = self.services.remove(this) else { return };
        for address in claims_of(&service) {
            remove_from(&mut self.claimants, address, this);
            self.open.insert(address);
        }
    }

    fn put_node(&mut self, this: &ObjectRef, addresses: BTreeSet<IpAddr>) {
        let before = self.nodes.remove(this).unwrap_or_default();
        for address in before.difference(&addresses) {
            remove_from(&mut self.of_node, *address, this);
        }
        for address in addresses.difference(&before) {
            self.of_node.entry(*address).or_default().insert(this.clone());
        }
        self.open.extend(
            before.symmetric_difference(&addresses).filter(|address| self.claimants.contains_key(*address)),
        );
        if !addresses.is_empty() {
            self.nodes.insert(this.clone(), addresses);
        }
    }

    fn losses(&self, address: IpAddr) -> BTreeMap<ObjectRef, Loss> {
        let claimants = self.claimants.get(&address).into_iter().flatten();
        let mut claimants: Vec<_> = claimants.filter_map(|this| self.services.get(this)).collect();
        claimants.sort_by_key(|service| (!service.holds(address), &service.rank));
        let node = self.of_node.get(&address).and_then(BTreeSet::first);
        let mut losses = BTreeMap::new();
        let mut admitted: Vec<&Service> = Vec::with_capacity(claimants.len());
        for service in claimants {
            let in_the_way = || {
                admitted.iter().find_map(|other| {
                    let conflict = conflict_between(other, service)?;
                    Some(Loss::ToService(other.this().clone(), conflict))
                })
            };
            let to_node = node.filter(|_| !service.holds(address)).map(|node| Loss::ToNode(node.clone()));
            match to_node.or_else(in_the_way) {
                Some(loss) => drop(losses.insert(service.this().clone(), loss)),
                None => admitted.push(service),
            }
        }
        losses
    }
}

/// The addresses that a Service has or asks for.
fn claims_of(service: &Service) -> BTreeSet<IpAddr> {
    service.held().chain(service.asked().iter().copied()).collect()
}

fn remove_from(map: &mut BTreeMap<IpAddr, BTreeSet<ObjectRef>>, address: IpAddr, this: &ObjectRef) {
    if let Some(all) = map.get_mut(&address) {
        all.remove(this);
        if all.is_empty() {
            map.remove(&address);
        }
    }
}
