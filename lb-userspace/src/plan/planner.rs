//! The plan for a machine: the same cluster gives the same rings on every one.

mod entries;
mod touched;
mod vips;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::IpAddr,
    sync::Arc,
    time::Instant,
};

use lb_common::{
    maps::{ServiceKey, service_flags},
    roles,
};

use touched::{Basis, Touched};

use super::{
    backend::TunnelOrigin,
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
    objects::model::{Backends, Cluster, Frontend, Service},
};

/// Plans, and remembers from one plan to the next which rings it had and when they last grew. A
/// plan costs what the services cost that the changes since the last one can touch.
#[derive(Default)]
pub struct Planner {
    rings: RingCache,
    pace: RingPace,
    /// Services with new members whose next hops were not looked up yet, and these members.
    waiting: BTreeMap<Frontend, Vec<BackendKey>>,
    basis: Option<Basis>,
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
}

impl Round<'_> {
    fn is_director(&self) -> bool {
        self.me.roles & roles::DIRECTOR != 0
    }

    fn is_node(&self) -> bool {
        self.me.roles & roles::NODE != 0
    }

    /// Was its next hop looked up?
    fn is_known(&self, target: &IpAddr) -> bool {
        self.hops.contains_key(target)
    }

    fn is_unknown(&self, key: &BackendKey) -> bool {
        !self.is_known(&key.addr.into())
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
    /// The plan for machine `me`, which is always the same one, at this moment. `before`: the last
    /// plan, perhaps with other entries for next hops that this planner was told of.
    pub fn plan(
        &mut self,
        before: &Plan,
        cluster: &Cluster,
        me: &Identity,
        hops: &NextHops,
        dead: &Dead,
        now: Instant,
    ) -> Plan {
        let (origin, mss) = (TunnelOrigin::new(cluster, me), Mss::new(cluster, me, hops));
        let round = Round { cluster, me, hops, dead, now, origin, mss };
        let last = self.basis.replace(Basis::new(&round));
        let mut plan = match last.and_then(|last| last.touched_by(&round)) {
            Some(touched) => self.replan(before, touched, &round),
            None => self.plan_all(before, &round),
        };
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
        let (is_director, peers) = (round.is_director(), entries::peer_roles(cluster, me));
        let mut plan = Plan { is_director, peers, ..Plan::default() };
        self.pace.retain(|frontend| cluster.services.contains_key(frontend));
        self.waiting.clear();
        for service in cluster.services.values() {
            self.put_service(&mut plan, before, service, round);
        }
        cluster.passed.keys().for_each(|frontend| put_passed(&mut plan, cluster, frontend));
        vips::renew(&mut plan, &vips_of(cluster.services.keys()), round);
        let backends = entries::all_backends(&plan);
        self.complete(&mut plan, &backends, round);
        plan
    }

    /// The last plan, with what has changed, and with the services whose rings are to get more
    /// members now.
    fn replan(&mut self, before: &Plan, touched: Touched, round: &Round<'_>) -> Plan {
        let mut plan = before.clone();
        if touched.peers {
            plan.peers = entries::peer_roles(round.cluster, round.me);
        }
        let mut services = touched.services;
        services.extend(self.pace.due_services(round.now));
        for frontend in &services {
            remove_service(&mut plan, &service_key(frontend));
            match round.cluster.services.get(frontend) {
                Some(service) => self.put_service(&mut plan, before, service, round),
                None => {
                    self.forget_service(frontend);
                    put_passed(&mut plan, round.cluster, frontend);
                }
            }
        }
        let mut vips = vips_of(&services);
        vips.extend(vips::served_at(&plan, &touched.health));
        vips::renew(&mut plan, &vips, round);
        let backends = entries::touched_backends(before, &plan, touched.addresses);
        self.complete(&mut plan, &backends, round);
        plan
    }

    /// What follows from the services and peers of a plan: its entries of `backends`, the only ones
    /// that may differ from the last plan's, and what waits for next hops.
    fn complete(&self, plan: &mut Plan, backends: &BTreeSet<BackendKey>, round: &Round<'_>) {
        entries::renew(plan, backends, round);
        // An entry that did not wait before and is not renewed has a next hop.
        let candidates = backends.iter().chain(&plan.waiting);
        let unknown = candidates.filter(|key| plan.backends.contains_key(*key) && round.is_unknown(key));
        plan.waiting = unknown.chain(self.waiting.values().flatten()).copied().collect();
        let is_held = |frontend: &&Frontend| !plan.services.contains_key(&service_key(frontend));
        plan.held = self.waiting.keys().filter(is_held).count();
    }

    fn forget_service(&mut self, frontend: &Frontend) {
        self.pace.forget(frontend);
        self.waiting.remove(frontend);
    }

    /// Plans a service, unless all of its members wait for their next hops and it was not planned
    /// before.
    fn put_service(&mut self, plan: &mut Plan, before: &Plan, service: &Service, round: &Round<'_>) {
        let (frontend, key) = (&service.frontend, service_key(&service.frontend));
        let before = before.services.get(&key).filter(|before| !before.is_passed());
        let (named, unknown) = known_members(before, &self.pace, service, round);
        let do_all_wait = named.is_empty() && !unknown.is_empty();
        self.waiting.remove(frontend);
        if !unknown.is_empty() {
            self.waiting.insert(*frontend, unknown);
        }
        let mut planned = if do_all_wait {
            self.pace.keep(frontend);
            let Some(before) = before else { return };
            with_members_of(before, round.me, service)
        } else {
            self.plan_service(round.cluster, round.me, service, named, round.dead, round.now)
        };
        if planned.flags & service_flags::BARE == 0 {
            planned.mss = round.mss.for_vip(frontend.vip);
        }
        for (member, _) in planned.members.iter() {
            *plan.members.entry(*member).or_default() += 1;
        }
        plan.services.insert(key, Arc::new(planned));
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
        let live = local_ring(cluster, me, service, &named, &ring).unwrap_or(live);
        let is_asked = me.roles & roles::NODE != 0 && me.asks_former_owners && !bare;
        let owners = if is_asked {
            named.iter().map(|(_, key, _)| BackendKey::fellow_node(key.addr)).collect()
        } else {
            Arc::default()
        };
        let keepers = if is_asked && service.local {
            let directors = named.iter().filter(|(name, ..)| is_director(cluster, name));
            directors.map(|(_, key, _)| BackendKey::fellow_node(key.addr)).collect()
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
            keepers,
            without_me,
            endpoints: local_endpoints(me, service, false),
            draining: local_endpoints(me, service, true),
            policy,
            mss: 0,
        }
    }
}

/// The ring by which this machine sends if it is a director that delivers all of a service's packets itself.
///
/// By its label and not only by its role, since others search it for flows by that. It begins when the service's
/// history does too: until then, the flows that others have begun are no stray ones here.
fn local_ring(
    cluster: &Cluster,
    me: &Identity,
    service: &Service,
    named: &[NamedMember],
    ring: &Ring,
) -> Option<Arc<Ring>> {
    const BOTH: u32 = roles::DIRECTOR | roles::NODE;
    if !service.local || me.roles & BOTH != BOTH || !is_director(cluster, &me.node) {
        return None;
    }
    if local_endpoints(me, service, false).is_empty() {
        return None;
    }
    let index = named.iter().position(|(name, ..)| *name == me.node)?;
    Some(Arc::new(Ring::sole(u16::try_from(index).ok()?, ring.len())))
}

fn is_director(cluster: &Cluster, node: &Arc<str>) -> bool {
    cluster.nodes.get(node).is_some_and(|node| node.director)
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

/// Plans a port of kube-proxy's, if there is one, and a program would drop its packets otherwise: packets to other
/// VIPs pass anyway.
fn put_passed(plan: &mut Plan, cluster: &Cluster, frontend: &Frontend) {
    if let Some(name) = cluster.passed_beside_services(frontend) {
        plan.services.insert(service_key(frontend), Arc::new(PlannedService::passed(name)));
    }
}

fn vips_of<'a>(frontends: impl IntoIterator<Item = &'a Frontend>) -> BTreeSet<IpAddr> {
    frontends.into_iter().map(|frontend| frontend.vip).collect()
}

/// Takes a service out of a plan, and what only it needs out of its members.
fn remove_service(plan: &mut Plan, key: &ServiceKey) {
    let Some(planned) = plan.services.remove(key) else { return };
    for (member, _) in planned.members.iter() {
        match plan.members.get(member).copied() {
            Some(count) if count > 1 => plan.members.insert(*member, count - 1),
            _ => plan.members.remove(member),
        };
    }
}

/// The members of a service, but those that are new in it and whose next hops were not looked
/// up yet: these come second.
fn known_members(
    before: Option<&Arc<PlannedService>>,
    pace: &RingPace,
    service: &Service,
    round: &Round<'_>,
) -> (Vec<NamedMember>, Vec<BackendKey>) {
    let was_at = |key: &BackendKey| {
        before.is_some_and(|before| before.members.iter().any(|(member, _)| member == key))
    };
    // Another node may have been at this address.
    let was_member =
        |name: &Arc<str>, key: &BackendKey| was_at(key) && pace.may_have(&service.frontend, name);
    let (new, known): (Vec<_>, Vec<_>) = named_members(round.cluster, service)
        .into_iter()
        .partition(|(name, key, _)| round.is_unknown(key) && !was_member(name, key));
    (known, new.into_iter().map(|(_, key, _)| key).collect())
}

/// `ring` is of all in `named` but `me`; its slots become indices of `named`.
fn reindexed_ring(named: &[NamedMember], me: &str, ring: &Ring) -> Arc<Ring> {
    let all = (0u16..).zip(named);
    let others: Vec<u16> = all.filter(|(_, (name, ..))| **name != *me).map(|(index, _)| index).collect();
    let slots = ring.iter().filter_map(|slot| others.get(usize::from(slot)).copied());
    Arc::new(slots.collect::<Vec<_>>().into())
}

#[cfg(test)]
mod tests;
