//! Where a plan and the maps may differ.

use imbl::OrdMap;
use lb_common::{Addr, maps::ServiceKey};

use crate::{
    changes::changed_keys,
    plan::planned::{BackendKey, Plan},
};

/// Where a plan and the maps may differ.
pub(super) enum Scope {
    Anywhere,
    /// The maps hold what an earlier plan says, and the two differ in this.
    Only(Changes),
}

/// The keys of what is in one of two plans, or not the same in both. In their order.
pub(super) struct Changes {
    pub services: Vec<ServiceKey>,
    pub vips: Vec<Addr>,
    pub peers: Vec<Addr>,
    pub backends: Vec<BackendKey>,
}

impl Scope {
    /// `held`: a plan that the maps hold.
    pub fn new(held: Option<&Plan>, plan: &Plan) -> Self {
        let Some(held) = held else { return Self::Anywhere };
        let backends = changed_keys(&held.backends, &plan.backends);
        // A peer names the entry by which its machine is reached.
        let mut peers = changed_keys(&held.peers, &plan.peers);
        peers.extend(backends.iter().map(|key| key.addr));
        peers.sort_unstable();
        peers.dedup();
        Self::Only(Changes {
            services: changed_keys(&held.services, &plan.services),
            vips: changed_keys(&held.vips, &plan.vips),
            peers,
            backends,
        })
    }

    /// The entries of a map that are in the scope; `changed` are its keys.
    pub fn entries<'s, 'a: 's, K: Ord, V>(
        &'s self,
        changed: fn(&Changes) -> &[K],
        map: &'a OrdMap<K, V>,
    ) -> Box<dyn Iterator<Item = (&'a K, &'a V)> + 's> {
        match self {
            Self::Anywhere => Box::new(map.iter()),
            Self::Only(changes) => Box::new(changed(changes).iter().filter_map(|key| map.get_key_value(key))),
        }
    }
}
