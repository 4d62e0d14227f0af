//! From the desired state to what the maps of this machine should hold, as
//! far as that does not depend on what they hold now: no ids, no offsets.
//!
//! Pure: the same cluster gives the same rings on every machine.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::IpAddr,
    sync::Arc,
};

use lb_common::{
    Addr,
    maps::{self, Peer, ServiceKey, backend_flags, delivery, service_flags},
    roles,
};

use crate::{
    maglev,
    model::{Backends, Cluster, DeliveryMode, Endpoint, Frontend, Node, Service},
    neigh::{NextHop, NextHops, Reach},
};

/// Who we are.
#[derive(Clone, Debug)]
pub struct Identity {
    /// `--node-name`
    pub node: Arc<str>,
    /// Bits of [`lb_common::roles`].
    pub roles: u32,
}

/// What makes two uses of a backend the same entry of `BACKENDS`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct BackendKey {
    pub addr: Addr,
    pub mode: DeliveryMode,
    pub bare: bool,
}

/// A service on this machine.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PlannedService {
    /// `namespace/name` of the Service object.
    pub name: Arc<str>,
    /// Bits of [`service_flags`].
    pub flags: u32,
    /// Who is in the ring, with weights. Empty on a machine that is no director.
    pub members: Arc<[(BackendKey, u32)]>,
    /// Slot to index of `members`.
    pub ring: Arc<[u16]>,
    /// The endpoints on this node. Empty on a machine that is no node.
    pub endpoints: Vec<maps::Endpoint>,
}

/// What the maps should hold.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Plan {
    pub peers: BTreeMap<Addr, Peer>,
    pub vips: BTreeSet<Addr>,
    pub backends: BTreeMap<BackendKey, maps::Backend>,
    pub services: BTreeMap<ServiceKey, Arc<PlannedService>>,
}

/// Rings computed before: most services share the few sets of nodes.
#[derive(Default)]
pub struct RingCache {
    rings: HashMap<Vec<(String, u32)>, Arc<[u16]>>,
    used: HashMap<Vec<(String, u32)>, Arc<[u16]>>,
}

impl RingCache {
    fn ring(&mut self, members: Vec<(String, u32)>) -> Arc<[u16]> {
        if let Some(ring) = self.used.get(&members) {
            return ring.clone();
        }
        let ring = self
            .rings
            .remove(&members)
            .unwrap_or_else(|| maglev::table(&members, maglev::length_for(members.len())).into());
        self.used.insert(members, ring.clone());
        ring
    }

    /// Forget the rings that the last plan did not use.
    fn turn_over(&mut self) {
        self.rings = std::mem::take(&mut self.used);
    }
}

/// Addresses whose next hops a plan needs to know.
pub fn targets(cluster: &Cluster, me: &Identity) -> BTreeSet<IpAddr> {
    if me.roles & roles::DIRECTOR == 0 {
        return BTreeSet::new();
    }
    let nodes = cluster.nodes.values().flat_map(|node| node.addresses.iter().copied());
    let bare = cluster.services.values().flat_map(|service| match &service.backends {
        Backends::Bare(servers) => servers.as_slice(),
        Backends::Endpoints(_) => &[],
    });
    nodes.chain(bare.copied()).collect()
}

/// The plan for machine `me`.
pub fn plan(cluster: &Cluster, me: &Identity, hops: &NextHops, rings: &mut RingCache) -> Plan {
    let mut plan = Plan { peers: peers(cluster, me), ..Plan::default() };
    let own = cluster.nodes.get(&me.node).map(Arc::as_ref);
    for (frontend, service) in &cluster.services {
        let planned = planned_service(cluster, me, service, rings);
        for (key, _) in planned.members.iter() {
            plan.backends.entry(*key).or_insert_with(|| backend(key, own, hops));
        }
        plan.vips.insert(Addr::from(frontend.vip));
        plan.services.insert(service_key(frontend), Arc::new(planned));
    }
    rings.turn_over();
    plan
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

fn peers(cluster: &Cluster, me: &Identity) -> BTreeMap<Addr, Peer> {
    let mut peers = BTreeMap::new();
    for node in cluster.nodes.values() {
        let own = if node.name == me.node { roles::SELF } else { 0 };
        let director = if node.director { roles::DIRECTOR } else { 0 };
        for addr in &node.addresses {
            peers.insert(Addr::from(*addr), Peer { roles: roles::NODE | director | own });
        }
    }
    peers
}

fn planned_service(
    cluster: &Cluster,
    me: &Identity,
    service: &Service,
    rings: &mut RingCache,
) -> PlannedService {
    let is_director = me.roles & roles::DIRECTOR != 0;
    let named = if is_director { named_members(cluster, service) } else { Vec::new() };
    let ring = rings.ring(named.iter().map(|(name, _, weight)| (name.clone(), *weight)).collect());
    let bare = matches!(service.backends, Backends::Bare(_));
    PlannedService {
        name: service.name.clone(),
        flags: if bare { service_flags::BARE } else { 0 },
        members: named.into_iter().map(|(_, key, weight)| (key, weight)).collect(),
        ring,
        endpoints: local_endpoints(me, service),
    }
}

/// Name for Maglev, key and weight of everybody who can take packets for a
/// service. The weight of a node is the number of its endpoints.
fn named_members(cluster: &Cluster, service: &Service) -> Vec<(String, BackendKey, u32)> {
    let key = |addr: IpAddr, bare| BackendKey { addr: Addr::from(addr), mode: service.delivery, bare };
    match &service.backends {
        Backends::Bare(servers) => {
            servers.iter().map(|server| (server.to_string(), key(*server, true), 1)).collect()
        }
        Backends::Endpoints(endpoints) => {
            let mut weights: BTreeMap<&Arc<str>, u32> = BTreeMap::new();
            for endpoint in endpoints {
                *weights.entry(&endpoint.node).or_default() += 1;
            }
            let member = |(name, weight): (&Arc<str>, u32)| {
                let addr = cluster.nodes.get(name)?.address_like(service.frontend.vip)?;
                Some((name.to_string(), key(addr, false), weight))
            };
            weights.into_iter().filter_map(member).collect()
        }
    }
}

fn local_endpoints(me: &Identity, service: &Service) -> Vec<maps::Endpoint> {
    let Backends::Endpoints(endpoints) = &service.backends else { return Vec::new() };
    let here = |endpoint: &&Endpoint| me.roles & roles::NODE != 0 && endpoint.node == me.node;
    let entry = |endpoint: &Endpoint| maps::Endpoint {
        addr: Addr::from(endpoint.addr),
        port: endpoint.port.to_be(),
        pad: 0,
    };
    endpoints.iter().filter(here).map(entry).collect()
}

/// The entry of `BACKENDS`, without its next hop if that is not known.
fn backend(key: &BackendKey, own: Option<&Node>, hops: &NextHops) -> maps::Backend {
    let flags = if key.bare { backend_flags::BARE } else { 0 } | mode_flags(key.mode);
    let unresolved =
        maps::Backend { outer_dst: key.addr, delivery: tunnel(key.addr), flags, ..maps::Backend::default() };
    match hops.get(&IpAddr::from(key.addr)) {
        Some(Reach::Local) => maps::Backend { flags: flags | backend_flags::LOCAL, ..unresolved },
        Some(Reach::Via(hop)) => via(key, own, hop, unresolved),
        Some(Reach::Unreachable(_)) | None => unresolved,
    }
}

fn via(key: &BackendKey, own: Option<&Node>, hop: &NextHop, entry: maps::Backend) -> maps::Backend {
    let is_l2 = match key.mode {
        DeliveryMode::Auto => hop.on_link,
        DeliveryMode::L2 => true,
        DeliveryMode::Ipip => false,
    };
    // A gateway would route the packet by its VIP, straight back to a director.
    let usable = !is_l2 || hop.on_link;
    let Some(dst_mac) = hop.dst_mac.filter(|_| usable) else { return entry };
    let outer_src = Addr::from(tunnel_source(own, hop));
    let mut macs = [0; 12];
    macs[..6].copy_from_slice(&dst_mac);
    macs[6..].copy_from_slice(&hop.src_mac);
    maps::Backend {
        macs,
        ifindex: hop.ifindex,
        outer_src,
        delivery: if is_l2 { delivery::L2 } else { entry.delivery },
        flags: entry.flags | backend_flags::RESOLVED,
        mtu: u16::try_from(hop.mtu).unwrap_or(u16::MAX),
        outer_sum: maps::Backend::outer_sum(&outer_src, &entry.outer_dst),
        ..entry
    }
}

/// Our own address as the nodes know it, so that they accept the tunnel; the
/// one the kernel would take if no Node object describes us.
fn tunnel_source(own: Option<&Node>, hop: &NextHop) -> IpAddr {
    let same_family = |addr: &&IpAddr| addr.is_ipv4() == hop.source.is_ipv4();
    own.and_then(|node| node.addresses.iter().find(same_family)).copied().unwrap_or(hop.source)
}

fn tunnel(to: Addr) -> u8 {
    if to.is_v4() { delivery::IPIP4 } else { delivery::IPIP6 }
}

fn mode_flags(mode: DeliveryMode) -> u8 {
    match mode {
        DeliveryMode::Auto => 0,
        DeliveryMode::L2 => backend_flags::FORCED_L2,
        DeliveryMode::Ipip => backend_flags::FORCED_IPIP,
    }
}

impl BackendKey {
    /// The key of an entry that was found in the kernel.
    pub fn of(backend: &maps::Backend) -> Self {
        let mode = match backend.flags & (backend_flags::FORCED_L2 | backend_flags::FORCED_IPIP) {
            backend_flags::FORCED_L2 => DeliveryMode::L2,
            backend_flags::FORCED_IPIP => DeliveryMode::Ipip,
            _ => DeliveryMode::Auto,
        };
        Self { addr: backend.outer_dst, mode, bare: backend.flags & backend_flags::BARE != 0 }
    }
}

#[cfg(test)]
mod tests;
