//! All Nodes together, as far as Services depend on them.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

use crate::objects::{
    model::{Node, Problem},
    source::{Kind, ObjectRef},
};

/// Which nodes there are and which address is whose. When this changes, all
/// Services are translated again; other changes of Nodes do not matter to them.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Nodes {
    /// False: there is such an object, but it is not usable because of a problem.
    names: BTreeMap<Arc<str>, bool>,
    addresses: BTreeMap<IpAddr, Arc<str>>,
}

impl Nodes {
    /// The node of that name and whether it is usable. None: there is no such Node.
    pub fn get(&self, name: &str) -> Option<(&Arc<str>, bool)> {
        self.names.get_key_value(name).map(|(name, usable)| (name, *usable))
    }

    /// The node that has this address.
    pub fn owner(&self, address: IpAddr) -> Option<&str> {
        self.addresses.get(&address).map(|name| &**name)
    }
}

/// Brings Nodes together, which come by rank: of two with the same address the
/// first stays. A name without a node stands for an object that is unusable.
pub fn join_nodes<'a>(
    nodes: impl IntoIterator<Item = (&'a Arc<str>, Option<&'a Arc<Node>>)>,
) -> (Nodes, BTreeMap<Arc<str>, Arc<Node>>, Vec<Problem>) {
    let (mut all, mut usable, mut problems) = (Nodes::default(), BTreeMap::new(), Vec::new());
    for (name, node) in nodes {
        let node = node.filter(|node| match address_conflict(&all, node) {
            None => true,
            Some(problem) => {
                problems.push(problem);
                false
            }
        });
        all.names.insert(Arc::clone(name), node.is_some());
        if let Some(node) = node {
            all.addresses.extend(node.addresses.iter().map(|address| (*address, Arc::clone(name))));
            usable.insert(Arc::clone(name), Arc::clone(node));
        }
    }
    (all, usable, problems)
}

fn address_conflict(all: &Nodes, node: &Node) -> Option<Problem> {
    let (address, other) = node.addresses.iter().find_map(|a| Some((a, all.owner(*a)?)))?;
    let this = ObjectRef::new(Kind::Node, "", &node.name);
    let message = format!("{address} is also the address of Node {other}");
    Some(this.problem("status.addresses", message, "give each Node an address of its own"))
}
