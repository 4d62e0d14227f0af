//! What this node is to announce, and to whom: from the objects and from what
//! its data path carries, to the orders of the speakers.
//!
//! Pure: nothing here is looked up, waited for or remembered.
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
pub use faults::faults;
pub use sharing::unshared;
pub use silence::{silence, silent};

/// Orders for all speakers of this node.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Announcements {
    pub bgp: bgp::BgpOrders,
    pub l2: link::L2Orders,
    /// The sessions with peers whose address is written down; that of an
    /// unnumbered peer begins when it is found.
    pub bfd: BTreeMap<bfd::SessionKey, bfd::Profile>,
    /// Advertisements that say different things of one route, which only the
    /// Services that there are could show: the first by name is followed.
    pub problems: Vec<Problem>,
}

/// `carried`: VIPs of Services in the data path that this director has proven
/// in the kernel, and has a usable backend for.
pub fn plan(cluster: &Cluster, me: &Identity, carried: &BTreeSet<IpAddr>, leaving: Leaving) -> Announcements {
    let here = Site::of(me, cluster);
    let advertisements = Advertisements::new(&cluster.announcing);
    let (routes, problems) = routes::routes(cluster, &here, carried, &advertisements);
    let peers = peers::peers(cluster, &here, &routes);
    // Of two that would have the same, the first by name is asked: it is the last put in.
    let bfd = peers.values().rev().filter_map(|PeerOrders { config, .. }| {
        let key = config.bfd_key(config.address()?);
        Some((key, config.bfd?))
    });
    Announcements {
        bfd: bfd.collect(),
        l2: l2::wanted(cluster, &here, carried, &advertisements, leaving),
        // Whether that is all there was before, only who has seen it proven can tell.
        bgp: bgp::BgpOrders { peers, leaving, complete: false },
        problems,
    }
}
