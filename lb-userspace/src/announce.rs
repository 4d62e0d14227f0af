//! What this node is to announce, and to whom: from the objects and the VIPs
//! that its data path carries, to the orders of the speakers.
//!
//! Pure: no I/O, and no clock but the times in arguments.
mod carry;
mod choose;
pub mod departure;
mod faults;
mod l2;
mod peers;
mod routes;
mod sharing;
mod silence;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use carry::Site;
use choose::Advertisements;

use crate::{
    objects::model::{Cluster, Problem},
    plan::Identity,
    protocols::{
        bfd,
        bgp::{
            self,
            config::{Leaving, PeerOrders},
        },
        l2 as link,
    },
};
pub use faults::interface_problems;
pub use sharing::{SharingConflict, sharing_conflict, sharing_problems};
pub use silence::silent_vip_problems;

/// Orders for all speakers of this node.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Announcements {
    pub bgp: bgp::BgpOrders,
    pub l2: link::L2Orders,
    /// The sessions with peers whose address is configured. That of an unnumbered
    /// peer is added when its address is found.
    pub bfd: BTreeMap<bfd::SessionKey, bfd::Profile>,
    /// Peers that are this node itself, which it does without; and advertisements that
    /// contradict each other for one route, which shows only with the Services that
    /// exist. The first by name is followed.
    pub problems: Vec<Problem>,
}

/// The orders for the speakers of node `me`.
///
/// `carried`: VIPs of Services in the data path that this director has proven
/// in the kernel, and has a usable backend for.
pub fn plan(cluster: &Cluster, me: &Identity, carried: &BTreeSet<IpAddr>, leaving: Leaving) -> Announcements {
    let here = Site::of_this_node(me, cluster);
    let advertisements = Advertisements::new(&cluster.announcing);
    let (routes, problems) = routes::build_routes(cluster, &here, me.bgp_port, carried, &advertisements);
    let peers = peers::build_peer_orders(cluster, &here, &routes);
    // If two peers have the same key, the first by name gives the profile: it is inserted last.
    let bfd = peers.values().rev().filter_map(|PeerOrders { config, .. }| {
        let key = config.bfd_key(config.address()?);
        Some((key, config.bfd?))
    });
    Announcements {
        bfd: bfd.collect(),
        l2: l2::build_orders(cluster, &here, carried, &advertisements, leaving),
        // Set by the caller, who knows what is proven.
        bgp: bgp::BgpOrders { peers, leaving, complete: false },
        problems,
    }
}
