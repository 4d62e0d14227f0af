//! Makes a next hop of route, link and neighbour. Pure.

use std::{collections::BTreeMap, net::IpAddr};

use super::{
    link_fault::LinkFault,
    next_hop::{NextHop, Reach},
    routing::{Links, NeighbourKey, Neighbours, Route},
    vlan,
};

/// The kernel's state as far as it matters here, read in one go.
#[derive(Default, Debug)]
pub struct Routing {
    pub routes: BTreeMap<IpAddr, Route>,
    pub links: Links,
    pub neighbours: Neighbours,
}

/// The next hop that `route` to `target` leads to, with all that is needed to write
/// the Ethernet header.
pub fn assemble_next_hop(target: IpAddr, route: &Route, links: &Links, neighbours: &Neighbours) -> Reach {
    let (ifindex, source, gateway, mtu) = match route {
        Route::Local => return Reach::Local,
        Route::None(reason) => return Reach::Unreachable(reason.clone()),
        Route::Via { ifindex, source, gateway, mtu } => (*ifindex, *source, *gateway, *mtu),
    };
    let Some(link) = links.get(&ifindex) else {
        return Reach::Unreachable(format!("its interface (index {ifindex}) is gone"));
    };
    let name = &link.name;
    if let Some(fault) = LinkFault::of(link) {
        return Reach::Unreachable(format!("interface {name} {fault}"));
    }
    let Some(src_mac) = link.mac else {
        return Reach::Unreachable(format!("interface {name} has no Ethernet addresses"));
    };
    let Some(source) = source else {
        let family = if target.is_ipv4() { "IPv4" } else { "IPv6" };
        return Reach::Unreachable(format!("there is no usable {family} address to send from"));
    };
    let (device, tags) = match vlan::resolve_device(ifindex, links) {
        Ok(resolved) => resolved,
        Err(reason) => return Reach::Unreachable(reason),
    };
    let hop = NeighbourKey { ifindex, address: gateway.unwrap_or(target) };
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
        is_silent: false,
    })
}

#[cfg(test)]
mod tests;
