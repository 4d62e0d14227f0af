//! Announcements: the VIPs that Services want announced, and where to announce them.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::Arc,
    time::Duration,
};

use ipnet::{IpNet, Ipv4Subnets, Ipv6Subnets};
use k8s_openapi::jiff::Timestamp;

use super::{Labels, Selectors};
use crate::protocols::{
    bfd,
    bgp::{
        Attributes, LargeCommunity, Remote, RemoteAs,
        config::{Families, Password},
    },
};

/// The objects of Trigon's own kinds, checked; each under its name.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Announcing {
    pub pools: BTreeMap<Arc<str>, Arc<Pool>>,
    pub communities: BTreeMap<Arc<str>, Arc<Communities>>,
    pub profiles: BTreeMap<Arc<str>, Arc<bfd::Profile>>,
    pub peers: BTreeMap<Arc<str>, Arc<BgpPeer>>,
    pub bgp: BTreeMap<Arc<str>, Arc<BgpAdvertisement>>,
    pub l2: BTreeMap<Arc<str>, Arc<L2Advertisement>>,
}

impl Announcing {
    /// Is there no advertisement? Then Trigon announces nothing: something else provides the routes.
    pub fn is_unused(&self) -> bool {
        self.bgp.is_empty() && self.l2.is_empty()
    }
}

/// Addresses from the first to the last, both included, of one family.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct AddressRange {
    pub first: IpAddr,
    pub last: IpAddr,
}

impl AddressRange {
    pub fn contains(&self, address: IpAddr) -> bool {
        self.first.is_ipv4() == address.is_ipv4() && (self.first..=self.last).contains(&address)
    }

    /// The length of the largest prefix that is in it.
    pub fn largest_prefix_length(&self) -> u8 {
        let lengths = match (self.first, self.last) {
            (IpAddr::V4(first), IpAddr::V4(last)) => {
                Ipv4Subnets::new(first, last, 0).map(|net| net.prefix_len()).min()
            }
            (IpAddr::V6(first), IpAddr::V6(last)) => {
                Ipv6Subnets::new(first, last, 0).map(|net| net.prefix_len()).min()
            }
            _ => None,
        };
        lengths.unwrap_or_default()
    }

    /// Are all addresses of a prefix in it?
    pub fn contains_prefix(&self, net: &IpNet) -> bool {
        self.contains(net.network()) && self.contains(net.broadcast())
    }

    /// The shortest prefix length such that no prefix of this length around one of
    /// its addresses goes beyond the range.
    pub fn shortest_aggregation_length(&self) -> u8 {
        let stays = |length: &u8| {
            let nets = [self.first, self.last].map(|end| IpNet::new(end, *length));
            nets.iter().all(|net| net.as_ref().is_ok_and(|net| self.contains_prefix(net)))
        };
        let most = if self.first.is_ipv4() { 32 } else { 128 };
        (0..most).find(stays).unwrap_or(most)
    }

    pub fn overlaps(&self, other: &Self) -> bool {
        self.first.is_ipv4() == other.first.is_ipv4() && self.first <= other.last && other.first <= self.last
    }
}

/// An `AddressPool`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pool {
    pub labels: Labels,
    /// In the order of `spec.addresses`.
    pub ranges: Vec<AddressRange>,
}

/// The communities of a `Community` object, by name.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Communities {
    pub standard: BTreeMap<String, u32>,
    pub large: BTreeMap<String, LargeCommunity>,
}

/// A `BgpPeer`: all of a session but what each node adds of its own.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BgpPeer {
    pub nodes: Selectors,
    pub local_as: u32,
    pub remote_as: RemoteAs,
    pub remote: Remote,
    pub port: u16,
    pub source: Option<IpAddr>,
    /// None: each node has its own.
    pub router_id: Option<Ipv4Addr>,
    pub hold_time: Duration,
    pub keepalive: Option<Duration>,
    pub connect_retry: Duration,
    pub passive: bool,
    pub multihop: bool,
    pub ttl_security: Option<u8>,
    pub password: Option<Password>,
    pub graceful_restart: Option<Duration>,
    pub families: Families,
    pub next_hop_v4: Option<Ipv4Addr>,
    pub next_hop_v6: Option<Ipv6Addr>,
    pub bfd: Option<bfd::Profile>,
}

impl BgpPeer {
    /// Remote, port and source address: a node has at most one session for each of these.
    pub fn endpoint_key(&self) -> (&Remote, u16, Option<IpAddr>) {
        (&self.remote, self.port, self.source)
    }

    /// Is it one of these addresses, at this port?
    pub fn is_at(&self, addresses: &[IpAddr], port: u16) -> bool {
        let Remote::Address { address, .. } = &self.remote else { return false };
        self.port == port && addresses.contains(address)
    }
}

/// The pools whose VIPs an advertisement announces.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct PoolChoice {
    pub names: BTreeSet<Arc<str>>,
    /// Pools chosen in addition to `names`. Unlike elsewhere, an empty list chooses no
    /// pool if there are names.
    pub selectors: Selectors,
}

impl PoolChoice {
    /// All VIPs, also those in no pool?
    pub fn is_everything(&self) -> bool {
        self.names.is_empty() && self.selectors.is_everything()
    }

    /// Does it choose the VIPs of this pool?
    pub fn contains(&self, name: &str, pool: &Pool) -> bool {
        self.is_everything()
            || self.names.contains(name)
            || (!self.selectors.is_everything() && self.selectors.matches(&pool.labels))
    }
}

/// A `BgpAdvertisement`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BgpAdvertisement {
    /// `namespace/name`
    pub full_name: Arc<str>,
    /// Prefix lengths to announce: 32 and 128 for the VIPs themselves.
    pub length_v4: u8,
    pub length_v6: u8,
    pub attributes: Arc<Attributes>,
    pub pools: PoolChoice,
    pub nodes: Selectors,
    pub services: Selectors,
    /// None: all. Names without a peer have no effect.
    pub peers: Option<BTreeSet<Arc<str>>>,
}

impl BgpAdvertisement {
    /// The length to announce in the family of `address`.
    pub fn length_for(&self, address: IpAddr) -> u8 {
        if address.is_ipv4() { self.length_v4 } else { self.length_v6 }
    }

    /// The first range of the pool that an announced prefix would go beyond, if any:
    /// the prefix would contain addresses that are not in the pool.
    pub fn first_exceeded_range<'a>(&self, pool: &'a Pool) -> Option<&'a AddressRange> {
        pool.ranges.iter().find(|range| range.shortest_aggregation_length() > self.length_for(range.first))
    }

    /// The first attribute of which a route has only one value and which differs from
    /// that of `other`: the field, and a text with both values.
    pub fn contradiction_with(&self, other: &Self) -> Option<(&'static str, String)> {
        let (one, other) = (&self.attributes, &other.attributes);
        let shown = |value: Option<u32>| value.map_or("none".to_owned(), |value| value.to_string());
        let contradiction = |field, one: Option<u32>, other: Option<u32>| {
            (one != other).then(|| (field, format!("{} contradicts {}", shown(one), shown(other))))
        };
        let prepend = |attributes: &Attributes| Some(u32::from(attributes.prepend));
        contradiction("localPref", one.local_pref, other.local_pref)
            .or_else(|| contradiction("med", one.med, other.med))
            .or_else(|| contradiction("prepend", prepend(one), prepend(other)))
    }

    /// Does it announce to the peer of this name?
    pub fn is_for_peer(&self, peer: &str) -> bool {
        self.peers.as_ref().is_none_or(|peers| peers.contains(peer))
    }
}

/// An `L2Advertisement`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct L2Advertisement {
    /// `namespace/name`
    pub full_name: Arc<str>,
    pub pools: PoolChoice,
    pub nodes: Selectors,
    pub services: Selectors,
    /// Empty: all that the agent has.
    pub interfaces: BTreeSet<Arc<str>>,
}

/// A VIP: the Services that have it, by name.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Announced {
    pub wishes: BTreeMap<Arc<str>, Arc<Wish>>,
}

impl Announced {
    /// Does any of its Services go through the data path?
    pub fn is_dsr(&self) -> bool {
        self.wishes.values().any(|wish| wish.carrier == Carrier::DataPath)
    }

    /// The names of its Services, as a text for messages.
    pub fn service_names(&self) -> String {
        let names: Vec<&str> = self.wishes.keys().map(|name| &**name).collect();
        names.join(", ")
    }
}

/// What a Service asks for the announcement of its VIPs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Wish {
    pub labels: Labels,
    pub carrier: Carrier,
    pub sharing: Sharing,
}

/// What decides whether a Service may share its VIPs with others.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Sharing {
    /// `trigon.dev/allow-shared-ip`
    pub key: Option<Arc<str>>,
    /// The Pods that it chooses.
    pub pods: Labels,
    /// When the Service was created: the older one keeps the VIP.
    pub born: Option<Timestamp>,
}

/// Who brings a Service's traffic to its Pods.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Carrier {
    /// Trigon's; the agent of each director knows whether it can serve the VIP.
    DataPath,
    /// kube-proxy (or what stands for it), on every node.
    KubeProxy {
        /// `externalTrafficPolicy: Local`: only to Pods on the same node.
        local: bool,
        /// Is any endpoint of the VIP's family ready?
        ready: bool,
        /// Nodes with such endpoints.
        nodes: BTreeSet<Arc<str>>,
    },
}
