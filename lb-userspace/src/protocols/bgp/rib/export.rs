//! How a route is announced to a peer: its attributes and its next hop.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::Arc,
};

use crate::protocols::bgp::{
    config::{Attributes, PeerConfig},
    fsm::Negotiated,
    wire::{
        Family, GRACEFUL_SHUTDOWN, MAX_MESSAGE, Message, PathAttributes, ReachableRoutes, RouteNextHop,
        Update,
    },
};

/// Our addresses on the way to a peer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LocalAddresses {
    /// Our address of the session.
    pub local: IpAddr,
    /// An IPv4 address of the interface that has `local`, for use as next hop.
    pub v4: Option<Ipv4Addr>,
    /// Likewise an IPv6 address, not link-local.
    pub v6: Option<Ipv6Addr>,
}

/// The properties of a session that decide how routes are announced.
#[derive(Clone, Debug)]
pub struct ExportSession {
    pub config: Arc<PeerConfig>,
    pub negotiated: Arc<Negotiated>,
    pub addresses: LocalAddresses,
}

/// The contents of UPDATEs besides prefixes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct ExportedPath {
    pub next_hop: RouteNextHop,
    pub attributes: PathAttributes,
    /// How many bytes of prefixes fit into such an UPDATE.
    pub room: usize,
}

/// Bytes of the longest prefix: its length and 16 bytes of address.
const LONGEST_PREFIX_BYTES: usize = 17;

impl ExportSession {
    /// The next hop and attributes of a route. An error says, for people, why it can't be
    /// announced.
    pub fn export_path(
        &self,
        family: Family,
        route: &Attributes,
        is_draining: bool,
    ) -> Result<ExportedPath, String> {
        if !self.negotiated.families.contains(&family) {
            return Err(format!("the peer does not speak {family} unicast on this session: enable it there"));
        }
        let next_hop = match family {
            Family::Ipv4 => self.next_hop_v4()?,
            Family::Ipv6 => self.next_hop_v6()?,
        };
        let attributes = self.attributes(route, is_draining);
        let empty = ReachableRoutes { next_hop, prefixes: Vec::new() };
        let message = Message::Update(Update::announce(family, empty, attributes.clone()));
        let size = message.encode(self.negotiated.four_octet_as).map_err(|error| error.to_string())?.len();
        match MAX_MESSAGE.checked_sub(size) {
            Some(room) if room >= LONGEST_PREFIX_BYTES => Ok(ExportedPath { next_hop, attributes, room }),
            _ => Err("their communities do not fit into one message: use fewer".into()),
        }
    }

    fn attributes(&self, route: &Attributes, is_draining: bool) -> PathAttributes {
        let is_internal = self.negotiated.is_internal;
        let mut communities = route.communities.clone();
        if is_draining {
            communities.insert(GRACEFUL_SHUTDOWN);
        }
        // RFC 8326, section 4.2: the lowest preference within the AS; other ASes lower theirs
        // upon the community.
        let local_pref = if is_draining { 0 } else { route.local_pref.unwrap_or(100) };
        let hops = if is_internal { 0 } else { 1 + usize::from(route.prepend) };
        PathAttributes {
            as_path: vec![self.config.local_as; hops],
            med: route.med,
            local_pref: is_internal.then_some(local_pref),
            communities,
            large_communities: route.large_communities.clone(),
            ..PathAttributes::default()
        }
    }

    fn next_hop_v4(&self) -> Result<RouteNextHop, String> {
        let own = match self.addresses.local {
            IpAddr::V4(address) => Some(address),
            IpAddr::V6(_) => None,
        };
        if let Some(address) = self.config.next_hop_v4.or(own) {
            return Ok(RouteNextHop::V4(address));
        }
        if self.negotiated.extended_next_hop {
            return self.next_hop_v6();
        }
        self.addresses.v4.map(RouteNextHop::V4).ok_or_else(|| {
            "the session runs over IPv6, our interface to the peer has no IPv4 address to be their next hop, and \
             the peer does not offer extended next hops (RFC 8950): enable these there, or set an IPv4 next hop"
                .into()
        })
    }

    fn next_hop_v6(&self) -> Result<RouteNextHop, String> {
        let only = |global| RouteNextHop::V6 { global, link_local: None };
        if let Some(address) = self.config.next_hop_v6 {
            return Ok(only(address));
        }
        match (self.addresses.local, self.addresses.v6) {
            (IpAddr::V6(local), Some(global)) if local.is_unicast_link_local() => {
                Ok(RouteNextHop::V6 { global, link_local: Some(local) })
            }
            (IpAddr::V6(local), _) => Ok(only(local)),
            (IpAddr::V4(_), Some(global)) => Ok(only(global)),
            (IpAddr::V4(_), None) => {
                Err("the session runs over IPv4, and our interface to the peer has no IPv6 \
                                          address to be their next hop: give it one, or set an IPv6 next hop"
                    .into())
            }
        }
    }
}
