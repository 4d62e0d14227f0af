//! What a speaker is told: everything resolved, nothing left to look up.

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

/// All that a speaker is to do. It is given anew whenever anything changes.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Wanted {
    /// By the name of the `BgpPeer` object.
    pub peers: BTreeMap<Arc<str>, Peer>,
    /// What was announced before we started is among the routes by now, if it is to stay.
    /// Peers that kept it over a graceful restart drop what they were not told
    /// again (End-of-RIB, RFC 4724), so this must not be said before proof.
    pub complete: bool,
    /// The agent drains or stops: which step of it.
    pub leaving: Leaving,
}

/// A peer and what it is to be told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Peer {
    /// A change of any of this but BFD's timers resets the session, and nothing else does.
    pub config: Arc<PeerConfig>,
    pub routes: Arc<Routes>,
}

/// How far we are on the way out (RFC 8326).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Leaving {
    #[default]
    No,
    /// Every route carries GRACEFUL_SHUTDOWN, and local preference 0 within the AS.
    Draining,
    /// Nothing is announced any more; sessions stay.
    Withdrawn,
    /// Cease, Administrative Shutdown (RFC 9003 message: "drained"); stay down.
    Closed,
}

/// What to tell a peer: prefixes with their attributes.
pub type Routes = BTreeMap<IpNet, Arc<Attributes>>;

/// Of a route, as `BgpAdvertisement` writes them.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize)]
pub struct Attributes {
    pub communities: BTreeSet<u32>,
    pub large_communities: BTreeSet<LargeCommunity>,
    /// LOCAL_PREF to peers of our own AS; 100 if none (RFC 4271, 5.1.5).
    pub local_pref: Option<u32>,
    /// MULTI_EXIT_DISC
    pub med: Option<u32>,
    /// How often our AS is put before the path once more, towards other ASes.
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
    /// Unnumbered: whoever is heard on this interface (router advertisement or
    /// BGP from a link-local address).
    Interface(Arc<str>),
}

impl PeerConfig {
    /// Can a session go on with these parameters? BFD has its own, and takes them while
    /// it runs.
    pub fn is_same_session(&self, other: &Self) -> bool {
        self.bfd.is_some() == other.bfd.is_some() && Self { bfd: other.bfd, ..self.clone() } == *other
    }

    /// Is the router the same one to us, and are we to it?
    pub fn is_same_peer(&self, other: &Self) -> bool {
        let who = |config: &Self| (config.local_as, config.remote.clone(), config.port, config.source);
        who(self) == who(other)
    }

    /// The BFD session that this one depends on, once the peer's address is known.
    pub fn bfd_key(&self, remote: IpAddr) -> bfd::Key {
        let interface = match &self.remote {
            Remote::Address { interface, .. } => interface.clone(),
            Remote::Interface(interface) => Some(interface.clone()),
        };
        bfd::Key { remote, local: self.source, interface, multihop: self.multihop }
    }

    /// Where it is, if that need not be found out.
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
    /// Whatever it says, if it is our own.
    Internal,
    /// Whatever it says, if it is not our own.
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
    /// TCP source address; as routes have it if none.
    pub source: Option<IpAddr>,
    /// BGP identifier; not 0.0.0.0 (RFC 6286).
    pub router_id: Ipv4Addr,
    /// Offered hold time: whole seconds, 0 (never) or at least 3.
    pub hold_time: Duration,
    /// None: a third of the negotiated hold time.
    pub keepalive: Option<Duration>,
    pub connect_retry: Duration,
    /// Wait to be called, never call.
    pub passive: bool,
    /// eBGP over routers: a TTL of 255 instead of 1.
    pub multihop: bool,
    /// GTSM (RFC 5082): accept only packets that crossed fewer routers than this; 1: none.
    pub ttl_security: Option<u8>,
    /// TCP MD5 (RFC 2385), 1 to 80 bytes.
    pub password: Option<Password>,
    /// Restart time offered, in whole seconds up to 4095 (RFC 4724); none: no graceful restart.
    pub graceful_restart: Option<Duration>,
    /// Offer IPv4 routes with IPv6 next hops where the session runs over IPv6 (RFC 8950),
    /// and IPv6 routes over IPv4 sessions. Address families to speak of.
    pub families: Families,
    /// The next hop to tell of, per family; the session's own address if none.
    pub next_hop_v4: Option<Ipv4Addr>,
    pub next_hop_v6: Option<Ipv6Addr>,
    /// The session falls with this BFD session.
    pub bfd: Option<bfd::Profile>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Families {
    pub ipv4: bool,
    pub ipv6: bool,
}

/// Never shown.
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
