//! Entries of `BACKENDS`: how a backend is reached. Pure.

use std::{net::IpAddr, sync::Arc};

use lb_common::{
    Addr,
    maps::{self, backend_flags, delivery},
};

use super::planned::{BackendKey, Identity};
use crate::{
    neigh::{NextHop, NextHops, Reach},
    objects::model::{Cluster, DeliveryMode, Node},
};

/// The addresses that tunnels of this machine can begin at.
pub struct TunnelOrigin<'a> {
    /// The Node object of this machine.
    pub node: Option<&'a Node>,
    /// Towards bare servers: see [`super::Identity::bare_sources`].
    pub bare_sources: &'a [IpAddr],
}

impl<'a> TunnelOrigin<'a> {
    pub fn new(cluster: &'a Cluster, me: &'a Identity) -> Self {
        Self { node: cluster.nodes.get(&me.node).map(Arc::as_ref), bare_sources: &me.bare_sources }
    }

    /// The outer source address. Nodes accept tunnels from addresses of Node
    /// objects only, so it is this machine's own there; without a Node object,
    /// the one that the kernel would take. Bare servers accept any address.
    fn outer_source(&self, bare: bool, hop: &NextHop) -> IpAddr {
        let same_family = |addr: &&IpAddr| addr.is_ipv4() == hop.source.is_ipv4();
        let shared = self.bare_sources.iter().filter(|_| bare).find(same_family);
        let known = || self.node.and_then(|node| node.addresses.iter().find(same_family));
        shared.or_else(known).copied().unwrap_or(hop.source)
    }
}

/// The entry of `BACKENDS`, without its next hop if that is not known.
pub fn backend_entry(key: &BackendKey, origin: &TunnelOrigin<'_>, hops: &NextHops) -> maps::Backend {
    let unresolved = unresolved_entry(key);
    match hops.get(&IpAddr::from(key.addr)) {
        Some(Reach::Local) => maps::Backend { flags: unresolved.flags | backend_flags::LOCAL, ..unresolved },
        Some(Reach::Via(hop)) => resolved_entry(key, origin, hop, unresolved),
        Some(Reach::Unreachable(_)) | None => unresolved,
    }
}

/// The entry of an earlier agent with the next hop that its address has now. From which address,
/// and how a node is delivered to that was reached before, only objects tell: that stays.
pub fn follow_next_hop(entry: &maps::Backend, reach: &Reach) -> maps::Backend {
    use backend_flags::{LOCAL, RESOLVED, TAGGED};
    let entry = maps::Backend { flags: entry.flags & !(LOCAL | RESOLVED | TAGGED), ..*entry };
    let is_l2 = entry.delivery == delivery::L2 || BackendKey::from_entry(&entry).mode == DeliveryMode::L2;
    let hop = match reach {
        Reach::Local => return maps::Backend { flags: entry.flags | LOCAL, ..entry },
        Reach::Via(hop) if hop.on_link || !is_l2 => hop,
        Reach::Via(_) | Reach::Unreachable(_) => return entry,
    };
    let Some(resolved) = with_hop(&entry, hop) else { return entry };
    // Of a backend that was not reached before, nobody has said it.
    let is_known = entry.outer_src != Addr::default();
    let outer_src = if is_known { entry.outer_src } else { Addr::from(hop.source) };
    maps::Backend {
        outer_src,
        outer_sum: maps::Backend::outer_sum(&outer_src, &entry.outer_dst),
        delivery: if is_l2 { delivery::L2 } else { entry.delivery },
        ..resolved
    }
}

/// The entry as long as the next hop is not known.
pub fn unresolved_entry(key: &BackendKey) -> maps::Backend {
    let flags = if key.bare { backend_flags::BARE } else { 0 } | mode_flags(key.mode);
    maps::Backend { outer_dst: key.addr, delivery: tunnel_delivery(key), flags, ..maps::Backend::default() }
}

/// `entry` with its next hop; `entry` itself if the hop's MAC address is not
/// known, or if `l2` would have to pass a gateway.
fn resolved_entry(
    key: &BackendKey,
    origin: &TunnelOrigin<'_>,
    hop: &NextHop,
    entry: maps::Backend,
) -> maps::Backend {
    let is_l2 = match key.mode {
        DeliveryMode::Auto => hop.on_link,
        DeliveryMode::L2 => true,
        DeliveryMode::Ipip | DeliveryMode::Gue => false,
    };
    // A gateway would route the packet by its VIP, straight back to a director.
    let usable = !is_l2 || hop.on_link;
    let Some(resolved) = with_hop(&entry, hop).filter(|_| usable) else { return entry };
    let outer_src = Addr::from(origin.outer_source(key.bare, hop));
    maps::Backend {
        outer_src,
        outer_sum: maps::Backend::outer_sum(&outer_src, &entry.outer_dst),
        delivery: if is_l2 { delivery::L2 } else { entry.delivery },
        ..resolved
    }
}

/// `entry` by this next hop; None if its MAC address is not known.
fn with_hop(entry: &maps::Backend, hop: &NextHop) -> Option<maps::Backend> {
    let mut macs = [0; 12];
    macs[..6].copy_from_slice(&hop.dst_mac?);
    macs[6..].copy_from_slice(&hop.src_mac);
    let tags = hop.wire_tags();
    let tagged = if tags[0] == 0 { 0 } else { backend_flags::TAGGED };
    Some(maps::Backend {
        macs,
        ifindex: hop.device,
        flags: entry.flags | backend_flags::RESOLVED | tagged,
        mtu: u16::try_from(hop.mtu).unwrap_or(u16::MAX),
        tags,
        ..*entry
    })
}

/// The tunnel to a backend: the one that the Service asks for; with `auto`, GUE
/// to nodes (by its UDP ports, the fabric and the backend's queues tell flows
/// apart), and IPIP to bare servers.
fn tunnel_delivery(key: &BackendKey) -> u8 {
    let gue = key.mode == DeliveryMode::Gue || (key.mode == DeliveryMode::Auto && !key.bare);
    match (gue, key.addr.is_v4()) {
        (false, true) => delivery::IPIP4,
        (false, false) => delivery::IPIP6,
        (true, true) => delivery::GUE4,
        (true, false) => delivery::GUE6,
    }
}

fn mode_flags(mode: DeliveryMode) -> u8 {
    match mode {
        DeliveryMode::Auto => 0,
        DeliveryMode::L2 => backend_flags::FORCED_L2,
        DeliveryMode::Ipip => backend_flags::FORCED_IPIP,
        DeliveryMode::Gue => backend_flags::FORCED_GUE,
    }
}

impl BackendKey {
    /// A node, as another node hands packets on to it: by GUE, whatever services ask for.
    pub fn fellow_node(addr: Addr) -> Self {
        Self { addr, mode: DeliveryMode::Gue, bare: false }
    }

    /// The key of an entry that was found in the kernel.
    pub fn from_entry(backend: &maps::Backend) -> Self {
        use backend_flags::{FORCED_GUE, FORCED_IPIP, FORCED_L2};
        let mode = match backend.flags & (FORCED_L2 | FORCED_IPIP | FORCED_GUE) {
            FORCED_L2 => DeliveryMode::L2,
            FORCED_IPIP => DeliveryMode::Ipip,
            FORCED_GUE => DeliveryMode::Gue,
            _ => DeliveryMode::Auto,
        };
        Self { addr: backend.outer_dst, mode, bare: backend.flags & backend_flags::BARE != 0 }
    }
}
