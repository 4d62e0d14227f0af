//! What the maps of this machine should hold, as far as that does not depend on
//! what they hold now.

use std::{collections::BTreeSet, net::IpAddr, sync::Arc, time::Instant};

use imbl::OrdMap;
use lb_common::{
    Addr,
    maps::{self, ServiceKey, Vip, service_flags},
};

use super::{policy::PlannedPolicy, ring::Ring};
use crate::objects::model::{DeliveryMode, Frontend, Protocol};

/// This machine: its name and roles, and the options that a plan depends on.
#[derive(Clone, Debug)]
pub struct Identity {
    /// `--node-name`
    pub node: Arc<str>,
    /// Bits of [`lb_common::roles`].
    pub roles: u32,
    /// As a node, does it keep former owners, and hand packets on to them?
    pub asks_former_owners: bool,
    /// The network addresses of `--bare-source-prefix`, of each family at most
    /// one: sources of tunnels to bare servers are taken from these prefixes.
    pub bare_sources: Arc<[IpAddr]>,
    /// Answer echo requests to VIPs, as a director.
    pub answer_echo: bool,
    /// The TCP port that BGP peers call (`--bgp-port`). None: they cannot.
    pub bgp_port: Option<u16>,
}

/// Uses of a backend that have the same key share one entry of `BACKENDS`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct BackendKey {
    pub addr: Addr,
    pub mode: DeliveryMode,
    pub bare: bool,
}

/// A service on this machine, or a port that its kube-proxy carries.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct PlannedService {
    /// `namespace/name` of the Service object.
    pub name: Arc<str>,
    /// Bits of [`lb_common::maps::service_flags`].
    pub flags: u32,
    /// Who is in the ring, with weights.
    pub members: Arc<[(BackendKey, u32)]>,
    /// Whom of `members` the objects give each slot to.
    pub ring: Arc<Ring>,
    /// The same, with heirs in the slots of members that look dead: the ring by
    /// which a director sends. If all look dead, it is `ring`. Of a `Local` service, a director that has endpoints
    /// is alone in it.
    pub live: Arc<Ring>,
    /// The members as other nodes reach them, in the same order. Empty on a
    /// machine that is no node or keeps no former owners, and for bare servers,
    /// which cannot be asked for flows.
    pub owners: Arc<[BackendKey]>,
    /// Of a `Local` service, those of `owners` that are directors too: who else may have flows of any slot.
    pub keepers: Arc<[BackendKey]>,
    /// The ring of all members but this node, taken for the one before this node
    /// joined, and for the last one before the agent started. Empty if this node is
    /// not in the ring, or is its only member.
    pub without_me: Arc<Ring>,
    /// The endpoints on this node that take new flows. Empty on a machine that is no node.
    pub endpoints: Vec<maps::Endpoint>,
    /// The draining endpoints on this node: they keep their flows and get no new ones.
    pub draining: Vec<maps::Endpoint>,
    pub policy: PlannedPolicy,
    /// [`maps::Service::mss`]
    pub mss: u32,
}

impl PlannedService {
    /// A port of the Service `name` that kube-proxy carries, beside others that are in the data path.
    pub fn passed(name: &Arc<str>) -> Self {
        Self { name: Arc::clone(name), flags: service_flags::PASS, ..Self::default() }
    }

    /// Is it one?
    pub fn is_passed(&self) -> bool {
        self.flags & service_flags::PASS != 0
    }
}

/// What the maps should hold. Cheap to copy: its maps share what is the same.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Plan {
    /// Does this machine send packets to backends?
    pub is_director: bool,
    /// Bits of [`lb_common::roles`], by the addresses of nodes.
    pub peers: OrdMap<Addr, u32>,
    pub vips: OrdMap<Addr, Vip>,
    pub backends: OrdMap<BackendKey, maps::Backend>,
    /// The members of all rings, and of how many each is one.
    pub members: OrdMap<BackendKey, usize>,
    /// Backends whose next hops were not looked up yet: their entries stay as they are, and they
    /// are in no ring that they are new in.
    pub waiting: BTreeSet<BackendKey>,
    /// Services that are not planned because all of their backends wait.
    pub held: usize,
    pub services: OrdMap<ServiceKey, Arc<PlannedService>>,
    /// When to plan again, since members or weights of some rings wait until then.
    pub due: Option<Instant>,
}

/// The key of `SERVICES`.
pub fn service_key(frontend: &Frontend) -> ServiceKey {
    ServiceKey {
        addr: Addr::from(frontend.vip),
        port: frontend.port.to_be(),
        protocol: frontend.protocol.number(),
        pad: 0,
    }
}

/// What has this key. None: no agent makes such a key.
pub fn frontend(key: &ServiceKey) -> Option<Frontend> {
    let protocol =
        [Protocol::Tcp, Protocol::Udp].into_iter().find(|protocol| protocol.number() == key.protocol)?;
    Some(Frontend { vip: key.addr.into(), port: u16::from_be(key.port), protocol })
}
