use std::{collections::BTreeSet, net::IpAddr, sync::Arc};

use lb_common::{
    Addr, hash,
    maps::{Backend, Endpoint, Service, ServiceKey, delivery},
};
use proptest::prelude::*;

use super::*;
use crate::{
    datapath::{Tables, adopt, apply, memory::Memory, prove},
    maglev,
    model::DeliveryMode,
};

const CAPACITY: Capacity = Capacity { services: 16, backends: 32, endpoints: 64, ring_slots: 64 * 1024 };

fn addr(n: u8) -> Addr {
    Addr::from(IpAddr::from([10, 0, 0, n]))
}

fn backend_key(n: u8) -> BackendKey {
    BackendKey { addr: addr(n), mode: DeliveryMode::Auto, bare: false }
}

fn service_key(n: u8) -> ServiceKey {
    ServiceKey { addr: Addr::from(IpAddr::from([192, 0, 2, n])), port: 80, protocol: 6, pad: 0 }
}

fn endpoint(n: u8) -> Endpoint {
    Endpoint { addr: addr(100 + n), port: 8080, pad: 0 }
}

/// Services by number, each with its backends and its local endpoints.
fn plan(services: &[(u8, BTreeSet<u8>, BTreeSet<u8>)]) -> Plan {
    let mut plan = Plan::default();
    for (n, backends, endpoints) in services {
        let members: Vec<_> = backends.iter().map(|b| (backend_key(*b), 1)).collect();
        let named: Vec<_> = backends.iter().map(|b| (b.to_string(), 1)).collect();
        for b in backends {
            let entry = Backend { outer_dst: addr(*b), delivery: delivery::IPIP4, ..Backend::default() };
            plan.backends.insert(backend_key(*b), entry);
        }
        let service = PlannedService {
            name: format!("default/s{n}").into(),
            flags: 0,
            members: members.into(),
            ring: maglev::table(&named, 509).into(),
            endpoints: endpoints.iter().map(|e| endpoint(*e)).collect(),
        };
        plan.vips.insert(service_key(*n).addr);
        plan.services.insert(service_key(*n), Arc::new(service));
    }
    plan
}

/// Which backend address a packet of flow hash `h` would be sent to, by the
/// maps alone, as the program reads them.
fn lookup(state: &State, service: &Service, h: u64) -> Option<Addr> {
    let slot = hash::slot(h, service.ring_len) as usize;
    let id = *state.rings.get(&service.ring_offset)?.get(slot)?;
    state.backends.get(&id).map(|backend| backend.outer_dst)
}

/// The maps say what the plan says.
fn assert_holds(plan: &Plan, state: &State) {
    assert_eq!(plan.services.keys().collect::<Vec<_>>(), state.services.keys().collect::<Vec<_>>());
    assert_eq!(plan.vips, state.vips);
    assert_eq!(plan.backends.len(), state.backends.len());
    for (key, planned) in &plan.services {
        let service = &state.services[key];
        assert_eq!(service.endpoints as usize, planned.endpoints.len());
        for (index, endpoint) in (0..).zip(&planned.endpoints) {
            assert_eq!(state.endpoints.get(&EndpointKey { service: service.id, index }), Some(endpoint));
        }
        for slot in 0..planned.ring.len() {
            let h = ((slot as u64) << 32) / planned.ring.len() as u64 * (1 << 32) + (1 << 40);
            let expected = planned.members[planned.ring[hash::slot(h, 509) as usize] as usize].0.addr;
            assert_eq!(lookup(state, service, h), Some(expected));
        }
    }
    let counted: u32 = state.services.values().map(|service| service.endpoints).sum();
    assert_eq!(counted as usize, state.endpoints.len(), "orphans");
}

fn converge(tables: &mut Memory, state: &mut State, plan: &Plan, generation: u32) {
    let diff = diff(plan, state, CAPACITY, generation);
    assert_eq!(diff.shortages, []);
    apply(tables, state, diff).unwrap();
    assert_holds(plan, state);
    assert_eq!(tables.read().unwrap().services, state.services);
}

fn some_plan() -> impl Strategy<Value = Plan> {
    let backends = prop::collection::btree_set(1u8..8, 0..5);
    let endpoints = prop::collection::btree_set(0u8..6, 0..4);
    prop::collection::btree_map(0u8..6, (backends, endpoints), 0..5)
        .prop_map(|map| plan(&map.into_iter().map(|(n, (b, e))| (n, b, e)).collect::<Vec<_>>()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn any_plan_follows_any_other(plans in prop::collection::vec(some_plan(), 1..6)) {
        let (mut tables, mut state) = (Memory::default(), State::default());
        for (generation, plan) in (1..).zip(&plans) {
            converge(&mut tables, &mut state, plan, generation);
            prop_assert!(diff(plan, &state, CAPACITY, 99).ops.is_empty(), "nothing changed, nothing to do");
            state.rest();
        }
    }

    /// At every moment, each service that is there has a whole ring of
    /// backends that are there, and all the endpoints it counts.
    #[test]
    fn nothing_ever_dangles(before in some_plan(), after in some_plan()) {
        let (mut tables, mut state) = (Memory::default(), State::default());
        converge(&mut tables, &mut state, &before, 1);
        for op in diff(&after, &state, CAPACITY, 2).ops {
            state.apply(&op);
            for service in state.services.values() {
                for slot in 0..service.ring_len {
                    let h = u64::from(slot) * (1 << 32) / u64::from(service.ring_len) * (1 << 32);
                    prop_assert!(lookup(&state, service, h).is_some());
                }
                for index in 0..service.endpoints {
                    let key = EndpointKey { service: service.id, index };
                    prop_assert!(state.endpoints.contains_key(&key));
                }
            }
        }
    }

    /// An agent killed between any two changes is followed by one that adopts
    /// what it finds and finishes.
    #[test]
    fn a_kill_in_the_middle_is_made_good(before in some_plan(), after in some_plan(), at in 0usize..40) {
        let (mut tables, mut state) = (Memory::default(), State::default());
        converge(&mut tables, &mut state, &before, 1);
        tables.fail_at = Some(tables.log.len() + at);
        let changes = diff(&after, &state, CAPACITY, 2);
        let _ = apply(&mut tables, &mut state, changes);
        tables.fail_at = None;
        let mut adopted = adopt(&mut tables).unwrap();
        converge(&mut tables, &mut adopted, &after, 3);
    }
}

#[test]
fn an_adopted_state_needs_no_change() {
    let plan = plan(&[(1, [1, 2, 3].into(), [1].into()), (2, [2].into(), [].into())]);
    let (mut tables, mut state) = (Memory::default(), State::default());
    converge(&mut tables, &mut state, &plan, 1);
    let adopted = adopt(&mut tables).unwrap();
    assert!(diff(&plan, &adopted, CAPACITY, 2).ops.is_empty());
}

#[test]
fn a_service_is_proven_by_what_the_kernel_says() {
    let plan = plan(&[(1, [1].into(), [].into())]);
    let (mut tables, mut state) = (Memory::default(), State::default());
    converge(&mut tables, &mut state, &plan, 7);
    let key = service_key(1);
    assert_eq!(prove(&tables, &state, &key).unwrap(), Some(7));
    tables.state.services.get_mut(&key).unwrap().ring_offset += 32;
    assert_eq!(prove(&tables, &state, &key).unwrap(), None);
}

#[test]
fn an_unrelated_service_is_not_touched() {
    let (mut tables, mut state) = (Memory::default(), State::default());
    converge(&mut tables, &mut state, &plan(&[(1, [1, 2].into(), [].into()), (2, [1].into(), [].into())]), 1);
    let more = plan(&[(1, [1, 2].into(), [].into()), (2, [1, 3].into(), [].into())]);
    let ops = diff(&more, &state, CAPACITY, 2).ops;
    assert!(!ops.iter().any(|op| matches!(op, Op::SetService(key, _) if *key == service_key(1))), "{ops:?}");
}

#[test]
fn a_service_without_a_ring_does_not_take_anothers() {
    let (mut tables, mut state) = (Memory::default(), State::default());
    converge(&mut tables, &mut state, &plan(&[(2, [].into(), [].into()), (5, [7].into(), [].into())]), 1);
    converge(&mut tables, &mut state, &plan(&[(2, [7].into(), [].into())]), 2);
}

/// The program reads the slab before it looks at the length.
#[test]
fn a_service_without_a_ring_points_to_empty_slots() {
    let (mut tables, mut state) = (Memory::default(), State::default());
    converge(&mut tables, &mut state, &plan(&[(1, [1].into(), [].into()), (2, [].into(), [].into())]), 1);
    assert_eq!(state.services[&service_key(2)].ring_offset, 0);
    assert!(state.rings.keys().all(|offset| *offset >= CHUNK_SLOTS));
}

#[test]
fn an_id_rests_before_it_is_used_again() {
    let (mut tables, mut state) = (Memory::default(), State::default());
    converge(&mut tables, &mut state, &plan(&[(1, [1].into(), [].into())]), 1);
    converge(&mut tables, &mut state, &Plan::default(), 2);
    converge(&mut tables, &mut state, &plan(&[(2, [2].into(), [].into())]), 3);
    assert_eq!(state.services[&service_key(2)].id, 1);
    assert!(state.backends.contains_key(&2) && state.rings.contains_key(&544));
    converge(&mut tables, &mut state, &Plan::default(), 4);
    assert!(state.rest());
    assert!(!state.rest());
    converge(&mut tables, &mut state, &plan(&[(3, [3].into(), [].into())]), 5);
    assert_eq!(state.services[&service_key(3)].id, 0);
}

#[test]
fn a_silent_next_hop_does_not_erase_the_one_known() {
    let mut wanted = plan(&[(1, [1].into(), [].into())]);
    let entry = |wanted: &mut Plan, flags, macs| {
        let backend = wanted.backends.get_mut(&backend_key(1)).unwrap();
        (backend.flags, backend.macs) = (flags, macs);
    };
    let (mut tables, mut state) = (Memory::default(), State::default());
    entry(&mut wanted, RESOLVED, [7; 12]);
    converge(&mut tables, &mut state, &wanted, 1);
    entry(&mut wanted, 0, [0; 12]);
    assert_eq!(diff(&wanted, &state, CAPACITY, 2).ops, []);
    entry(&mut wanted, RESOLVED, [8; 12]);
    assert_eq!(diff(&wanted, &state, CAPACITY, 2).ops, [Op::SetBackend(1, wanted.backends[&backend_key(1)])]);
}

#[test]
fn what_has_no_room_is_named_and_the_rest_goes_on() {
    let many: BTreeSet<u8> = (0..40).collect();
    let full = plan(&[(1, [1].into(), (0..100).collect()), (2, [2].into(), [].into())]);
    let result = diff(&full, &State::default(), CAPACITY, 1);
    assert_eq!(result.shortages, [Shortage::Endpoints("default/s1".into())]);
    assert_eq!(result.written.len(), 1);
    let result = diff(&plan(&[(1, many, [].into())]), &State::default(), CAPACITY, 1);
    assert!(result.shortages.contains(&Shortage::Backends("10.0.0.31".into())), "{:?}", result.shortages);
    let small = Capacity { ring_slots: 544, ..CAPACITY };
    let result =
        diff(&plan(&[(1, [1].into(), [].into()), (2, [1].into(), [].into())]), &State::default(), small, 1);
    assert_eq!(result.shortages, [Shortage::Rings("default/s2".into())]);
}
