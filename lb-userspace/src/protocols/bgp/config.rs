//! The orders of a speaker, with all references resolved.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::Arc,
    time::Duration,
};

use ipnet::IpNet;
use serde::Serialize;

use crate::protocols::bfd;

/// The TCP port of BGP.
pub const PORT: u16 = 179;

/// All that a speaker is to do; passed anew whenever anything changes.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct BgpOrders {
    /// Peers by the name of their `BgpPeer` object.
    pub peers: BTreeMap<Arc<str>, PeerOrders>,
    /// The routes include all that an earlier agent announced and that are to stay. True only
    /// after proof: it makes us send End-of-RIB (RFC 4724), upon which peers drop routes that
    /// they kept over a graceful restart and were not told again.
    pub complete: bool,
    /// Which step of draining or stopping the agent has reached.
    pub leaving: Leaving,
}

/// A peer and the routes to announce to it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PeerOrders {
    /// A change of any of this resets the session, but for BFD's timers. Nothing else resets it.
    pub config: Arc<PeerConfig>,
    pub routes: Arc<Routes>,
}

/// The steps of leaving gracefully (RFC 8326).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Leaving {
    #[default]
    No,
    /// Every route carries GRACEFUL_SHUTDOWN, and local preference 0 within the AS.
    Draining,
    /// All routes are withdrawn; sessions stay.
    Withdrawn,
    /// Sessions are ended by Cease, Administrative Shutdown (RFC 9003 message: "drained"), and
    /// stay down.
    Closed,
}

/// The routes to announce to a peer: prefixes with their attributes.
pub type Routes = BTreeMap<IpNet, Arc<Attributes>>;

/// Attributes of a route, as in a `BgpAdvertisement`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize)]
pub struct Attributes {
    pub communities: BTreeSet<u32>,
    pub large_communities: BTreeSet<LargeCommunity>,
    /// LOCAL_PREF to peers of our own AS; 100 if none (RFC 4271, 5.1.5).
    pub local_pref: Option<u32>,
    /// MULTI_EXIT_DISC
    pub med: Option<u32>,
    /// How many times more our AS stands in the path, towards other ASes.
    pub prepend: u8,
}

/// RFC 8092
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
pub struct LargeCommunity(pub u32, pub u32, pub u32);

/// Where a peer is.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
pub enum Remote {
    /// A link-local IPv6 address needs an interface.
    Address { address: IpAddr, interface: Option<Arc<str>> },
    /// Unnumbered: the router that is heard on this interface, by a router advertisement or by
    /// BGP from a link-local address.
    Interface(Arc<str>),
}

impl PeerConfig {
    /// Can a session go on with these parameters? BFD takes changed timers without a reset.
    pub fn is_same_session(&self, other: &Self) -> bool {
        self.bfd.is_some() == other.bfd.is_some() && Self { bfd: other.bfd, ..self.clone() } == *other
    }

    /// Do both configurations mean the same router, and does it see the same peer in us?
    pub fn is_same_peer(&self, other: &Self) -> bool {
        let who = |config: &Self| (config.local_as, config.remote.clone(), config.port, config.source);
        who(self) == who(other)
    }

    /// The BFD session that this session depends on. `remote`: the peer's address.
    pub fn bfd_key(&self, remote: IpAddr) -> bfd::SessionKey {
        let interface = match &self.remote {
            Remote::Address { interface, .. } => interface.clone(),
            Remote::Interface(interface) => Some(interface.clone()),
        };
        bfd::SessionKey { remote, local: self.source, interface, multihop: self.multihop }
    }

    /// The peer's address; None if it has to be discovered.
    pub fn address(&self) -> Option<IpAddr> {
        match self.remote {
            Remote::Address { address, .. } => Some(address),
            Remote::Interface(_) => None,
        }
    }
}

/// The AS that a peer must be of.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub enum RemoteAs {
    Number(u32),
    /// Our own AS.
    Internal,
    /// Any AS but our own.
    External,
}

/// The parameters of a session.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PeerConfig {
    pub local_as: u32,
    pub remote_as: RemoteAs,
    pub remote: Remote,
    /// TCP port of the peer.
    pub port: u16,
    /// TCP source address; None: the kernel chooses.
    pub source: Option<IpAddr>,
    /// BGP identifier; not 0.0.0.0 (RFC 6286).
    pub router_id: Ipv4Addr,
    /// Offered hold time in whole seconds: 0 (the session never expires) or at least 3.
    pub hold_time: Duration,
    /// None: a third of the negotiated hold time.
    pub keepalive: Option<Duration>,
    pub connect_retry: Duration,
    /// Only accept connections, never make one.
    pub passive: bool,
    /// eBGP over routers: packets are sent with a TTL of 255 instead of 1.
    pub multihop: bool,
    /// GTSM (RFC 5082): accept only packets that have crossed fewer routers than this; 1: the
    /// peer is on the same link.
    pub ttl_security: Option<u8>,
    /// TCP MD5 (RFC 2385), 1 to 80 bytes.
    pub password: Option<Password>,
    /// Restart time offered, in whole seconds up to 4095 (RFC 4724); none: no graceful restart.
    pub graceful_restart: Option<Duration>,
    /// Address families to announce. Both go over sessions of either family; IPv4 routes over
    /// IPv6 may have IPv6 next hops (RFC 8950).
    pub families: Families,
    /// The next hop of IPv4 routes; None: our address of the session, or of its interface.
    pub next_hop_v4: Option<Ipv4Addr>,
    /// Likewise of IPv6 routes.
    pub next_hop_v6: Option<Ipv6Addr>,
    /// The session ends when a BFD session with this profile goes down.
    pub bfd: Option<bfd::Profile>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Families {
    pub ipv4: bool,
    pub ipv6: bool,
}

/// A password, which `Debug` does not show.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(Arc<str>);

impl Password {
    pub fn new(text: &str) -> Self {
        Self(text.into())
    }

    pub fn bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}
