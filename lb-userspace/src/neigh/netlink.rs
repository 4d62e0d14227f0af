//! Questions to the kernel's routing, link and neighbour tables (rtnetlink).

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    net::IpAddr,
};

use futures::{StreamExt, TryStreamExt, stream};
use netlink_packet_core::{
    NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_REPLACE, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload,
};
use netlink_packet_route::{
    AddressFamily,
    RouteNetlinkMessage::{self, *},
    link::{InfoKind, LinkAttribute, LinkExtentMask, LinkInfo, LinkMessage},
    neighbour::{NeighbourAttribute, NeighbourFlags, NeighbourMessage},
    route::{RouteAttribute, RouteMessage},
};

use super::{
    assemble::Routing,
    decode,
    routing::{Link, Links, NeighbourKey, Neighbours, Route},
    vlan,
};

/// How many lookups are in the socket's queue at a time.
const CONCURRENT_LOOKUPS: usize = 64;

#[derive(Debug, thiserror::Error)]
pub enum NetlinkError {
    /// The kernel answered with an error.
    #[error(transparent)]
    Refused(io::Error),
    /// The task that serves the socket has ended.
    #[error("the netlink socket is closed")]
    Closed,
}

/// A link that was asked for by its name.
pub struct NamedLink {
    pub ifindex: u32,
    pub link: Link,
    /// Index of the Ethernet device below its VLAN tags; None: it can't be found.
    pub device: Option<u32>,
}

/// A netlink socket that asks the kernel.
pub struct Netlink(rtnetlink::Handle);

impl Netlink {
    /// Opens a socket in the network namespace of the calling thread. The future serves
    /// the socket; it ends only if the socket fails.
    pub fn open() -> io::Result<(Self, impl Future<Output = ()>)> {
        let (connection, handle, _) = rtnetlink::new_connection()?;
        Ok((Self(handle), connection))
    }

    /// Reads everything that decides how `targets` are reached, and the links of `uplinks`.
    pub async fn read_routing(
        &self,
        targets: &BTreeSet<IpAddr>,
        uplinks: impl Iterator<Item = &u32>,
    ) -> Result<Routing, NetlinkError> {
        let routes: BTreeMap<_, _> = stream::iter(targets.iter().copied())
            .map(|target| async move { Ok((target, self.look_up_route(target).await?)) })
            .buffer_unordered(CONCURRENT_LOOKUPS)
            .try_collect()
            .await?;
        let mut routing = Routing { routes, ..Routing::default() };
        let interfaces: BTreeSet<_> = routing.routes.values().filter_map(route_interface).collect();
        for ifindex in interfaces {
            self.read_links(ifindex, &mut routing.links).await?;
            routing.neighbours.extend(self.read_neighbours(ifindex).await?);
        }
        for ifindex in uplinks {
            self.read_links(*ifindex, &mut routing.links).await?;
        }
        self.read_upper_links(&mut routing.links).await?;
        Ok(routing)
    }

    /// Makes the kernel look for a neighbour, or probe it if it is stale, as
    /// `ip neighbour add ADDRESS dev INTERFACE use` does. Must not be called for an entry
    /// that somebody else tends: the request clears the flags that mark the entry so.
    pub async fn nudge_neighbour(&self, hop: NeighbourKey) -> Result<(), NetlinkError> {
        let mut message = NeighbourMessage::default();
        message.header.family = address_family(hop.address);
        message.header.ifindex = hop.ifindex;
        message.header.flags = NeighbourFlags::Use;
        message.attributes.push(NeighbourAttribute::Destination(hop.address.into()));
        self.send_request(NewNeighbour(message), NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE).await.map(drop)
    }

    async fn look_up_route(&self, target: IpAddr) -> Result<Route, NetlinkError> {
        let mut message = RouteMessage::default();
        message.header.address_family = address_family(target);
        message.header.destination_prefix_length = if target.is_ipv4() { 32 } else { 128 };
        message.attributes.push(RouteAttribute::Destination(target.into()));
        Ok(match self.send_request(GetRoute(message), NLM_F_ACK).await {
            Ok(replies) => replies
                .iter()
                .find_map(|reply| match reply {
                    NewRoute(message) => Some(decode::route(target, message)),
                    _ => None,
                })
                .unwrap_or_else(|| Route::None("the kernel's answer can't be decoded".into())),
            Err(NetlinkError::Refused(error)) => decode::no_route(&error),
            Err(error) => return Err(error),
        })
    }

    /// All routes of a family, of all tables.
    pub async fn read_routes(&self, family: AddressFamily) -> Result<Vec<RouteMessage>, NetlinkError> {
        let mut message = RouteMessage::default();
        message.header.address_family = family;
        let route_message = |reply| match reply {
            NewRoute(message) => Some(message),
            _ => None,
        };
        let replies = self.send_request(GetRoute(message), NLM_F_DUMP).await?;
        Ok(replies.into_iter().filter_map(route_message).collect())
    }

    /// Reads the link, and those below it if it is a VLAN device.
    pub async fn read_links(&self, ifindex: u32, links: &mut Links) -> Result<(), NetlinkError> {
        let mut next = Some(ifindex);
        while let Some(ifindex) = next.filter(|ifindex| !links.contains_key(ifindex)) {
            links.extend(self.read_link(ifindex).await?);
            next = links.get(&ifindex).and_then(|link| link.vlan?.below);
        }
        Ok(())
    }

    /// Reads what may stand on links that have been read: all VLAN devices, and what links are ports of.
    async fn read_upper_links(&self, links: &mut Links) -> Result<(), NetlinkError> {
        let mut message = LinkMessage::default();
        // A kernel that has no VLAN devices tells all links.
        message.attributes.push(LinkAttribute::LinkInfo(vec![LinkInfo::Kind(InfoKind::Vlan)]));
        let found = self.request_links(message, NLM_F_DUMP).await?;
        links.extend(found.iter().filter_map(decode::link).filter(|(_, link)| link.vlan.is_some()));
        let unread = |links: &Links| {
            let mut controllers = links.values().filter_map(|link| link.controller);
            controllers.find(|controller| !links.contains_key(controller))
        };
        while let Some(controller) = unread(links) {
            let found = self.read_link(controller).await?;
            // One that has just gone.
            if found.is_empty() {
                break;
            }
            links.extend(found);
        }
        Ok(())
    }

    /// Empty if there is no such link.
    async fn read_link(&self, ifindex: u32) -> Result<Links, NetlinkError> {
        let mut message = LinkMessage::default();
        message.header.index = ifindex;
        Ok(self.request_links(message, NLM_F_ACK).await?.iter().filter_map(decode::link).collect())
    }

    /// The link of that name; None if there is none.
    pub async fn read_link_named(&self, name: &str) -> Result<Option<NamedLink>, NetlinkError> {
        let mut message = LinkMessage::default();
        message.attributes.push(LinkAttribute::IfName(name.to_owned()));
        let found = self.request_links(message, NLM_F_ACK).await?.iter().find_map(decode::link);
        let Some((ifindex, link)) = found else { return Ok(None) };
        let mut links = Links::new();
        self.read_links(ifindex, &mut links).await?;
        let device = vlan::resolve_device(ifindex, &links).ok().map(|(device, _)| device);
        Ok(Some(NamedLink { ifindex, link, device }))
    }

    /// See [`decode::is_port`]; false if there is no link of that name.
    pub async fn is_port(&self, name: &str) -> Result<bool, NetlinkError> {
        let mut message = LinkMessage::default();
        message.attributes.push(LinkAttribute::IfName(name.to_owned()));
        Ok(self.request_links(message, NLM_F_ACK).await?.iter().any(decode::is_port))
    }

    async fn request_links(
        &self,
        mut message: LinkMessage,
        flags: u16,
    ) -> Result<Vec<LinkMessage>, NetlinkError> {
        message.attributes.push(LinkAttribute::ExtMask(vec![LinkExtentMask::SkipStats]));
        let link_message = |reply| match reply {
            NewLink(message) => Some(message),
            _ => None,
        };
        match self.send_request(GetLink(message), flags).await {
            Ok(replies) => Ok(replies.into_iter().filter_map(link_message).collect()),
            Err(NetlinkError::Refused(error)) if error.raw_os_error() == Some(libc::ENODEV) => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    async fn read_neighbours(&self, ifindex: u32) -> Result<Neighbours, NetlinkError> {
        let mut message = NeighbourMessage::default();
        message.attributes.push(NeighbourAttribute::IfIndex(ifindex));
        let replies = self.send_request(GetNeighbour(message), NLM_F_DUMP).await?;
        Ok(replies
            .iter()
            .filter_map(|reply| match reply {
                NewNeighbour(message) => decode::neighbour(message),
                _ => None,
            })
            .collect())
    }

    /// Sends a request and collects the replies. `NLM_F_ACK` makes the end of an answer
    /// known even if the library can't decode the reply and leaves it out (a dump has an
    /// end mark of its own).
    async fn send_request(
        &self,
        request: RouteNetlinkMessage,
        flags: u16,
    ) -> Result<Vec<RouteNetlinkMessage>, NetlinkError> {
        let mut request = NetlinkMessage::from(request);
        request.header.flags = NLM_F_REQUEST | flags;
        let mut replies = self.0.clone().request(request).map_err(|_| NetlinkError::Closed)?;
        let mut messages = Vec::new();
        while let Some(reply) = replies.next().await {
            match reply.payload {
                NetlinkPayload::InnerMessage(message) => messages.push(message),
                NetlinkPayload::Error(error) => return Err(NetlinkError::Refused(error.to_io())),
                _ => {}
            }
        }
        Ok(messages)
    }
}

fn address_family(address: IpAddr) -> AddressFamily {
    if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 }
}

fn route_interface(route: &Route) -> Option<u32> {
    match route {
        Route::Via { ifindex, .. } => Some(*ifindex),
        Route::Local | Route::None(_) => None,
    }
}
