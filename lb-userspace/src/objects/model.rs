//! What the control plane works with: Kubernetes objects reduced to what the
//! data path needs, checked, and independent of where they came from.

mod announce;
mod selector;

use std::{collections::BTreeSet, fmt, net::IpAddr, ops::RangeInclusive, sync::Arc};

use imbl::OrdMap;
use ipnet::IpNet;
use serde::Serialize;

pub use announce::{
    AddressRange, Announced, Announcing, BgpAdvertisement, BgpPeer, Carrier, Communities, L2Advertisement,
    Pool, PoolChoice, Sharing, Wish,
};
pub use selector::{Labels, Requirement, Selector, Selectors};

/// A transport protocol that a Service port can have here.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Protocol {
    Tcp,
    Udp,
}

impl Protocol {
    /// The IANA protocol number.
    pub const fn number(self) -> u8 {
        match self {
            Self::Tcp => 6,
            Self::Udp => 17,
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        })
    }
}

/// What clients connect to.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
pub struct Frontend {
    pub vip: IpAddr,
    pub port: u16,
    pub protocol: Protocol,
}

impl Frontend {
    /// All that a VIP can have.
    pub fn all_of(vip: IpAddr) -> RangeInclusive<Self> {
        let first = Self { vip, port: 0, protocol: Protocol::Tcp };
        first..=Self { vip, port: u16::MAX, protocol: Protocol::Udp }
    }
}

impl fmt::Display for Frontend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.protocol, std::net::SocketAddr::new(self.vip, self.port))
    }
}

/// `trigon.dev/delivery`: how packets are to reach the backends.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum DeliveryMode {
    /// `l2` to a backend on the same link, else `gue` to a node and `ipip` to
    /// a bare server.
    #[default]
    Auto,
    L2,
    Ipip,
    Gue,
}

/// One Pod address and target port, on a node that runs the agent.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
pub struct Endpoint {
    /// `EndpointSlice.endpoints[].nodeName`
    pub node: Arc<str>,
    pub addr: IpAddr,
    pub port: u16,
    /// It keeps its connections and gets no new ones: it is terminating, or not ready (any more).
    pub draining: bool,
}

/// The backends of a service.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Backends {
    /// Ready and draining Pods, on nodes that run the agent. Sorted, without duplicates.
    Endpoints(Vec<Endpoint>),
    /// `trigon.dev/backends: bare`: servers that own the VIP themselves.
    /// Sorted, without duplicates.
    Bare(Vec<IpAddr>),
}

impl Backends {
    /// Does any of them take new connections?
    pub fn take_new(&self) -> bool {
        match self {
            Self::Endpoints(endpoints) => endpoints.iter().any(|endpoint| !endpoint.draining),
            Self::Bare(servers) => !servers.is_empty(),
        }
    }
}

/// `trigon.dev/health-check`: how a bare server is checked. Requests are
/// addressed to the VIP and delivered like traffic.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Check {
    /// It takes a connection to the service's port.
    Tcp,
    /// It answers a GET of this path there by a status of 2xx or 3xx.
    Http(Arc<str>),
    /// It answers an echo request.
    Icmp,
}

/// Limits on who may connect to a service and how often, and its session affinity.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Policy {
    /// `loadBalancerSourceRanges`: who may connect. Empty: everybody. Sorted,
    /// without duplicates.
    pub ranges: Vec<IpNet>,
    /// `sessionAffinity: ClientIP`: a client that was idle for at most so many
    /// seconds gets to the same endpoint again.
    pub affinity: Option<u32>,
    pub new_flows: Option<NewFlows>,
}

/// How many flows may begin in a second.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum NewFlows {
    /// `trigon.dev/new-flows-per-second`: on all machines together.
    Everywhere(u32),
    /// On this machine, as an earlier agent has programmed it.
    Here(u32),
}

/// What the maps tell of a service that an earlier agent has programmed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PinnedSettings {
    pub delivery: DeliveryMode,
    pub bare: bool,
    /// With only the ranges of the VIP's family.
    pub policy: Policy,
}

/// One (VIP, port, protocol) of a Service with `trigon.dev/dsr: "true"`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Service {
    /// `namespace/name` of the Service object.
    pub name: Arc<str>,
    pub frontend: Frontend,
    pub delivery: DeliveryMode,
    /// `externalTrafficPolicy: Local`: a director that is a node with an endpoint that takes new connections
    /// delivers all to its own.
    pub local: bool,
    pub backends: Backends,
    /// Only for bare servers. None: they all count as alive.
    pub check: Option<Check>,
    /// With only the ranges of the VIP's family.
    pub policy: Policy,
}

/// A machine of the cluster.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Node {
    pub name: Arc<str>,
    /// Where tunnels to it end: its InternalIPs, or what the annotation
    /// `trigon.dev/node-address` says. At most one of each family.
    pub addresses: Vec<IpAddr>,
    /// All that it has besides: none of them can be a VIP.
    #[serde(skip)]
    pub other_addresses: BTreeSet<IpAddr>,
    /// Has the label `trigon.dev/director`.
    pub director: bool,
    #[serde(skip)]
    pub labels: Labels,
}

impl Node {
    /// Its address in the family of `like`, else in the other one.
    pub fn address_like(&self, like: IpAddr) -> Option<IpAddr> {
        let same = self.addresses.iter().find(|a| a.is_ipv4() == like.is_ipv4());
        same.or(self.addresses.first()).copied()
    }
}

/// The desired state: everything the objects say, checked. Cheap to copy: its maps share what is the same.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Cluster {
    #[serde(serialize_with = "values")]
    pub services: OrdMap<Frontend, Arc<Service>>,
    /// What kube-proxy carries of Services that are ours, with the `namespace/name` of each.
    #[serde(skip)]
    pub passed: OrdMap<Frontend, Arc<str>>,
    #[serde(serialize_with = "entries")]
    pub nodes: OrdMap<Arc<str>, Arc<Node>>,
    /// All VIPs of Services that are ours, in the data path or not.
    #[serde(skip)]
    pub announced: OrdMap<IpAddr, Arc<Announced>>,
    /// How the VIPs are to be announced.
    #[serde(skip)]
    pub announcing: Arc<Announcing>,
}

fn values<S: serde::Serializer, K: Ord, V: Serialize>(map: &OrdMap<K, V>, to: S) -> Result<S::Ok, S::Error> {
    to.collect_seq(map.values())
}

fn entries<S: serde::Serializer, K: Ord + Serialize, V: Serialize>(
    map: &OrdMap<K, V>,
    to: S,
) -> Result<S::Ok, S::Error> {
    to.collect_map(map)
}

impl Cluster {
    /// All VIPs of services in the data path.
    pub fn vips(&self) -> BTreeSet<IpAddr> {
        self.services.keys().map(|f| f.vip).collect()
    }

    /// The Service of a port that kube-proxy carries, if its VIP has other ports in the data path.
    pub fn passed_beside_services(&self, frontend: &Frontend) -> Option<&Arc<str>> {
        let name = self.passed.get(frontend)?;
        self.services.range(Frontend::all_of(frontend.vip)).next().map(|_| name)
    }
}

/// Something wrong with an object: what, where, and what to do about it.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Problem {
    /// `Service default/web`
    pub object: String,
    /// The path of the field, as `kubectl explain` writes it: `spec.ports[0].port`.
    pub field: String,
    pub message: String,
    pub remedy: String,
    /// Kubernetes allows it, and Trigon can do nothing with it: the rest of the object is in effect. What
    /// has another problem keeps its last good version.
    pub left_out: bool,
    /// `path:line`, where the object came from a file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub location: Option<Box<str>>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(location) = &self.location {
            write!(f, "{location}: ")?;
        }
        write!(f, "{}: {}: {}; {}", self.object, self.field, self.message, self.remedy)
    }
}
