//! What a route looks like to a peer: its attributes, and where to send.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::Arc,
};

use crate::protocols::bgp::{
    config::{Attributes, PeerConfig},
    fsm::Negotiated,
    wire::{Family, GRACEFUL_SHUTDOWN, MAX_MESSAGE, Message, NextHop, PathAttributes, Reach, Update},
};

/// Our addresses on the way to a peer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Addresses {
    /// The session's own.
    pub local: IpAddr,
    /// Others of the interface that has `local`: what they are good for as next hops.
    pub v4: Option<Ipv4Addr>,
    /// Not link-local.
    pub v6: Option<Ipv6Addr>,
}

/// Between whom routes are told.
#[derive(Clone, Debug)]
pub struct Session {
    pub config: Arc<PeerConfig>,
    pub negotiated: Arc<Negotiated>,
    pub addresses: Addresses,
}

/// All that UPDATEs have besides prefixes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Path {
    pub next_hop: NextHop,
    pub attributes: PathAttributes,
    /// How many bytes of prefixes an UPDATE has room for beside them.
    pub room: usize,
}

/// The longest prefix needs as much.
const ONE_PREFIX: usize = 17;

impl Session {
    /// An error is what to tell the operator.
    pub fn path(&self, family: Family, of: &Attributes, is_draining: bool) -> Result<Path, String> {
        if !self.negotiated.families.contains(&family) {
            return Err(format!("the peer does not speak {family} unicast on this session: enable it there"));
        }
        let next_hop = match family {
            Family::Ipv4 => self.next_hop_v4()?,
            Family::Ipv6 => self.next_hop_v6()?,
        };
        let attributes = self.attributes(of, is_draining);
        let empty = Reach { next_hop, prefixes: Vec::new() };
        let message = Message::Update(Update::announce(family, empty, attributes.clone()));
        let size = message.encode(self.negotiated.four_octet_as).map_err(|error| error.to_string())?.len();
        match MAX_MESSAGE.checked_sub(size) {
            Some(room) if room >= ONE_PREFIX => Ok(Path { next_hop, attributes, room }),
            _ => Err("their communities do not fit into one message: use fewer".into()),
        }
    }

    fn attributes(&self, of: &Attributes, is_draining: bool) -> PathAttributes {
        let is_internal = self.negotiated.is_internal;
        let mut communities = of.communities.clone();
        if is_draining {
            communities.insert(GRACEFUL_SHUTDOWN);
        }
        // RFC 8326, 4.2: worst within the AS; others know it by the community.
        let local_pref = if is_draining { 0 } else { of.local_pref.unwrap_or(100) };
        let hops = if is_internal { 0 } else { 1 + usize::from(of.prepend) };
        PathAttributes {
            as_path: vec![self.config.local_as; hops],
            med: of.med,
            local_pref: is_internal.then_some(local_pref),
            communities,
            large_communities: of.large_communities.clone(),
            ..PathAttributes::default()
        }
    }

    fn next_hop_v4(&self) -> Result<NextHop, String> {
        let own = match self.addresses.local {
            IpAddr::V4(address) => Some(address),
            IpAddr::V6(_) => None,
        };
        if let Some(address) = self.config.next_hop_v4.or(own) {
            return Ok(NextHop::V4(address));
        }
        if self.negotiated.extended_next_hop {
            return self.next_hop_v6();
        }
        self.addresses.v4.map(NextHop::V4).ok_or_else(|| {
            "the session runs over IPv6, our interface to the peer has no IPv4 address to be their next hop, and \
             the peer does not offer extended next hops (RFC 8950): enable these there, or set an IPv4 next hop"
                .into()
        })
    }

    fn next_hop_v6(&self) -> Result<NextHop, String> {
        let only = |global| NextHop::V6 { global, link_local: None };
        if let Some(address) = self.config.next_hop_v6 {
            return Ok(only(address));
        }
        match (self.addresses.local, self.addresses.v6) {
            (IpAddr::V6(local), Some(global)) if local.is_unicast_link_local() => {
                Ok(NextHop::V6 { global, link_local: Some(local) })
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
