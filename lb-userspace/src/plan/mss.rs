//! The MSS that a node offers, so that clients' segments fit the path to the node.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use lb_common::{Addr, mtu, roles};

use super::planned::Identity;
use crate::{
    neigh::{NextHops, Reach},
    objects::model::Cluster,
};

/// In bytes, by the family of a VIP; 0 to leave it to the endpoints.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Mss {
    v4: u32,
    v6: u32,
}

impl Mss {
    /// What fits the paths between this node and all others, on which packets
    /// may be handed on. 0 if no path is known, or this machine is no node.
    pub fn new(cluster: &Cluster, me: &Identity, hops: &NextHops) -> Self {
        let like = |any| if me.roles & roles::NODE != 0 { smallest_mss(cluster, me, hops, any) } else { 0 };
        Self { v4: like(Ipv4Addr::UNSPECIFIED.into()), v6: like(Ipv6Addr::UNSPECIFIED.into()) }
    }

    pub fn for_vip(&self, vip: IpAddr) -> u32 {
        if vip.is_ipv4() { self.v4 } else { self.v6 }
    }
}

fn smallest_mss(cluster: &Cluster, me: &Identity, hops: &NextHops, any: IpAddr) -> u32 {
    let others = cluster.nodes.values().filter(|node| node.name != me.node);
    let fitting = others.filter_map(|node| {
        let addr = node.address_like(any)?;
        let Some(Reach::Via(hop)) = hops.get(&addr) else { return None };
        let room = u16::try_from(hop.mtu).unwrap_or(u16::MAX);
        Some(mtu::fitting(room.saturating_sub(mtu::handed_overhead(&Addr::from(addr))), any.is_ipv4()))
    });
    // IP and TCP, without options (RFC 9293 section 3.7.1).
    let headers = if any.is_ipv4() { 20 + 20 } else { 40 + 20 };
    fitting.min().map_or(0, |len| u32::from(len) - headers)
}
