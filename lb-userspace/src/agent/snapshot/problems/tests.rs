//! Looking at what has changed misses no fault.

use std::{net::IpAddr, sync::Arc};

use lb_common::maps::{Backend, ServiceKey, backend_flags};
use proptest::{collection::btree_map, option, prelude::*, sample::subsequence};

use super::*;
use crate::{
    agent::{
        liveness::Liveness,
        snapshot::SourceState,
        testing::{ROOM, dispatcher, reconciler},
    },
    datapath::memory::MemoryTables,
    health::{Health, Healths},
    neigh::{LinkFault, NextHops, Reach},
    objects::model::DeliveryMode,
    plan::{BackendKey, Plan, PlannedPolicy, PlannedService, Subject, shortage::Shortage},
};

fn ip(last: u8) -> IpAddr {
    IpAddr::from([10, 0, 0, last])
}

fn backend_keys() -> Vec<BackendKey> {
    let keys =
        [(1, DeliveryMode::Auto), (1, DeliveryMode::L2), (2, DeliveryMode::Gue), (3, DeliveryMode::Gue)];
    keys.map(|(last, mode)| BackendKey { addr: ip(last).into(), mode, bare: last == 3 }).into()
}

fn service_key(last: u8) -> ServiceKey {
    ServiceKey { addr: ip(100 + last).into(), port: 80, protocol: 6, pad: 0 }
}

fn any_reach() -> impl Strategy<Value = Reach> {
    let via = any::<(bool, bool, bool)>().prop_map(|(on_link, is_silent, answers)| {
        Reach::Via(NextHop { on_link, is_silent, dst_mac: answers.then_some([1; 6]), ..NextHop::on_uplink() })
    });
    prop_oneof![Just(Reach::Local), Just(Reach::Unreachable("no route".into())), via]
}

fn any_hops() -> impl Strategy<Value = NextHops> {
    btree_map((1u8..4).prop_map(ip), any_reach(), 0..4).prop_map(|hops| hops.into_iter().collect())
}

fn any_keys() -> impl Strategy<Value = Vec<BackendKey>> {
    subsequence(backend_keys(), 0..=4)
}

fn planned(name: &str, members: Vec<BackendKey>) -> PlannedService {
    PlannedService {
        name: name.into(),
        flags: 0,
        members: members.into_iter().map(|key| (key, 1)).collect(),
        ring: Arc::default(),
        live: Arc::default(),
        owners: Arc::default(),
        keepers: Arc::default(),
        without_me: Arc::default(),
        endpoints: Vec::new(),
        draining: Vec::new(),
        policy: PlannedPolicy::default(),
        mss: 0,
    }
}

prop_compose! {
    fn any_plan()(
        is_director in any::<bool>(),
        backends in any_keys(),
        flags in prop::sample::select(vec![0, backend_flags::RESOLVED]),
        waiting in any_keys(),
        services in btree_map(0u8..2, ("[ab]", any_keys()), 0..3),
    ) -> Plan {
        let entry = Backend { flags, ..Backend::default() };
        let service = |(last, (name, members)): (u8, (String, _))| {
            (service_key(last), Arc::new(planned(&name, members)))
        };
        let members = services.values().flat_map(|(_, members)| members).map(|key| (*key, 1usize)).collect();
        Plan {
            is_director,
            backends: backends.into_iter().map(|key| (key, entry)).collect(),
            waiting: waiting.into_iter().collect(),
            members,
            services: services.into_iter().map(service).collect(),
            ..Plan::default()
        }
    }
}

/// What a snapshot's faults come of.
#[derive(Clone, Debug)]
struct Basis {
    faults: Arc<[Problem]>,
    refused: Arc<[Problem]>,
    has_been_good: bool,
    plan: Arc<Plan>,
    hops: Arc<NextHops>,
    dead: BTreeSet<Subject>,
    shortages: Arc<BTreeSet<Shortage>>,
    failure: Option<String>,
    network_faults: Arc<NetworkFaults>,
}

fn any_problems() -> impl Strategy<Value = Arc<[Problem]>> {
    let problem = "[ab]".prop_map(|object| Problem {
        object,
        field: String::new(),
        message: "wrong".into(),
        remedy: "right".into(),
        ..Problem::default()
    });
    prop::collection::vec(problem, 0..2).prop_map(Into::into)
}

/// Nodes, and the bare server as it serves each service.
fn subjects() -> BTreeSet<Subject> {
    let of_service = |last| backend_keys().into_iter().map(move |key| (service_key(last), key));
    (0..2).flat_map(of_service).map(|(service, key)| Subject::of_backend(&service, &key)).collect()
}

prop_compose! {
    fn any_basis()(
        (faults, refused, has_been_good) in (any_problems(), any_problems(), any::<bool>()),
        plan in any_plan(),
        hops in any_hops(),
        dead in subsequence(Vec::from_iter(subjects()), 0..=subjects().len()),
        shortages in prop::collection::btree_set((0u8..2).prop_map(|last| Shortage::Vips(ip(last).into())), 0..2),
        failure in option::of("[ab]"),
        links in btree_map(Just("eth0".to_owned()), Just(LinkFault::Down), 0..2),
    ) -> Basis {
        Basis {
            faults,
            refused,
            has_been_good,
            plan: Arc::new(plan),
            hops: Arc::new(hops),
            dead: dead.into_iter().collect(),
            shortages: Arc::new(shortages),
            failure,
            network_faults: Arc::new(NetworkFaults { links, tables: Vec::new() }),
        }
    }
}

/// A step changes only some things.
fn after_step(before: &Basis, other: &Basis, changes: [bool; 6]) -> Basis {
    let choose = |n: usize| if changes[n] { other } else { before };
    Basis {
        faults: Arc::clone(&choose(0).faults),
        refused: Arc::clone(&choose(0).refused),
        has_been_good: choose(0).has_been_good,
        plan: Arc::clone(&choose(1).plan),
        hops: Arc::clone(&choose(2).hops),
        dead: choose(3).dead.clone(),
        shortages: Arc::clone(&choose(4).shortages),
        failure: choose(4).failure.clone(),
        network_faults: Arc::clone(&choose(5).network_faults),
    }
}

fn snapshot(basis: &Basis) -> Snapshot {
    let Basis { faults, refused, has_been_good, plan, hops, dead, shortages, failure, network_faults } =
        basis.clone();
    let health = |subject: &Subject| {
        let mut health = Health::new(Instant::now());
        health.alive = !dead.contains(subject);
        health
    };
    let mut liveness = Liveness::default();
    liveness.set_healths(subjects().iter().map(|subject| (*subject, health(subject))).collect::<Healths>());
    Snapshot {
        me: reconciler(MemoryTables::default(), ROOM).me().clone(),
        source: SourceState { faults, refused, has_been_good, ..SourceState::default() },
        programmed: Programmed { plan, shortages, failure, ..Programmed::default() },
        capacity: ROOM,
        kernel_hops: Arc::default(),
        hops,
        network_faults,
        liveness,
        announcement_status: dispatcher().0.status().clone(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn no_other_fault_is_missed(
        before in any_basis(),
        other in any_basis(),
        changes in any::<[bool; 6]>(),
    ) {
        let now = snapshot(&after_step(&before, &other, changes));
        let before = snapshot(&before);
        prop_assert!(now.faults() == before.faults() || now.may_have_other_faults(&before));
        prop_assert!(!now.may_have_other_faults(&now));
    }
}
