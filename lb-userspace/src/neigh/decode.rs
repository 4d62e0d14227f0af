//! Turns netlink messages into routes, links and neighbours. Pure.

use std::{io, net::IpAddr};

use netlink_packet_route::{
    link::{
        InfoData, InfoKind, InfoPortKind, InfoVlan, LinkAttribute, LinkFlags, LinkInfo, LinkLayerType,
        LinkMessage,
    },
    neighbour::{
        NeighbourAddress, NeighbourAttribute, NeighbourExtFlags, NeighbourFlags, NeighbourMessage,
        NeighbourState,
    },
    route::{RouteAddress, RouteAttribute, RouteLwEnCapType, RouteMessage, RouteMetric, RouteType, RouteVia},
};

use super::{
    next_hop::Mac,
    routing::{Link, Neighbour, NeighbourKey, Route},
    tag::{Tag, Vlan},
};

/// The kernel's answer to a lookup of `target`.
pub fn route(target: IpAddr, message: &RouteMessage) -> Route {
    match message.header.kind {
        RouteType::Unicast => unicast_route(target, message),
        RouteType::Local | RouteType::Anycast => Route::Local,
        RouteType::Broadcast | RouteType::Multicast => {
            Route::None("it is a broadcast or multicast address".into())
        }
        RouteType::BlackHole => rejecting_route("blackhole"),
        RouteType::Unreachable => rejecting_route("unreachable"),
        RouteType::Prohibit => rejecting_route("prohibit"),
        RouteType::Throw => rejecting_route("throw"),
        other => rejecting_route(&format!("{other:?}")),
    }
}

/// The kernel's refusal of a lookup. For a blackhole or a prohibit route, an IPv4
/// lookup fails with an error code where an IPv6 lookup returns the route's type.
pub fn no_route(error: &io::Error) -> Route {
    match error.raw_os_error() {
        Some(libc::ENETUNREACH) => Route::None("there is no route to it".into()),
        Some(libc::EHOSTUNREACH) => rejecting_route("unreachable"),
        Some(libc::EACCES) => rejecting_route("prohibit"),
        Some(libc::EINVAL) => rejecting_route("blackhole"),
        _ => Route::None(format!("the kernel finds no route to it: {error}")),
    }
}

fn rejecting_route(kind: &str) -> Route {
    Route::None(format!("the route to it is of type {kind}"))
}

fn unicast_route(target: IpAddr, message: &RouteMessage) -> Route {
    let (mut oif, mut source, mut gateway, mut mtu) = (None, None, None, None);
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Oif(index) => oif = Some(*index),
            RouteAttribute::PrefSource(address) => source = route_address(address),
            RouteAttribute::Gateway(address) => gateway = route_address(address),
            RouteAttribute::Via(RouteVia::Inet(address)) => gateway = Some((*address).into()),
            RouteAttribute::Via(RouteVia::Inet6(address)) => gateway = Some((*address).into()),
            RouteAttribute::Metrics(metrics) => mtu = metrics.iter().find_map(route_mtu),
            RouteAttribute::EncapType(kind) if *kind != RouteLwEnCapType::None => {
                return Route::None(format!("the route to it encapsulates ({kind:?})"));
            }
            _ => {}
        }
    }
    match oif {
        // For an IPv6 target on the link, some kernels name the target as its own gateway.
        Some(ifindex) => {
            Route::Via { ifindex, source, gateway: gateway.filter(|gateway| *gateway != target), mtu }
        }
        None => Route::None("the route to it has no interface".into()),
    }
}

fn route_address(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(address) => Some((*address).into()),
        RouteAddress::Inet6(address) => Some((*address).into()),
        _ => None,
    }
}

fn route_mtu(metric: &RouteMetric) -> Option<u32> {
    match metric {
        RouteMetric::Mtu(mtu) if *mtu > 0 => Some(*mtu),
        _ => None,
    }
}

/// A link by its index; None if the message lacks a name or an MTU.
pub fn link(message: &LinkMessage) -> Option<(u32, Link)> {
    let (mut name, mut mtu, mut mac, mut below, mut tag, mut is_elsewhere) =
        (None, None, None, None, None, false);
    let mut controller = None;
    for attribute in &message.attributes {
        match attribute {
            LinkAttribute::IfName(text) => name = Some(text.clone()),
            LinkAttribute::Mtu(bytes) => mtu = Some(*bytes),
            LinkAttribute::Address(bytes) => mac = ethernet_address(bytes),
            LinkAttribute::Link(ifindex) => below = Some(*ifindex),
            LinkAttribute::LinkNetNsId(_) => is_elsewhere = true,
            LinkAttribute::LinkInfo(info) => tag = vlan_tag(info),
            LinkAttribute::Controller(ifindex) => controller = Some(*ifindex),
            _ => {}
        }
    }
    let header = &message.header;
    let link = Link {
        name: name?,
        mtu: mtu?,
        up: header.flags.contains(LinkFlags::Up),
        running: header.flags.contains(LinkFlags::Running),
        mac: mac.filter(|_| header.link_layer_type == LinkLayerType::Ether),
        vlan: tag.map(|tag| Vlan { below: below.filter(|_| !is_elsewhere), tag }),
        // 0: it has left.
        controller: controller.filter(|ifindex| *ifindex != 0),
    };
    Some((header.index, link))
}

/// Is the link a port of something that takes what it receives: of a bond or a bridge, but not of a VRF?
pub fn is_port(message: &LinkMessage) -> bool {
    let infos = message.attributes.iter().filter_map(|attribute| match attribute {
        LinkAttribute::LinkInfo(infos) => Some(infos),
        _ => None,
    });
    infos.flatten().any(|info| matches!(info, LinkInfo::PortKind(kind) if *kind != InfoPortKind::Vrf))
}

/// The tag of a VLAN device; None if the link is not a VLAN device.
fn vlan_tag(info: &[LinkInfo]) -> Option<Tag> {
    let is_vlan = |info: &LinkInfo| matches!(info, LinkInfo::Kind(InfoKind::Vlan));
    let data = info.iter().find_map(|info| match info {
        LinkInfo::Data(InfoData::Vlan(data)) => Some(data),
        _ => None,
    });
    let (mut kind, mut id) = (0x8100, None);
    for attribute in data.filter(|_| info.iter().any(is_vlan))? {
        match attribute {
            InfoVlan::Id(number) => id = Some(*number),
            InfoVlan::Protocol(protocol) => kind = u16::from(*protocol),
            _ => {}
        }
    }
    Some(Tag { kind, id: id? })
}

/// A neighbour; None if its address is not an IP address (as in a bridge's table), or if it is
/// this machine that answers for it.
pub fn neighbour(message: &NeighbourMessage) -> Option<(NeighbourKey, Neighbour)> {
    let header = &message.header;
    if header.flags.contains(NeighbourFlags::Proxy) {
        return None;
    }
    let (mut address, mut mac, mut managed) = (None, None, false);
    for attribute in &message.attributes {
        match attribute {
            NeighbourAttribute::Destination(NeighbourAddress::Inet(ip)) => address = Some((*ip).into()),
            NeighbourAttribute::Destination(NeighbourAddress::Inet6(ip)) => address = Some((*ip).into()),
            NeighbourAttribute::LinkLayerAddress(bytes) => mac = ethernet_address(bytes),
            NeighbourAttribute::ExtFlags(flags) => managed = flags.contains(NeighbourExtFlags::Managed),
            _ => {}
        }
    }
    let fixed = matches!(header.state, NeighbourState::Permanent | NeighbourState::Noarp);
    let neighbour = Neighbour {
        mac: mac.filter(|_| is_usable(header.state)),
        tended: fixed || managed || header.flags.contains(NeighbourFlags::ExtLearned),
    };
    Some((NeighbourKey { ifindex: header.ifindex, address: address? }, neighbour))
}

/// Would the kernel itself send to the MAC address of an entry in `state`?
fn is_usable(state: NeighbourState) -> bool {
    use NeighbourState::*;
    matches!(state, Reachable | Stale | Delay | Probe | Permanent | Noarp)
}

fn ethernet_address(bytes: &[u8]) -> Option<Mac> {
    bytes.try_into().ok()
}

#[cfg(test)]
mod tests;
