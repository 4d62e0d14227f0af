//! The plan for a machine: the same cluster gives the same rings on every one.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
    time::Instant,
};

use lb_common::{
    Addr,
    maps::{self, ServiceKey, Vip, backend_flags, service_flags, vip_flags},
    roles,
};

use super::{
    backend::{TunnelOrigin, backend_entry},
    heirs,
    members::{flow_share, local_endpoints, named_members},
    mss::Mss,
    pace::RingPace,
    planned::{BackendKey, Identity, Plan, PlannedService, service_key},
    policy::PlannedPolicy,
    rings::RingCache,
    subject::{Dead, Subject},
};
use crate::{
    neigh::NextHops,
    objects::model::{Backends, Cluster, Service},
};

/// Plans, and remembers from one plan to the next which rings it had and when
/// they last grew.
#[derive(Default)]
pub struct Planner {
    rings: RingCache,
    pace: RingPace,
    /// Those of the last plan.
    services: BTreeMap<ServiceKey, Arc<PlannedService>>,
}

/// Addresses whose next hops a plan needs to know.
pub fn next_hop_targets(cluster: &Cluster) -> BTreeSet<IpAddr> {
    let nodes = cluster.nodes.values().flat_map(|node| node.addresses.iter().copied());
    let bare = cluster.services.values().flat_map(|service| match &service.backends {
        Backends::Bare(servers) => servers.as_slice(),
        Backends::Endpoints(_) => &[],
    });
    nodes.chain(bare.copied()).collect()
}

impl Planner {
    /// The plan for machine `me` at this moment.
    pub fn plan(
        &mut self,
        cluster: &Cluster,
        me: &Identity,
        hops: &NextHops,
        dead: &Dead,
        now: Instant,
    ) -> Plan {
        let origin = TunnelOrigin::new(cluster, me);
        let backends = if me.roles & roles::NODE != 0 {
            fellow_nodes(cluster, &origin, hops, dead)
        } else {
            BTreeMap::new()
        };
        let is_director = me.roles & roles::DIRECTOR != 0;
        let mss = Mss::new(cluster, me, hops);
        let vip = Vip { flags: if me.answer_echo { vip_flags::ECHO } else { 0 } };
        let mut plan = Plan { is_director, peers: peer_roles(cluster, me), backends, ..Plan::default() };
        for (frontend, service) in &cluster.services {
            let key = service_key(frontend);
            let (named, unknown) = self.known_members(cluster, service, hops);
            let is_held = named.is_empty() && !unknown.is_empty();
            plan.waiting.extend(unknown);
            let mut planned = if is_held {
                self.pace.keep(*frontend);
                let Some(before) = self.services.get(&key) else {
                    plan.held += 1;
                    continue;
                };
                with_members_of(before, me, service)
            } else {
                self.plan_service(cluster, me, service, named, dead, now)
            };
            if planned.flags & service_flags::BARE == 0 {
                planned.mss = mss.for_vip(frontend.vip);
            }
            for (key, _) in planned.members.iter() {
                plan.members.insert(*key);
                if is_director {
                    plan.backends.entry(*key).or_insert_with(|| backend_entry(key, &origin, hops));
                }
            }
            plan.vips.insert(Addr::from(frontend.vip), vip);
            plan.services.insert(key, Arc::new(planned));
        }
        let unknown = plan.backends.keys().filter(|key| !is_known(key, hops));
        plan.waiting.extend(unknown.copied());
        self.rings.forget_unused();
        plan.due = self.pace.finish_round();
        self.services.clone_from(&plan.services);
        plan
    }

    /// The members of a service, but those that are new in it and whose next hops were not looked
    /// up yet: these come second.
    fn known_members(
        &self,
        cluster: &Cluster,
        service: &Service,
        hops: &NextHops,
    ) -> (Vec<(String, BackendKey, u32)>, Vec<BackendKey>) {
        let before = self.services.get(&service_key(&service.frontend));
        let was_member = |key: &BackendKey| {
            before.is_some_and(|before| before.members.iter().any(|(member, _)| member == key))
        };
        let is_new = |key: &BackendKey| !is_known(key, hops) && !was_member(key);
        let (new, known): (Vec<_>, Vec<_>) =
            named_members(cluster, service).into_iter().partition(|(_, key, _)| is_new(key));
        (known, new.into_iter().map(|(_, key, _)| key).collect())
    }

    fn plan_service(
        &mut self,
        cluster: &Cluster,
        me: &Identity,
        service: &Service,
        mut named: Vec<(String, BackendKey, u32)>,
        dead: &Dead,
        now: Instant,
    ) -> PlannedService {
        let wanted = named.iter().map(|(name, _, weight)| (name.clone(), *weight)).collect();
        let admitted = self.pace.admit(service.frontend, wanted, now);
        named.retain_mut(|(name, _, weight)| admitted.get(name).map(|now| *weight = *now).is_some());
        let bare = matches!(service.backends, Backends::Bare(_));
        let weights = |but: Option<&str>| {
            let others = named.iter().filter(|(name, ..)| Some(name.as_str()) != but);
            others.map(|(name, _, weight)| (name.clone(), *weight)).collect::<Vec<_>>()
        };
        let ring = self.rings.ring_of(weights(None));
        let key = service_key(&service.frontend);
        let is_dead: Vec<bool> =
            named.iter().map(|(_, backend, _)| dead.contains(&Subject::of_backend(&key, backend))).collect();
        let living = is_dead
            .contains(&true)
            .then(|| heirs::living_ring(&ring, |member| !is_dead[usize::from(member)]));
        let live = living.flatten().map_or_else(|| ring.clone(), Arc::from);
        let is_asked = me.roles & roles::NODE != 0 && me.asks_former_owners && !bare;
        let owners = if is_asked {
            named.iter().map(|(_, key, _)| BackendKey::fellow_node(key.addr)).collect()
        } else {
            Arc::default()
        };
        let is_member = is_asked && named.iter().any(|(name, ..)| **name == *me.node);
        let without_me = if is_member {
            reindexed_ring(&named, &me.node, &self.rings.ring_of(weights(Some(&me.node))))
        } else {
            Arc::default()
        };
        let policy = PlannedPolicy::new(&service.policy, flow_share(cluster, me, &named, bare));
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
}

/// The service as it was planned before, and what it says now of all but its members.
fn with_members_of(before: &PlannedService, me: &Identity, service: &Service) -> PlannedService {
    // This machine's share depends on the members.
    let new_flows = service.policy.new_flows.map_or(0, |_| before.policy.new_flows);
    let policy = PlannedPolicy { new_flows, ..PlannedPolicy::new(&service.policy, None) };
    PlannedService {
        name: Arc::clone(&service.name),
        flags: policy.flags() | before.flags & service_flags::BARE,
        endpoints: local_endpoints(me, service, false),
        draining: local_endpoints(me, service, true),
        policy,
        ..before.clone()
    }
}

/// Was its next hop looked up?
fn is_known(key: &BackendKey, hops: &NextHops) -> bool {
    hops.contains_key(&IpAddr::from(key.addr))
}

/// Bits of [`roles`], by the addresses of nodes.
fn peer_roles(cluster: &Cluster, me: &Identity) -> BTreeMap<Addr, u32> {
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

/// `ring` is of all in `named` but `me`; its slots become indices of `named`.
fn reindexed_ring(named: &[(String, BackendKey, u32)], me: &str, ring: &[u16]) -> Arc<[u16]> {
    let all = (0u16..).zip(named);
    let others: Vec<u16> = all.filter(|(_, (name, ..))| name != me).map(|(index, _)| index).collect();
    ring.iter().filter_map(|slot| others.get(usize::from(*slot)).copied()).collect()
}

/// The entries by which a node hands packets on to all nodes.
fn fellow_nodes(
    cluster: &Cluster,
    origin: &TunnelOrigin<'_>,
    hops: &NextHops,
    dead: &Dead,
) -> BTreeMap<BackendKey, maps::Backend> {
    let addresses = cluster.nodes.values().flat_map(|node| &node.addresses);
    let keys = addresses.map(|addr| BackendKey::fellow_node(Addr::from(*addr)));
    let fellow = |key| {
        let mut entry = backend_entry(&key, origin, hops);
        if dead.contains(&Subject::of_node(&key)) {
            entry.flags |= backend_flags::DEAD;
        }
        (key, entry)
    };
    keys.map(fellow).collect()
}

#[cfg(test)]
mod tests;
