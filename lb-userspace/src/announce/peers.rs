//! The BGP sessions of this node.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
};

use super::{carry::Site, routes::RoutesByPeer};
use crate::{
    hash::fnv1a,
    objects::model::{BgpPeer, Cluster},
    protocols::bgp::{PeerConfig, Remote, config::PeerOrders},
};

pub fn build_peer_orders(
    cluster: &Cluster,
    here: &Site<'_>,
    routes: &RoutesByPeer,
) -> BTreeMap<Arc<str>, PeerOrders> {
    let peer = |(name, routes): (&Arc<str>, &Arc<_>)| {
        let peer = cluster.announcing.peers.get(name)?;
        Some((
            Arc::clone(name),
            PeerOrders { config: Arc::new(peer_config(peer, here)), routes: Arc::clone(routes) },
        ))
    };
    routes.iter().filter_map(peer).collect()
}

fn peer_config(peer: &BgpPeer, here: &Site<'_>) -> PeerConfig {
    // A session over IPv4 has no address of its own that could be the next hop of IPv6 routes.
    let over_ipv4 = matches!(&peer.remote, Remote::Address { address, .. } if address.is_ipv4());
    let own_v6 = here.addresses.iter().find_map(|address| match address {
        IpAddr::V6(v6) if over_ipv4 => Some(*v6),
        _ => None,
    });
    PeerConfig {
        local_as: peer.local_as,
        remote_as: peer.remote_as,
        remote: peer.remote.clone(),
        port: peer.port,
        source: peer.source,
        router_id: peer.router_id.unwrap_or_else(|| default_router_id(here)),
        hold_time: peer.hold_time,
        keepalive: peer.keepalive,
        connect_retry: peer.connect_retry,
        passive: peer.passive,
        multihop: peer.multihop,
        ttl_security: peer.ttl_security,
        password: peer.password.clone(),
        graceful_restart: peer.graceful_restart,
        families: peer.families,
        next_hop_v4: peer.next_hop_v4,
        next_hop_v6: peer.next_hop_v6.or(own_v6),
        bfd: peer.bfd,
    }
}

/// The node's first IPv4 address, else a hash of its name, which hardly any other
/// node has: RFC 6286 (section 2.1) asks for a number that is not 0, and unique in the AS.
fn default_router_id(here: &Site<'_>) -> Ipv4Addr {
    let address = here.addresses.iter().find_map(|address| match address {
        IpAddr::V4(v4) => Some(*v4),
        IpAddr::V6(_) => None,
    });
    address.unwrap_or_else(|| Ipv4Addr::from((fnv1a(here.name) as u32).max(1)))
}
