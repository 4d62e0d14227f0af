//! The plan for a machine: the same cluster gives the same rings on every one.

use std::{
    collections::{BTreeSet, HashMap},
    net::IpAddr,
    sync::Arc,
    time::Instant,
};

use imbl::OrdMap;
use lb_common::{
    Addr,
    maps::{self, ServiceKey, Vip, backend_flags, service_flags, vip_flags},
    roles,
};

use super::{
    backend::{TunnelOrigin, backend_entry},
    heirs,
    members::{NamedMember, Weights, flow_share, local_endpoints, named_members, weights_of},
    mss::Mss,
    pace::RingPace,
    planned::{BackendKey, Identity, Plan, PlannedService, service_key},
    policy::PlannedPolicy,
    ring::Ring,
    rings::RingCache,
    subject::{Dead, Subject},
};
use crate::{
    changes::changed_keys,
    neigh::NextHops,
    objects::model::{Backends, Cluster, Frontend, Node, Service},
};

/// Plans, and remembers from one plan to the next which rings it had and when they last grew. A
/// plan that differs from the last one in a few services costs what these cost.
#[derive(Default)]
pub struct Planner {
    rings: RingCache,
    pace: RingPace,
    basis: Option<Basis>,
}

/// What a plan was made from.
struct Basis {
    services: OrdMap<Frontend, Arc<Service>>,
    nodes: OrdMap<Arc<str>, Arc<Node>>,
    hops: NextHops,
    dead: Dead,
}

/// What is the same for all services of a plan.
struct Round<'a> {
    cluster: &'a Cluster,
    me: &'a Identity,
    hops: &'a NextHops,
    dead: &'a Dead,
    now: Instant,
    origin: TunnelOrigin<'a>,
    mss: Mss,
    vip: Vip,
}

impl Round<'_> {
    fn is_director(&self) -> bool {
        self.me.roles & roles::DIRECTOR != 0
    }

    fn is_node(&self) -> bool {
        self.me.roles & roles::NODE != 0
    }

    /// Was its next hop looked up?
    fn is_known(&self, key: &BackendKey) -> bool {
        self.hops.contains_key(&IpAddr::from(key.addr))
    }
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

/// Have both the same next hop targets? Looks only at what has changed.
pub fn has_same_targets(before: &Cluster, now: &Cluster) -> bool {
    let is_bare = |cluster: &Cluster, frontend: &Frontend| {
        let service = cluster.services.get(frontend);
        service.is_some_and(|service| matches!(service.backends, Backends::Bare(_)))
    };
    let mut changed = changed_keys(&before.services, &now.services).into_iter();
    before.nodes == now.nodes
        && changed.all(|frontend| !is_bare(before, &frontend) && !is_bare(now, &frontend))
}

impl Planner {
    /// The plan for machine `me` at this moment. `before`: the last one, perhaps with other
    /// entries for next hops that this planner was told of.
    pub fn plan(
        &mut self,
        before: &Plan,
        cluster: &Cluster,
        me: &Identity,
        hops: &NextHops,
        dead: &Dead,
        now: Instant,
    ) -> Plan {
        let vip = Vip { flags: if me.answer_echo { vip_flags::ECHO } else { 0 } };
        let (origin, mss) = (TunnelOrigin::new(cluster, me), Mss::new(cluster, me, hops));
        let round = Round { cluster, me, hops, dead, now, origin, mss, vip };
        let basis = Basis {
            services: cluster.services.clone(),
            nodes: cluster.nodes.clone(),
            hops: hops.clone(),
            dead: dead.clone(),
        };
        let last = self.basis.replace(basis);
        let is_whole = before.waiting.is_empty() && before.held == 0;
        let only_services_differ = |last: &Basis| {
            is_whole && last.nodes == cluster.nodes && last.hops == *hops && last.dead == *dead
        };
        let last = last.filter(only_services_differ);
        let mut plan = last
            .and_then(|last| self.replan(before, &last.services, &round))
            .unwrap_or_else(|| self.plan_all(before, &round));
        plan.due = self.pace.due();
        plan
    }

    /// The entries of the plan for next hops follow these.
    pub fn note_hops(&mut self, hops: &NextHops) {
        if let Some(basis) = &mut self.basis {
            basis.hops = hops.clone();
        }
    }

    fn plan_all(&mut self, before: &Plan, round: &Round<'_>) -> Plan {
        let (cluster, me) = (round.cluster, round.me);
        let backends = if round.is_node() { fellow_nodes(round) } else { OrdMap::new() };
        let (is_director, peers) = (round.is_director(), peer_roles(cluster, me));
        let mut plan = Plan { is_director, peers, backends, ..Plan::default() };
        self.pace.retain(|frontend| cluster.services.contains_key(frontend));
        for service in cluster.services.values() {
            let unknown = self.put_service(&mut plan, before, service, round);
            plan.waiting.extend(unknown);
        }
        let unknown = plan.backends.keys().filter(|key| !round.is_known(key));
        plan.waiting.extend(unknown.copied().collect::<Vec<_>>());
        plan
    }

    /// The last plan with the services that have changed, or whose rings are to get more members.
    /// None if a next hop is not known.
    fn replan(
        &mut self,
        before: &Plan,
        services: &OrdMap<Frontend, Arc<Service>>,
        round: &Round<'_>,
    ) -> Option<Plan> {
        let mut plan = before.clone();
        let mut changed: BTreeSet<_> = changed_keys(services, &round.cluster.services).into_iter().collect();
        changed.extend(self.pace.due_services(round.now));
        for frontend in &changed {
            remove_service(&mut plan, &service_key(frontend), round);
            let Some(service) = round.cluster.services.get(frontend) else {
                self.pace.forget(frontend);
                continue;
            };
            if !self.put_service(&mut plan, before, service, round).is_empty() {
                return None;
            }
        }
        Some(plan)
    }

    /// Plans a service. Returns its members that wait for their next hops.
    fn put_service(
        &mut self,
        plan: &mut Plan,
        before: &Plan,
        service: &Service,
        round: &Round<'_>,
    ) -> Vec<BackendKey> {
        let (frontend, key) = (&service.frontend, service_key(&service.frontend));
        let before = before.services.get(&key);
        let (named, unknown) = known_members(before, service, round);
        let mut planned = if named.is_empty() && !unknown.is_empty() {
            self.pace.keep(frontend);
            let Some(before) = before else {
                plan.held += 1;
                return unknown;
            };
            with_members_of(before, round.me, service)
        } else {
            self.plan_service(round.cluster, round.me, service, named, round.dead, round.now)
        };
        if planned.flags & service_flags::BARE == 0 {
            planned.mss = round.mss.for_vip(frontend.vip);
        }
        for (key, _) in planned.members.iter() {
            let uses = plan.members.entry(*key).or_default();
            *uses += 1;
            // For those who are members already, there is an entry.
            if *uses == 1 && plan.is_director && !plan.backends.contains_key(key) {
                plan.backends.insert(*key, backend_entry(key, &round.origin, round.hops));
            }
        }
        plan.vips.insert(key.addr, round.vip);
        plan.services.insert(key, Arc::new(planned));
        unknown
    }

    fn plan_service(
        &mut self,
        cluster: &Cluster,
        me: &Identity,
        service: &Service,
        mut named: Vec<NamedMember>,
        dead: &Dead,
        now: Instant,
    ) -> PlannedService {
        let mut weights = weights_of(&named);
        let admitted = self.pace.admit(service.frontend, &weights, now);
        if *admitted != weights {
            keep_admitted(&mut named, admitted);
            weights = weights_of(&named);
        }
        let bare = matches!(service.backends, Backends::Bare(_));
        let ring = self.rings.ring_of(&weights);
        let key = service_key(&service.frontend);
        let is_dead: Vec<bool> =
            named.iter().map(|(_, backend, _)| dead.contains(&Subject::of_backend(&key, backend))).collect();
        let living = is_dead.contains(&true).then(|| {
            let slots: Vec<u16> = ring.iter().collect();
            heirs::living_ring(&slots, |member| !is_dead[usize::from(member)])
        });
        let live = living.flatten().map_or_else(|| ring.clone(), |slots| Arc::new(slots.into()));
        let is_asked = me.roles & roles::NODE != 0 && me.asks_former_owners && !bare;
        let owners = if is_asked {
            named.iter().map(|(_, key, _)| BackendKey::fellow_node(key.addr)).collect()
        } else {
            Arc::default()
        };
        let is_member = is_asked && named.iter().any(|(name, ..)| **name == *me.node);
        let without_me = if is_member {
            let others = weights_of(named.iter().filter(|(name, ..)| *name != me.node));
            reindexed_ring(&named, &me.node, &self.rings.ring_of(&others))
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

/// Leaves out who is not admitted yet, and gives the others the weights that they have for now.
fn keep_admitted(named: &mut Vec<NamedMember>, admitted: &Weights) {
    let admitted: HashMap<&Arc<str>, u32> = admitted.iter().map(|(name, weight)| (name, *weight)).collect();
    named.retain_mut(|(name, _, weight)| admitted.get(&*name).map(|now| *weight = *now).is_some());
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

/// Takes a service out of a plan, with what only it needs.
fn remove_service(plan: &mut Plan, key: &ServiceKey, round: &Round<'_>) {
    let Some(planned) = plan.services.remove(key) else { return };
    for (member, _) in planned.members.iter() {
        let count = plan.members.get(member).copied().unwrap_or_default();
        if count > 1 {
            plan.members.insert(*member, count - 1);
            continue;
        }
        plan.members.remove(member);
        let is_fellow =
            *member == BackendKey::fellow_node(member.addr) && plan.peers.contains_key(&member.addr);
        if !(round.is_node() && is_fellow) {
            plan.backends.remove(member);
        }
    }
    let first = ServiceKey { addr: key.addr, port: 0, protocol: 0, pad: 0 };
    if plan.services.range(first..).next().is_none_or(|(other, _)| other.addr != key.addr) {
        plan.vips.remove(&key.addr);
    }
}

/// The members of a service, but those that are new in it and whose next hops were not looked
/// up yet: these come second.
fn known_members(
    before: Option<&Arc<PlannedService>>,
    service: &Service,
    round: &Round<'_>,
) -> (Vec<NamedMember>, Vec<BackendKey>) {
    let was_member = |key: &BackendKey| {
        before.is_some_and(|before| before.members.iter().any(|(member, _)| member == key))
    };
    let is_new = |key: &BackendKey| !round.is_known(key) && !was_member(key);
    let (new, known): (Vec<_>, Vec<_>) =
        named_members(round.cluster, service).into_iter().partition(|(_, key, _)| is_new(key));
    (known, new.into_iter().map(|(_, key, _)| key).collect())
}

/// Bits of [`roles`], by the addresses of nodes.
fn peer_roles(cluster: &Cluster, me: &Identity) -> OrdMap<Addr, u32> {
    let mut peers = OrdMap::new();
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
fn reindexed_ring(named: &[NamedMember], me: &str, ring: &Ring) -> Arc<Ring> {
    let all = (0u16..).zip(named);
    let others: Vec<u16> = all.filter(|(_, (name, ..))| **name != *me).map(|(index, _)| index).collect();
    let slots = ring.iter().filter_map(|slot| others.get(usize::from(slot)).copied());
    Arc::new(slots.collect::<Vec<_>>().into())
}

/// The entries by which a node hands packets on to all nodes.
fn fellow_nodes(round: &Round<'_>) -> OrdMap<BackendKey, maps::Backend> {
    let addresses = round.cluster.nodes.values().flat_map(|node| &node.addresses);
    let keys = addresses.map(|addr| BackendKey::fellow_node(Addr::from(*addr)));
    let fellow = |key| {
        let mut entry = backend_entry(&key, &round.origin, round.hops);
        if round.dead.contains(&Subject::of_node(&key)) {
            entry.flags |= backend_flags::DEAD;
        }
        (key, entry)
    };
    keys.map(fellow).collect()
}

#[cfg(test)]
mod tests;
