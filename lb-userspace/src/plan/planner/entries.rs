//! The peers of a plan, and its entries of `backends`: they follow from the peers, from who is in
//! any ring, from next hops and from the dead.

use std::collections::BTreeSet;

use imbl::OrdMap;
use lb_common::{
    Addr,
    maps::{self, backend_flags},
    roles,
};

use super::Round;
use crate::{
    changes::changed_keys,
    objects::model::{Cluster, DeliveryMode},
    plan::{
        backend::backend_entry,
        planned::{BackendKey, Identity, Plan},
        subject::Subject,
    },
};

/// Bits of [`roles`], by the addresses of nodes.
pub(super) fn peer_roles(cluster: &Cluster, me: &Identity) -> OrdMap<Addr, u32> {
    let mut peers = OrdMap::new();
    for node in cluster.nodes.values() {
        let own = if node.name == me.node { roles::SELF } else { 0 };
        let director = if node.director { roles::DIRECTOR } else { 0 };
        for addr in &node.addresses {
            peers.insert(Addr::from(*addr), roles::NODE | director | own);
        }
    }
    peers
}

/// All backends that a plan with these peers and members can have entries for.
pub(super) fn all_backends(plan: &Plan) -> BTreeSet<BackendKey> {
    let fellows = plan.peers.keys().map(|addr| BackendKey::fellow_node(*addr));
    fellows.chain(plan.members.keys().copied()).collect()
}

/// The backends whose entries may differ between two plans. `addresses`: those whose next hops or
/// health differ.
pub(super) fn touched_backends(
    before: &Plan,
    plan: &Plan,
    mut addresses: BTreeSet<Addr>,
) -> BTreeSet<BackendKey> {
    addresses.extend(changed_keys(&before.peers, &plan.peers));
    let mut backends: BTreeSet<_> = changed_keys(&before.members, &plan.members).into_iter().collect();
    for addr in addresses {
        backends.insert(BackendKey::fellow_node(addr));
        // No key of this address stands before it.
        let first = BackendKey { addr, mode: DeliveryMode::Auto, bare: false };
        let here = before.backends.range(first..).take_while(|(key, _)| key.addr == addr);
        backends.extend(here.map(|(key, _)| *key));
    }
    backends
}

/// Makes the entries of these backends what they are to be.
pub(super) fn renew(plan: &mut Plan, backends: &BTreeSet<BackendKey>, round: &Round<'_>) {
    for key in backends {
        match entry(plan, key, round) {
            Some(entry) => plan.backends.insert(*key, entry),
            None => plan.backends.remove(key),
        };
    }
}

/// None if this machine sends nothing to the backend. A node hands packets on to all nodes, and
/// a director sends to all in its rings.
fn entry(plan: &Plan, key: &BackendKey, round: &Round<'_>) -> Option<maps::Backend> {
    let is_fellow =
        round.is_node() && *key == BackendKey::fellow_node(key.addr) && plan.peers.contains_key(&key.addr);
    let is_sent_to = plan.is_director && plan.members.contains_key(key);
    if !is_fellow && !is_sent_to {
        return None;
    }
    let mut entry = backend_entry(key, &round.origin, round.hops);
    if is_fellow && round.dead.contains(&Subject::of_node(key)) {
        entry.flags |= backend_flags::DEAD;
    }
    Some(entry)
}
