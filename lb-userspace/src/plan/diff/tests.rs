use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::Arc,
    time::Duration,
};

use lb_common::{
    Addr, hash,
    maps::{Backend, Endpoint, EndpointKey, EndpointSlot, Vip, backend_flags, delivery, service_flags},
    ring::{CHUNK_SLOTS, NO_BACKEND},
};
use proptest::prelude::*;

use super::*;
use crate::{
    datapath::{Tables, adopt_maps, apply, delete_orphans, memory::MemoryTables},
    objects::model::DeliveryMode,
    plan::{self, SourceRange, maglev, quarantine::Sweeps},
};

const CAPACITY: Capacity = Capacity {
    services: 16,
    backends: 32,
    endpoints: 64,
    ring_slots: 64 * 1024,
    history_slots: 64 * 1024,
    ranges: 64,
    vips: 16,
    peers: 16,
};

fn addr(n: u8) -> Addr {
    Addr::from(IpAddr::from([10, 0, 0, n]))
}

fn backend_key(n: u8) -> BackendKey {
    BackendKey { addr: addr(n), mode: DeliveryMode::Auto, bare: false }
}

/// The same machine, as a node hands packets on to it.
fn owner_key(n: u8) -> BackendKey {
    BackendKey { mode: DeliveryMode::Gue, ..backend_key(n) }
}

fn stamp(generation: u32) -> Stamp {
    Stamp { generation, now: Duration::from_secs(1000 + u64::from(generation)) }
}

fn service_key(n: u8) -> ServiceKey {
    ServiceKey { addr: Addr::from(IpAddr::from([192, 0, 2, n])), port: 80, protocol: 6, pad: 0 }
}

fn endpoint(n: u8) -> Endpoint {
    Endpoint { addr: addr(100 + n), port: 8080, pad: 0 }
}

/// All changes, in their order.
fn ops(plan: &Plan, mirror: &Mirror, generation: u32) -> Vec<Op> {
    diff(None, plan, mirror, CAPACITY, stamp(generation)).ops().cloned().collect()
}

/// Services by number, each with its backends and its local endpoints.
fn plan(services: &[(u8, BTreeSet<u8>, BTreeSet<u8>)]) -> Plan {
    let mut plan = Plan { is_director: true, ..Plan::default() };
    for (n, backends, endpoints) in services {
        let members: Vec<_> = backends.iter().map(|b| (backend_key(*b), 1)).collect();
        let named: Vec<_> = backends.iter().map(|b| (b.to_string(), 1)).collect();
        for b in backends {
            let entry = Backend { outer_dst: addr(*b), delivery: delivery::IPIP4, ..Backend::default() };
            plan.backends.insert(backend_key(*b), entry);
            let flags = backend_flags::FORCED_GUE;
            plan.backends.insert(owner_key(*b), Backend { delivery: delivery::GUE4, flags, ..entry });
        }
        let service = PlannedService {
            name: format!("default/s{n}").into(),
            flags: 0,
            members: members.into(),
            ring: Arc::new(maglev::table(&named, 509).into()),
            live: Arc::new(maglev::table(&named, 509).into()),
            owners: backends.iter().map(|b| owner_key(*b)).collect(),
            keepers: Arc::default(),
            without_me: Arc::default(),
            endpoints: endpoints.iter().map(|e| endpoint(*e)).collect(),
            draining: Vec::new(),
            policy: plan::PlannedPolicy::default(),
            mss: 0,
        };
        plan.vips.insert(service_key(*n).addr, Vip::default());
        plan.services.insert(service_key(*n), Arc::new(service));
    }
    plan
}

/// 10.1.n.0/24
fn range(n: u8) -> SourceRange {
    SourceRange { addr: Addr::from(IpAddr::from([10, 1, n, 0])), len: 96 + 24 }
}

/// The same plan, its services admitting these only; all if there are none.
fn with_ranges(mut plan: Plan, ranges: &[BTreeSet<u8>]) -> Plan {
    let keys: Vec<_> = plan.services.keys().copied().collect();
    for (key, ranges) in keys.iter().zip(ranges) {
        let service = Arc::make_mut(plan.services.get_mut(key).unwrap());
        service.policy.ranges = ranges.iter().map(|n| range(*n)).collect();
        service.flags = service.policy.flags();
    }
    plan
}

/// The other port of the VIP that `service_key` has.
fn beside_key(n: u8) -> ServiceKey {
    ServiceKey { port: 81, ..service_key(n) }
}

/// The same plan; beside these of its services are ports of kube-proxy's. `swapped`: the service has
/// the other port.
fn with_passed(mut plan: Plan, passed: &BTreeMap<u8, bool>) -> Plan {
    for (n, swapped) in passed {
        let Some(service) = plan.services.remove(&service_key(*n)) else { continue };
        let beside = Arc::new(PlannedService::passed(&"default/other".into()));
        let (first, second) = if *swapped { (beside, service) } else { (service, beside) };
        plan.services.extend([(service_key(*n), first), (beside_key(*n), second)]);
    }
    plan
}

/// Which backend address a packet of flow hash `h` would be sent to, by the
/// maps alone, as the program reads them.
fn chosen_address(mirror: &Mirror, service: &Service, h: u64) -> Option<Addr> {
    let slot = hash::slot(h, service.ring_len) as usize;
    let id = *mirror.ring_of(service)?.get(slot)?;
    mirror.backends.get(&id).map(|backend| backend.outer_dst)
}

/// The maps say what the plan says.
fn assert_holds(plan: &Plan, mirror: &Mirror) {
    assert_eq!(plan.services.keys().collect::<Vec<_>>(), mirror.services.keys().collect::<Vec<_>>());
    assert_eq!(plan.vips, mirror.vips);
    assert_eq!(plan.backends.len(), mirror.backends.len());
    for (key, planned) in &plan.services {
        let service = &mirror.services[key];
        assert_eq!(service.endpoints as usize, planned.endpoints.len());
        for (index, endpoint) in (0..).zip(&planned.endpoints) {
            let slot = mirror.endpoints[&EndpointKey { service: service.id, index }];
            let held = mirror.endpoint_slots.get(slot).expect("a slot that is held");
            assert_eq!((held.endpoint, held.service, held.drained), (*endpoint, service.id, 0));
        }
        let slots: Vec<u16> = planned.ring.iter().collect();
        for slot in 0..slots.len() {
            let h = ((slot as u64) << 32) / slots.len() as u64 * (1 << 32) + (1 << 40);
            let expected = planned.members[slots[hash::slot(h, 509) as usize] as usize].0.addr;
            assert_eq!(chosen_address(mirror, service, h), Some(expected));
            let owners = &mirror.history_of(service).unwrap()[hash::slot(h, 509) as usize];
            assert_eq!(mirror.backends[&owners.ids[0]].outer_dst, expected, "the current owner leads");
        }
        let named = mirror.history_of(service).into_iter().flat_map(|h| h.iter());
        let mut ids = named.flat_map(|owners| owners.ids).filter(|id| *id != NO_BACKEND);
        assert!(ids.all(|id| mirror.backends.contains_key(&id)), "a history names who is gone");
    }
    for (key, planned) in &plan.services {
        let service = &mirror.services[key];
        let ranges: Vec<_> = mirror.ranges.get(&service.id).into_iter().flatten().copied().collect();
        assert_eq!(ranges, planned.policy.ranges);
        assert_eq!(service.flags & service_flags::RANGES != 0, !ranges.is_empty());
    }
    let restricted = plan.services.values().filter(|planned| !planned.policy.ranges.is_empty()).count();
    assert_eq!(mirror.ranges.len(), restricted, "orphans");
    let counted: u32 = mirror.services.values().map(|service| service.endpoints).sum();
    assert_eq!(counted as usize, mirror.endpoints.len(), "orphans");
}

type Ranges<S> = Vec<(u32, Arc<[S]>)>;

/// The mirror without the parts that are in no map, and what services name of the slabs.
fn map_contents(mirror: &Mirror) -> (Mirror, Ranges<u16>, Ranges<Owners>, BTreeMap<u32, EndpointSlot>) {
    let named = |(offset, slots): (u32, &Arc<[u16]>)| (offset, slots.clone());
    let rings = mirror.rings.named().map(named).collect();
    let histories = mirror.histories.named().map(|(offset, slots)| (offset, slots.clone())).collect();
    let (written, quarantine) = Default::default();
    let held = mirror.endpoint_slots.held().map(|(slot, held)| (slot, *held)).collect();
    let slabs = (Default::default(), Default::default());
    let endpoint_slots = Default::default();
    let others =
        Mirror { written, quarantine, rings: slabs.0, histories: slabs.1, endpoint_slots, ..mirror.clone() };
    (others, rings, histories, held)
}

fn converge(tables: &mut MemoryTables, mirror: &mut Mirror, plan: &Plan, generation: u32) {
    let diff = diff(None, plan, mirror, CAPACITY, stamp(generation));
    assert_eq!(diff.shortages, []);
    assert!(apply(tables, mirror, diff).failures.is_empty());
    assert_holds(plan, mirror);
    assert_eq!(map_contents(&tables.read_mirror().unwrap()), map_contents(mirror));
}

/// A second passes, and sweeps are done at once.
fn tick(mirror: &mut Mirror) -> bool {
    let is_any_free = mirror.release_oldest(Sweeps::default());
    mirror.apply(&Op::ForgetUnheld);
    is_any_free
}

fn some_plan() -> impl Strategy<Value = Plan> {
    let backends = prop::collection::btree_set(1u8..8, 0..5);
    let endpoints = prop::collection::btree_set(0u8..6, 0..4);
    let services = prop::collection::btree_map(0u8..6, (backends, endpoints), 0..5);
    let ranges = prop::collection::vec(prop::collection::btree_set(0u8..6, 0..4), 5);
    let passed = prop::collection::btree_map(0u8..6, any::<bool>(), 0..4);
    (services, ranges, passed).prop_map(|(map, ranges, passed)| {
        let services: Vec<_> = map.into_iter().map(|(n, (b, e))| (n, b, e)).collect();
        with_passed(with_ranges(plan(&services), &ranges), &passed)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_plan_follows_any_other(plans in prop::collection::vec(some_plan(), 1..6)) {
        let (mut tables, mut mirror) = (MemoryTables::default(), Mirror::default());
        for (generation, plan) in (1..).zip(&plans) {
            converge(&mut tables, &mut mirror, plan, generation);
            prop_assert!(ops(plan, &mirror, 99).is_empty(), "nothing changed, nothing to do");
            tick(&mut mirror);
        }
    }

    /// At every moment, each service that is there has a whole ring of
    /// backends that are there, all the endpoints it counts, and if it does not
    /// admit everybody, all those whom it did or will admit.
    #[test]
    fn nothing_ever_dangles(before in some_plan(), after in some_plan()) {
        let (mut tables, mut mirror) = (MemoryTables::default(), Mirror::default());
        converge(&mut tables, &mut mirror, &before, 1);
        for op in ops(&after, &mirror, 2) {
            mirror.apply(&op);
            for (key, service) in &mirror.services {
                for slot in 0..service.ring_len {
                    let h = u64::from(slot) * (1 << 32) / u64::from(service.ring_len) * (1 << 32);
                    prop_assert!(chosen_address(&mirror, service, h).is_some());
                }
                prop_assert!(mirror.has_slots(service));
                for index in 0..service.endpoints {
                    let key = EndpointKey { service: service.id, index };
                    let held = mirror.endpoints.get(&key).and_then(|slot| mirror.endpoint_slots.get(*slot));
                    prop_assert!(held.is_some_and(|held| held.service == service.id));
                }
                if service.flags & service_flags::RANGES != 0 {
                    let found = &mirror.ranges[&service.id];
                    let is_whole = |plan: &Plan| {
                        let wanted = plan.services.get(key).map_or(&[][..], |planned| &planned.policy.ranges);
                        !wanted.is_empty() && wanted.iter().all(|range| found.contains(range))
                    };
                    prop_assert!(is_whole(&before) || is_whole(&after));
                }
            }
        }
    }

    /// What kube-proxy carries before and after, on whatever VIPs, reaches it at every moment.
    #[test]
    fn what_kube_proxy_carries_passes_at_every_moment(before in some_plan(), after in some_plan()) {
        let (mut tables, mut mirror) = (MemoryTables::default(), Mirror::default());
        converge(&mut tables, &mut mirror, &before, 1);
        let passes = |plan: &Plan, key: &ServiceKey| {
            let has_vip = plan.vips.contains_key(&key.addr);
            plan.services.get(key).map_or(!has_vip, |planned| planned.is_passed())
        };
        let passed: Vec<_> = (0..6).flat_map(|n| [service_key(n), beside_key(n)]).collect();
        let passed = passed.iter().filter(|key| passes(&before, key) && passes(&after, key));
        for op in ops(&after, &mirror, 2) {
            mirror.apply(&op);
            for key in passed.clone().filter(|key| mirror.vips.contains_key(&key.addr)) {
                prop_assert!(mirror.services.get(key).is_some_and(Service::is_passed), "{key:?} after {op:?}");
            }
        }
    }

    /// An agent killed between any two changes is followed by one that adopts
    /// what it finds and finishes.
    #[test]
    fn a_kill_in_the_middle_is_made_good(before in some_plan(), after in some_plan(), at in 0usize..40) {
        let (mut tables, mut mirror) = (MemoryTables::default(), Mirror::default());
        converge(&mut tables, &mut mirror, &before, 1);
        tables.fail_after(at);
        let changes = diff(None, &after, &mirror, CAPACITY, stamp(2));
        let _ = apply(&mut tables, &mut mirror, changes);
        tables.fail_at = None;
        let mut adopted = adopt_maps(&tables).unwrap();
        assert!(delete_orphans(&mut tables, &mut adopted).failures.is_empty());
        converge(&mut tables, &mut adopted, &after, 3);
    }
}

#[test]
fn an_adopted_state_needs_no_change() {
    let plan = plan(&[(1, [1, 2, 3].into(), [1].into()), (2, [2].into(), [].into())]);
    let (mut tables, mut mirror) = (MemoryTables::default(), Mirror::default());
    converge(&mut tables, &mut mirror, &plan, 1);
    let adopted = adopt_maps(&tables).unwrap();
    let ops = ops(&plan, &adopted, 2);
    assert_eq!(ops, []);
}

/// Backend 1 is this node. While no agent ran here, its slots may have been those of backend 2.
#[test]
fn an_agent_that_starts_takes_the_ring_without_its_node_for_the_last_one() {
    let (mut tables, mut mirror) = (MemoryTables::default(), Mirror::default());
    let here = |backends: &[u8]| {
        let mut plan = plan(&[(1, backends.iter().copied().collect(), [].into())]);
        if let Some(service) = plan.services.get_mut(&service_key(1)) {
            let without_me = if backends.len() > 1 { vec![1; 509] } else { Vec::new() };
            Arc::make_mut(service).without_me = Arc::new(without_me.into());
        }
        plan
    };
    let former = |mirror: &Mirror| {
        let service = &mirror.services[&service_key(1)];
        let named = |id: u16| mirror.backends.get(&id).map(|backend| backend.outer_dst);
        let lists = mirror.history_of(service).unwrap().iter();
        let own = lists.filter(|list| named(list.ids[0]) == Some(addr(1)));
        own.map(|list| named(list.ids[1])).collect::<Vec<_>>()
    };
    converge(&mut tables, &mut mirror, &here(&[1]), 1);
    converge(&mut tables, &mut mirror, &here(&[1, 2, 3, 4]), 2);
    let is_followed = former(&mirror);
    assert!(is_followed.iter().any(|newest| *newest != Some(addr(2))), "{is_followed:?}");
    let mut adopted = adopt_maps(&tables).unwrap();
    converge(&mut tables, &mut adopted, &here(&[1, 2, 3, 4]), 3);
    let resumed = former(&adopted);
    assert!(resumed.iter().all(|newest| *newest == Some(addr(2))), "{resumed:?}");
    assert_eq!(adopted.services[&service_key(1)].changed, stamp(3).seconds());
    let again = adopt_maps(&tables).unwrap();
    assert_eq!(ops(&here(&[1, 2, 3, 4]), &again, 4), []);
}

#[test]
fn an_unrelated_service_is_not_touched() {
    let (mut tables, mut mirror) = (MemoryTables::default(), Mirror::default());
    converge(
        &mut tables,
        &mut mirror,
        &plan(&[(1, [1, 2].into(), [].into()), (2, [1].into(), [].into())]),
        1,
    );
    let more = plan(&[(1, [1, 2].into(), [].into()), (2, [1, 3].into(), [].into())]);
    let ops = ops(&more, &mirror, 2);
    assert!(!ops.iter().any(|op| matches!(op, Op::SetService(key, _) if *key == service_key(1))), "{ops:?}");
}

/// Many services are on the same nodes: neither they nor a change of one need many rings.
#[test]
fn equal_rings_and_histories_are_written_once() {
    let (mut tables, mut mirror) = (MemoryTables::default(), Mirror::default());
    let all_on = |backends: &[u8]| {
        let backends = || backends.iter().copied().collect();
        let services = (1..=9).map(|n| (n, backends(), [].into()));
        plan(&services.chain([(10, [1, 2, 3].into(), [].into())]).collect::<Vec<_>>())
    };
    converge(&mut tables, &mut mirror, &all_on(&[1, 2]), 1);
    let count_writes = |tables: &MemoryTables| {
        let is_write = |op: &&Op| matches!(op, Op::WriteRing { .. } | Op::WriteHistory { .. });
        tables.log.iter().filter(is_write).count()
    };
    assert_eq!(count_writes(&tables), 4);
    converge(&mut tables, &mut mirror, &all_on(&[2, 3]), 2);
    assert_eq!((count_writes(&tables), mirror.rings.named().count()), (6, 2));
    // The ring of before rests, and is named again.
    converge(&mut tables, &mut mirror, &all_on(&[1, 2]), 3);
    assert_eq!((count_writes(&tables), mirror.rings.named().count()), (7, 2));
}

/// A change of one service that keeps failing holds up none of those that share its ring.
#[test]
fn who_shares_a_ring_does_not_share_failures() {
    let (mut tables, mut mirror) = (MemoryTables::default(), Mirror::default());
    let both = |backends: &[u8]| {
        let backends: BTreeSet<u8> = backends.iter().copied().collect();
        plan(&[(1, backends.clone(), [1].into()), (2, backends, [].into())])
    };
    let change = diff(None, &both(&[1, 2]), &mirror, CAPACITY, stamp(1));
    let endpoint = change.ops().position(|op| matches!(op, Op::SetEndpoint(..)));
    tables.failing = [endpoint.unwrap()].into();
    assert_eq!(apply(&mut tables, &mut mirror, change).failures.len(), 1);
    assert!(
        mirror.services.keys().eq([&service_key(2)]) && mirror.has_slots(&mirror.services[&service_key(2)])
    );
    // Nor does a ring that is not written let a service name it.
    let change = diff(None, &both(&[1, 2, 3]), &mirror, CAPACITY, stamp(2));
    let ring = change.ops().position(|op| matches!(op, Op::WriteRing { .. }));
    tables.failing = [tables.attempts + ring.unwrap()].into();
    apply(&mut tables, &mut mirror, change);
    tables.failing.clear();
    mirror.failed.clear();
    assert!(mirror.services.values().all(|service| mirror.has_slots(service)));
    converge(&mut tables, &mut mirror, &both(&[1, 2, 3]), 3);
}

#[test]
fn a_service_without_a_ring_does_not_take_anothers() {
    let (mut tables, mut mirror) = (MemoryTables::default(), Mirror::default());
    converge(&mut tables, &mut mirror, &plan(&[(2, [].into(), [].into()), (5, [7].into(), [].into())]), 1);
    converge(&mut tables, &mut mirror, &plan(&[(2, [7].into(), [].into())]), 2);
}

/// The program reads the slab before it looks at the length.
#[test]
fn a_service_without_a_ring_points_to_empty_slots() {
    let (mut tables, mut mirror) = (MemoryTables::default(), Mirror::default());
    converge(&mut tables, &mut mirror, &plan(&[(1, [1].into(), [].into()), (2, [].into(), [].into())]), 1);
    assert_eq!(mirror.services[&service_key(2)].ring_offset, 0);
    assert!(mirror.rings.named().all(|(offset, _)| offset >= CHUNK_SLOTS));
}

#[test]
fn an_id_rests_before_it_is_used_again() {
    let (mut tables, mut mirror) = (MemoryTables::default(), Mirror::default());
    converge(&mut tables, &mut mirror, &plan(&[(1, [1].into(), [].into())]), 1);
    converge(&mut tables, &mut mirror, &Plan::default(), 2);
    converge(&mut tables, &mut mirror, &plan(&[(2, [2].into(), [].into())]), 3);
    assert_eq!(mirror.services[&service_key(2)].id, 1);
    assert!(mirror.backends.contains_key(&3) && mirror.rings.get(544, 509).is_some());
    converge(&mut tables, &mut mirror, &Plan::default(), 4);
    assert!(!tick(&mut mirror), "nothing has waited for a tick");
    assert!(tick(&mut mirror), "rings have");
    assert!(tick(&mut mirror), "ids have waited, and their flows are forgotten");
    assert!(!tick(&mut mirror));
    converge(&mut tables, &mut mirror, &plan(&[(3, [3].into(), [].into())]), 5);
    assert_eq!(mirror.services[&service_key(3)].id, 0);
}

/// A service that admits only some clients must not admit all while its ranges change.
#[test]
fn ranges_come_before_they_are_asked_for_and_go_afterwards() {
    let with =
        |ranges: &[u8]| with_ranges(plan(&[(1, [1].into(), [].into())]), &[ranges.iter().copied().collect()]);
    let (mut tables, mut mirror) = (MemoryTables::default(), Mirror::default());
    converge(&mut tables, &mut mirror, &with(&[]), 1);
    let is_service = |op: &Op| matches!(op, Op::SetService(..));
    let restricting = ops(&with(&[1]), &mirror, 2);
    assert_eq!(restricting[0], Op::SetRange(0, range(1)));
    assert!(is_service(&restricting[1]) && restricting.len() == 2, "{restricting:?}");
    converge(&mut tables, &mut mirror, &with(&[1]), 2);
    assert_eq!(ops(&with(&[2]), &mirror, 2), [Op::SetRange(0, range(2)), Op::DeleteRange(0, range(1))]);
    let opening = ops(&with(&[]), &mirror, 2);
    assert!(is_service(&opening[0]), "{opening:?}");
    assert_eq!(opening[1..], [Op::DeleteRange(0, range(1))]);
    let removing = ops(&Plan::default(), &mirror, 2);
    let at = |wanted: &Op| removing.iter().position(|op| op == wanted);
    assert!(at(&Op::DeleteService(service_key(1))) < at(&Op::DeleteRange(0, range(1))), "{removing:?}");
}

#[test]
fn what_has_no_room_is_named_and_the_rest_goes_on() {
    let many: BTreeSet<u8> = (0..40).collect();
    let full = plan(&[(1, [1].into(), (0..100).collect()), (2, [2].into(), [].into())]);
    let result = diff(None, &full, &Mirror::default(), CAPACITY, stamp(1));
    assert_eq!(result.shortages, [Shortage::Endpoints("default/s1".into())]);
    let set = |op: &Op| if let Op::SetService(_, service) = op { Some(service.endpoints) } else { None };
    assert_eq!(result.ops().filter_map(set).collect::<Vec<_>>(), [64, 0], "as many as have room");
    let result = diff(None, &plan(&[(1, many, [].into())]), &Mirror::default(), CAPACITY, stamp(1));
    assert!(result.shortages.contains(&Shortage::Backends(addr(31))), "{:?}", result.shortages);
    let small = Capacity { ring_slots: 544, ..CAPACITY };
    let result = diff(
        None,
        &plan(&[(1, [1].into(), [].into()), (2, [2].into(), [].into())]),
        &Mirror::default(),
        small,
        stamp(1),
    );
    assert_eq!(result.shortages, [Shortage::Rings("default/s2".into())]);
    let few = Capacity { ranges: 3, ..CAPACITY };
    let services = plan(&[(1, [1].into(), [].into()), (2, [1].into(), [].into())]);
    let result = diff(
        None,
        &with_ranges(services, &[[1, 2].into(), [1, 2].into()]),
        &Mirror::default(),
        few,
        stamp(1),
    );
    assert_eq!(result.shortages, [Shortage::Ranges("default/s2".into())]);
}
