//! Where packets leave this machine for the rest of the world: the devices of its default routes.

use std::collections::BTreeSet;

use anyhow::{Context, Error, bail, ensure};
use netlink_packet_route::{
    AddressFamily,
    route::{RouteAttribute, RouteHeader, RouteMessage, RouteType},
};

use super::{netlink::Netlink, routing::Links, vlan};

/// The names of the Ethernet devices by which the default routes of both families leave at this moment. An error says
/// why there are none.
///
/// The socket belongs to the network namespace of the thread that first polls the future.
pub async fn find_uplinks() -> anyhow::Result<Vec<String>> {
    ask_kernel(read_uplinks).await
}

/// Those of these links that are ports of a bond, a bridge or the like, which takes what they receive. A port of a VRF is a link
/// as any other.
pub async fn find_ports(names: &[String]) -> anyhow::Result<BTreeSet<String>> {
    ask_kernel(async |kernel: &Netlink| {
        let mut ports = BTreeSet::new();
        for name in names {
            if kernel.is_port(name).await? {
                ports.insert(name.clone());
            }
        }
        Ok(ports)
    })
    .await
}

async fn ask_kernel<T>(ask: impl AsyncFnOnce(&Netlink) -> anyhow::Result<T>) -> anyhow::Result<T> {
    let (kernel, connection) = Netlink::open().context("cannot open a netlink socket")?;
    tokio::select! {
        biased;
        () = connection => bail!("the netlink socket has failed"),
        result = ask(&kernel) => result,
    }
}

async fn read_uplinks(kernel: &Netlink) -> anyhow::Result<Vec<String>> {
    let mut interfaces = BTreeSet::new();
    for family in [AddressFamily::Inet, AddressFamily::Inet6] {
        interfaces.extend(default_interfaces(&kernel.read_routes(family).await?));
    }
    ensure!(!interfaces.is_empty(), "there is no default route");
    let mut links = Links::new();
    for interface in &interfaces {
        kernel.read_links(*interface, &mut links).await?;
    }
    device_names(&interfaces, &links)
}

/// The interfaces of one family's default routes: of those in the main table that the kernel prefers, all.
fn default_interfaces(routes: &[RouteMessage]) -> BTreeSet<u32> {
    let defaults: Vec<_> = routes.iter().filter(|route| is_default(&route.header)).collect();
    let best = defaults.iter().map(|route| metric(route)).min();
    let preferred = defaults.into_iter().filter(|route| Some(metric(route)) == best);
    preferred.flat_map(|route| &route.attributes).flat_map(attribute_interfaces).collect()
}

fn is_default(header: &RouteHeader) -> bool {
    header.destination_prefix_length == 0
        && header.kind == RouteType::Unicast
        && header.table == RouteHeader::RT_TABLE_MAIN
}

/// 0, the best, is left out of messages.
fn metric(route: &RouteMessage) -> u32 {
    let metric = |attribute: &RouteAttribute| match attribute {
        RouteAttribute::Priority(metric) => Some(*metric),
        _ => None,
    };
    route.attributes.iter().find_map(metric).unwrap_or_default()
}

fn attribute_interfaces(attribute: &RouteAttribute) -> Vec<u32> {
    match attribute {
        RouteAttribute::Oif(interface) => vec![*interface],
        RouteAttribute::MultiPath(hops) => hops.iter().map(|hop| hop.interface_index).collect(),
        _ => Vec::new(),
    }
}

/// Of the devices below VLANs: there XDP sees the packets, and writes the tags. Tunnels are left out: VIPs do not come by
/// them.
fn device_names(interfaces: &BTreeSet<u32>, links: &Links) -> anyhow::Result<Vec<String>> {
    let devices = interfaces.iter().map(|interface| vlan::resolve_device(*interface, links));
    let devices = devices.map(|resolved| resolved.map(|(device, _)| device));
    let devices: BTreeSet<u32> = devices.collect::<Result<_, _>>().map_err(Error::msg)?;
    let link = |device: &u32| links.get(device).context("the interface of a default route has gone");
    let links: Vec<_> = devices.iter().map(link).collect::<Result<_, _>>()?;
    let ethernet = links.into_iter().filter(|link| link.mac.is_some());
    let names: Vec<_> = ethernet.map(|link| link.name.clone()).collect();
    ensure!(!names.is_empty(), "the default routes leave by no Ethernet device");
    Ok(names)
}

#[cfg(test)]
mod tests;
