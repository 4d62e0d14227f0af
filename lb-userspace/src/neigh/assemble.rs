//! Route, link and neighbour put together. Pure.

use std::{collections::BTreeMap, net::IpAddr};

use super::{
    NextHop, NextHops, Reach,
    vlan::{self, Vlan},
};

/// The kernel's answer to "where would a packet to this address go?"
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Route {
    Local,
    Via {
        ifindex: u32,
        /// None: the kernel has no address to send from.
        source: Option<IpAddr>,
        gateway: Option<IpAddr>,
        /// Bytes of IP packet; None: the link's decides.
        mtu: Option<u32>,
    },
    /// None, and why.
    None(String),
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Link {
    pub name: String,
    /// Bytes of IP packet.
    pub mtu: u32,
    /// Administratively up.
    pub up: bool,
    /// Operational, as RFC 2863 has it: with carrier, and not dormant.
    pub running: bool,
    /// None: not an Ethernet link.
    pub mac: Option<[u8; 6]>,
    /// None: not a VLAN device.
    pub vlan: Option<Vlan>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Neighbour {
    /// None: it has not answered.
    pub mac: Option<[u8; 6]>,
    /// Someone else looks after it: it is static, or a routing daemon's, or
    /// the kernel has been told to keep it fresh.
    pub tended: bool,
}

/// A neighbour's place: its address means something on one interface only.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Hop {
    pub ifindex: u32,
    pub address: IpAddr,
}

pub type Links = BTreeMap<u32, Link>;
pub type Neighbours = BTreeMap<Hop, Neighbour>;

/// All that has been read of the kernel's state in one go.
#[derive(Default, Debug)]
pub struct View {
    pub routes: BTreeMap<IpAddr, Route>,
    pub links: Links,
    pub neighbours: Neighbours,
}

impl View {
    pub fn next_hops(&self) -> NextHops {
        let reach = |target, route| assemble(target, route, &self.links, &self.neighbours);
        self.routes.iter().map(|(target, route)| (*target, reach(*target, route))).collect()
    }

    /// The neighbours that `next_hops` need and nobody else looks after, and
    /// whether each is resolved.
    pub fn to_tend(&self, next_hops: &NextHops) -> BTreeMap<Hop, bool> {
        next_hops
            .iter()
            .filter_map(|(target, reach)| match reach {
                Reach::Via(next) => {
                    let address = next.gateway.unwrap_or(*target);
                    Some((Hop { ifindex: next.ifindex, address }, next.dst_mac.is_some()))
                }
                Reach::Local | Reach::Unreachable(_) => None,
            })
            .filter(|(hop, _)| self.neighbours.get(hop).is_none_or(|neighbour| !neighbour.tended))
            .collect()
    }
}

/// What `route` to `target` amounts to for someone who writes the Ethernet
/// header himself.
pub fn assemble(target: IpAddr, route: &Route, links: &Links, neighbours: &Neighbours) -> Reach {
    let (ifindex, source, gateway, mtu) = match route {
        Route::Local => return Reach::Local,
        Route::None(reason) => return Reach::Unreachable(reason.clone()),
        Route::Via { ifindex, source, gateway, mtu } => (*ifindex, *source, *gateway, *mtu),
    };
    let Some(link) = links.get(&ifindex) else {
        return Reach::Unreachable(format!("its interface (index {ifindex}) is gone"));
    };
    let name = &link.name;
    if !link.up {
        return Reach::Unreachable(format!("interface {name} is down"));
    }
    if !link.running {
        return Reach::Unreachable(format!("interface {name} has no carrier"));
    }
    let Some(src_mac) = link.mac else {
        return Reach::Unreachable(format!("interface {name} has no Ethernet addresses"));
    };
    let Some(source) = source else {
        let family = if target.is_ipv4() { "IPv4" } else { "IPv6" };
        return Reach::Unreachable(format!("there is no usable {family} address to send from"));
    };
    let (device, tags) = match vlan::resolve(ifindex, links) {
        Ok(resolved) => resolved,
        Err(reason) => return Reach::Unreachable(reason),
    };
    let hop = Hop { ifindex, address: gateway.unwrap_or(target) };
    Reach::Via(NextHop {
        ifindex,
        interface: name.clone(),
        device,
        tags,
        source,
        on_link: gateway.is_none(),
        gateway,
        mtu: mtu.map_or(link.mtu, |mtu| mtu.min(link.mtu)),
        src_mac,
        dst_mac: neighbours.get(&hop).and_then(|neighbour| neighbour.mac),
    })
}

#[cfg(test)]
mod tests;
