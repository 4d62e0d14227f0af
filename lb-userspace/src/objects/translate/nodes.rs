//! The Nodes, as far as Services depend on them.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

/// Which nodes there are and which address is whose. Other changes of Nodes do not matter to Services.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Nodes {
    /// False: there is such an object, but it is not usable because of a problem.
    pub names: BTreeMap<Arc<str>, bool>,
    pub addresses: BTreeMap<IpAddr, Arc<str>>,
}

impl Nodes {
    /// The node of that name and whether it is usable. None: there is no such Node.
    pub fn get(&self, name: &str) -> Option<(&Arc<str>, bool)> {
        self.names.get_key_value(name).map(|(name, usable)| (name, *usable))
    }

    /// The node that has this address.
    pub fn owner(&self, address: IpAddr) -> Option<&Arc<str>> {
        self.addresses.get(&address)
    }
}
