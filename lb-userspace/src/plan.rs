//! From the desired state to what the maps of this machine should hold, as
//! far as that does not depend on what they hold now: no ids, no offsets.
//!
//! Pure: the same cluster gives the same rings on every machine.

mod backend;
mod mss;
mod policy;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::IpAddr,
    sync::Arc,
    time::Instant,
};

use lb_common::{
    Addr,
    maps::{self, ServiceKey, Vip, backend_flags, service_flags, vip_flags},
    roles,
};

use crate::{
    health::{Dead, Subject},
    heirs, maglev,
    model::{Backends, Cluster, DeliveryMode, Endpoint, Frontend, Service},
    neigh::NextHops,
    pace::Pace,
};
use backend::{Origin, backend};
use mss::Mss;
use policy::Share;

pub use policy::{Policy, Range};

/// Who we are, and what we were told to do.
#[derive(Clone, Debug)]
pub struct Identity {
    /// `--node-name`
    pub node: Arc<str>,
    /// Bits of [`lb_common::roles`].
    pub roles: u32,
    /// As a node, does it keep former owners, and hand packets on to them?
    pub asks_former_owners: bool,
    /// Where the source addresses of tunnels to bare servers begin: of each
    /// family at most one.
    pub bare_sources: Arc<[IpAddr]>,
    /// Answer echo requests to VIPs, as a director.
    pub answer_echo: bool,
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
    /// Who is in the ring, with weights.
    pub members: Arc<[(BackendKey, u32)]>,
    /// Slot to index of `members`: whom the objects give the slot to.
    pub ring: Arc<[u16]>,
    /// The same with the heirs of those that look dead: what a director sends
    /// by. If all look dead, it is `ring`.
    pub live: Arc<[u16]>,
    /// The members as other nodes reach them, in the same order. Empty on a
    /// machine that is no node, and for bare servers, whom nobody can ask.
    pub owners: Arc<[BackendKey]>,
    /// The ring as it was before this node came, as far as one can tell: of
    /// the others alone. Empty if this node is not, or is alone, in the ring.
    pub without_me: Arc<[u16]>,
    /// The ready endpoints on this node. Empty on a machine that is no node.
    pub endpoints: Vec<maps::Endpoint>,
    /// Those that keep their flows and get no new ones.
    pub draining: Vec<maps::Endpoint>,
    pub policy: Policy,
    /// [`maps::Service::mss`]
    pub mss: u32,
}

/// What the maps should hold.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Plan {
    /// Does this machine send packets to backends?
    pub is_director: bool,
    /// Bits of [`roles`], by the addresses of nodes.
    pub peers: BTreeMap<Addr, u32>,
    pub vips: BTreeMap<Addr, Vip>,
    pub backends: BTreeMap<BackendKey, maps::Backend>,
    pub services: BTreeMap<ServiceKey, Arc<PlannedService>>,
    /// When to plan again: some rings are to grow then.
    pub due: Option<Instant>,
}

/// What one plan remembers for the next.
#[derive(Default)]
pub struct Memory {
    rings: RingCache,
    pace: Pace,
}

/// Rings computed before: most services share the few sets of nodes.
#[derive(Default)]
struct RingCache {
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
pub fn targets(cluster: &Cluster) -> BTreeSet<IpAddr> {
    let nodes = cluster.nodes.values().flat_map(|node| node.addresses.iter().copied());
    let bare = cluster.services.values().flat_map(|service| match &service.backends {
        Backends::Bare(servers) => servers.as_slice(),
        Backends::Endpoints(_) => &[],
    });
    nodes.chain(bare.copied()).collect()
}

/// The plan for machine `me` at this moment.
pub fn plan(
    cluster: &Cluster,
    me: &Identity,
    hops: &NextHops,
    dead: &Dead,
    memory: &mut Memory,
    now: Instant,
) -> Plan {
    let origin = Origin { node: cluster.nodes.get(&me.node).map(Arc::as_ref), bare: &me.bare_sources };
    let backends =
        if me.roles & roles::NODE != 0 { fellows(cluster, &origin, hops, dead) } else { BTreeMap::new() };
    let is_director = me.roles & roles::DIRECTOR != 0;
    let mss = Mss::new(cluster, me, hops);
    let vip = Vip { flags: if me.answer_echo { vip_flags::ECHO } else { 0 } };
    let mut plan = Plan { is_director, peers: peers(cluster, me), backends, ..Plan::default() };
    for (frontend, service) in &cluster.services {
        let mut planned = planned_service(cluster, me, service, dead, memory, now);
        if planned.flags & service_flags::BARE == 0 {
            planned.mss = mss.of(frontend.vip);
        }
        if is_director {
            for (key, _) in planned.members.iter() {
                plan.backends.entry(*key).or_insert_with(|| backend(key, &origin, hops));
            }
        }
        plan.vips.insert(Addr::from(frontend.vip), vip);
        plan.services.insert(service_key(frontend), Arc::new(planned));
    }
    memory.rings.turn_over();
    plan.due = memory.pace.turn_over();
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

fn peers(cluster: &Cluster, me: &Identity) -> BTreeMap<Addr, u32> {
    let mut peers = BTreeMap::new();
    for node in cluster.nodes.values() {
        let own = if node.name == me.node { roles::SELF } else { 0 };
        let director = if node.director { roles::DIRECTOR } else { 0 };
        for addr in &node.addresses {
            peers.insert(Addr::from(*addr), roles::NODE | director | own);
        }
    }
    peers
}

fn planned_service(
    cluster: &Cluster,
    me: &Identity,
    service: &Service,
    dead: &Dead,
    Memory { rings, pace }: &mut Memory,
    now: Instant,
) -> PlannedService {
    let mut named = named_members(cluster, service);
    let wanted = named.iter().map(|(name, _, weight)| (name.clone(), *weight)).collect();
    let admitted = pace.admit(service.frontend, wanted, now);
    named.retain_mut(|(name, _, weight)| admitted.get(name).map(|now| *weight = *now).is_some());
    let bare = matches!(service.backends, Backends::Bare(_));
    let weights = |but: Option<&str>| {
        let others = named.iter().filter(|(name, ..)| Some(name.as_str()) != but);
        others.map(|(name, _, weight)| (name.clone(), *weight)).collect::<Vec<_>>()
    };
    let ring = rings.ring(weights(None));
    let key = service_key(&service.frontend);
    let is_dead: Vec<bool> =
        named.iter().map(|(_, backend, _)| dead.contains(&Subject::of(&key, backend))).collect();
    let living =
        is_dead.contains(&true).then(|| heirs::living(&ring, |member| !is_dead[usize::from(member)]));
    let live = living.flatten().map_or_else(|| ring.clone(), Arc::from);
    let is_asked = me.roles & roles::NODE != 0 && me.asks_former_owners && !bare;
    let owners = if is_asked {
        named.iter().map(|(_, key, _)| BackendKey::fellow(key.addr)).collect()
    } else {
        Arc::default()
    };
    let is_member = is_asked && named.iter().any(|(name, ..)| **name == *me.node);
    let without_me = if is_member {
        without(&named, &me.node, &rings.ring(weights(Some(&me.node))))
    } else {
        Arc::default()
    };
    let policy = Policy::new(&service.policy, share(cluster, me, &named, bare));
    PlannedService {
        name: service.name.clone(),
        flags: policy.flags() | if bare { service_flags::BARE } else { 0 },
        members: named.into_iter().map(|(_, key, weight)| (key, weight)).collect(),
        ring,
        live,
        owners,
        without_me,
        endpoints: local_endpoints(me, service, false),
        draining: local_endpoints(me, service, true),
        policy,
        mss: 0,
    }
}

/// This machine's part in the flows that begin: where Pods are, they begin on
/// their nodes, in front of bare servers on the directors.
fn share(cluster: &Cluster, me: &Identity, named: &[(String, BackendKey, u32)], bare: bool) -> Option<Share> {
    let has = |role| me.roles & role != 0;
    if bare {
        let directors = cluster.nodes.values().filter(|node| node.director).count();
        let total = u32::try_from(directors).unwrap_or(u32::MAX).max(1);
        return has(roles::DIRECTOR).then_some(Share { own: 1, total });
    }
    let own = named.iter().find(|(name, ..)| **name == *me.node).map_or(0, |(.., weight)| *weight);
    let total = named.iter().map(|(.., weight)| weight).sum();
    has(roles::NODE).then_some(Share { own, total })
}

/// A ring of all but `me`, with indices of all.
fn without(named: &[(String, BackendKey, u32)], me: &str, ring: &[u16]) -> Arc<[u16]> {
    let all = (0u16..).zip(named);
    let others: Vec<u16> = all.filter(|(_, (name, ..))| name != me).map(|(index, _)| index).collect();
    ring.iter().filter_map(|slot| others.get(usize::from(*slot)).copied()).collect()
}

/// All nodes, as a node reaches them that hands packets on.
fn fellows(
    cluster: &Cluster,
    origin: &Origin<'_>,
    hops: &NextHops,
    dead: &Dead,
) -> BTreeMap<BackendKey, maps::Backend> {
    let addresses = cluster.nodes.values().flat_map(|node| &node.addresses);
    let keys = addresses.map(|addr| BackendKey::fellow(Addr::from(*addr)));
    let fellow = |key| {
        let mut entry = backend(&key, origin, hops);
        if dead.contains(&Subject::node(&key)) {
            entry.flags |= backend_flags::DEAD;
        }
        (key, entry)
    };
    keys.map(fellow).collect()
}

/// Bytes that stand in front of a service's packets on the network between
/// directors and backends, at most; 0 if nothing does.
pub fn overhead(cluster: &Cluster, service: &Service) -> u16 {
    if service.delivery == DeliveryMode::L2 {
        return 0;
    }
    let members = named_members(cluster, service);
    members.iter().map(|(_, key, _)| backend::unresolved(key).overhead()).max().unwrap_or_default()
}

/// Name for Maglev, key and weight of everybody who can take packets for a
/// service. The weight of a node is the number of its ready endpoints.
fn named_members(cluster: &Cluster, service: &Service) -> Vec<(String, BackendKey, u32)> {
    let key = |addr: IpAddr, bare| BackendKey { addr: Addr::from(addr), mode: service.delivery, bare };
    match &service.backends {
        Backends::Bare(servers) => {
            servers.iter().map(|server| (server.to_string(), key(*server, true), 1)).collect()
        }
        Backends::Endpoints(endpoints) => {
            let mut weights: BTreeMap<&Arc<str>, u32> = BTreeMap::new();
            for endpoint in endpoints.iter().filter(|endpoint| !endpoint.draining) {
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

fn local_endpoints(me: &Identity, service: &Service, draining: bool) -> Vec<maps::Endpoint> {
    let Backends::Endpoints(endpoints) = &service.backends else { return Vec::new() };
    let is_node = me.roles & roles::NODE != 0;
    let here = |e: &&Endpoint| is_node && e.node == me.node && e.draining == draining;
    let entry = |endpoint: &Endpoint| maps::Endpoint {
        addr: Addr::from(endpoint.addr),
        port: endpoint.port.to_be(),
        pad: 0,
    };
    endpoints.iter().filter(here).map(entry).collect()
}

#[cfg(test)]
mod tests;
