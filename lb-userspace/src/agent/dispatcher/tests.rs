use std::net::IpAddr;

use super::*;
use crate::{
    agent::{
        reconcile::Reconciler,
        testing::{ENDPOINT, NO_BACKEND, NO_RING, NODES, ROOM, dispatcher, hops, reconciler},
    },
    datapath::memory::MemoryTables,
    objects::{
        index::testing::load_cluster, model::DeliveryMode, source::file::read_text,
        translate::TranslateConfig,
    },
    os::moment::Now,
    plan::{BackendKey, Dead, Subject},
};
use lb_common::Addr;

fn cluster(text: &str) -> Arc<Cluster> {
    let loaded = read_text(text).unwrap();
    let (cluster, problems) = load_cluster(&loaded, TranslateConfig::default(), &Cluster::default()).unwrap();
    assert_eq!(problems, []);
    Arc::new(cluster)
}

fn with_endpoint() -> Arc<Cluster> {
    cluster(&format!("{NODES}{ENDPOINT}"))
}

fn vips(reconciler: &Reconciler<MemoryTables>) -> Vec<String> {
    let mut carried = CarriedVips::default();
    carried.follow(reconciler.programmed());
    carried.vips().iter().map(ToString::to_string).collect()
}

#[test]
fn a_vip_is_carried_when_the_kernel_has_a_ring_with_a_backend_that_can_be_reached() {
    let mut agent = reconciler(MemoryTables::default(), ROOM);
    agent.reconcile(&cluster(NODES), &hops(true), &Dead::new(), Now::read());
    assert!(agent.programmed().is_settled());
    assert_eq!(vips(&agent), [""; 0]);
    agent.reconcile(&with_endpoint(), &hops(false), &Dead::new(), Now::read());
    assert_eq!(vips(&agent), [""; 0]);
    agent.reconcile(&with_endpoint(), &hops(true), &Dead::new(), Now::read());
    assert_eq!(vips(&agent), ["192.0.2.80"]);
    agent.reconcile(&cluster(NODES), &hops(true), &Dead::new(), Now::read());
    assert_eq!(vips(&agent), [""; 0]);
}

/// The service was proven before, but without the backend that does not fit now.
#[test]
fn what_there_is_no_room_for_is_not_carried() {
    for room in [NO_RING, NO_BACKEND] {
        let mut agent = reconciler(MemoryTables::default(), room);
        agent.reconcile(&cluster(NODES), &hops(true), &Dead::new(), Now::read());
        assert_eq!(agent.programmed().proven.len(), 1);
        agent.reconcile(&with_endpoint(), &hops(true), &Dead::new(), Now::read());
        assert!(!agent.programmed().shortages.is_empty());
        assert_eq!(vips(&agent), [""; 0], "{room:?}");
    }
}

/// After a restart there is no plan yet; the maps in the kernel forward.
#[test]
fn what_an_earlier_agent_left_is_carried() {
    let mut first = reconciler(MemoryTables::default(), ROOM);
    first.reconcile(&with_endpoint(), &hops(true), &Dead::new(), Now::read());
    let second = reconciler(first.into_tables(), ROOM);
    assert_eq!(vips(&second), ["192.0.2.80"]);
}

/// If no backend answers, it is more likely that the probes fail.
#[test]
fn backends_that_all_look_dead_are_carried_as_before() {
    let mut agent = reconciler(MemoryTables::default(), ROOM);
    let node1 =
        BackendKey { addr: Addr::from(IpAddr::from([10, 0, 0, 1])), mode: DeliveryMode::Auto, bare: false };
    let dead = Dead::unit(Subject::of_node(&node1));
    agent.reconcile(&with_endpoint(), &hops(true), &dead, Now::read());
    assert_eq!(vips(&agent), ["192.0.2.80"]);
}

#[test]
fn nothing_is_ordered_before_a_plan() {
    let (mut dispatcher, _peers) = dispatcher();
    let agent = reconciler(MemoryTables::default(), ROOM);
    assert_eq!(
        dispatcher.next_orders(&with_endpoint(), agent.me(), agent.programmed(), Instant::now()),
        None
    );
    assert_eq!(dispatcher.due(Instant::now()), None);
}

#[test]
fn routes_are_complete_once_all_that_was_planned_is_proven() {
    let (mut dispatcher, _peers) = dispatcher();
    let mut agent = reconciler(MemoryTables::failing_at(0), ROOM);
    let (cluster, start) = (with_endpoint(), Instant::now());
    agent.reconcile(&cluster, &hops(true), &Dead::new(), Now::read());
    assert!(!dispatcher.next_orders(&cluster, agent.me(), agent.programmed(), start).unwrap().bgp.complete);
    assert_eq!(
        dispatcher.next_orders(&cluster, agent.me(), agent.programmed(), start),
        None,
        "nothing is new"
    );

    let mut agent = reconciler(MemoryTables::default(), ROOM);
    agent.reconcile(&cluster, &hops(true), &Dead::new(), Now::read());
    let orders = dispatcher.next_orders(&cluster, agent.me(), agent.programmed(), start).unwrap();
    assert!(orders.bgp.complete && orders.bgp.peers["router"].routes.len() == 1);

    // And stay so, whatever fails later.
    let failed = Programmed { failure: Some("no".to_owned()), ..agent.programmed().clone() };
    dispatcher.invalidate();
    assert_eq!(dispatcher.next_orders(&cluster, agent.me(), &failed, start), None, "nothing is new");
    dispatcher.invalidate();
    let without_endpoint = tests::cluster(NODES);
    assert!(dispatcher.next_orders(&without_endpoint, agent.me(), &failed, start).unwrap().bgp.complete);
}

#[test]
fn what_is_never_proven_keeps_routers_waiting_for_a_while_only() {
    let (mut dispatcher, _peers) = dispatcher();
    let mut agent = reconciler(MemoryTables::default(), NO_RING);
    let (cluster, start) = (with_endpoint(), Instant::now());
    agent.reconcile(&cluster, &hops(true), &Dead::new(), Now::read());
    assert!(!dispatcher.next_orders(&cluster, agent.me(), agent.programmed(), start).unwrap().bgp.complete);
    assert_eq!(dispatcher.due(start), Some(start + MAX_WAIT_FOR_PROOF));
    assert_eq!(
        dispatcher.next_orders(&cluster, agent.me(), agent.programmed(), start + MAX_WAIT_FOR_PROOF / 2),
        None
    );
    assert!(
        dispatcher
            .next_orders(&cluster, agent.me(), agent.programmed(), start + MAX_WAIT_FOR_PROOF)
            .unwrap()
            .bgp
            .complete
    );
    assert_eq!(dispatcher.due(start + MAX_WAIT_FOR_PROOF), None);
}

#[test]
fn a_step_that_is_overdue_is_ordered_all_the_same() {
    let (mut dispatcher, _peers) = dispatcher();
    let mut agent = reconciler(MemoryTables::default(), ROOM);
    let (cluster, start) = (with_endpoint(), Instant::now());
    agent.reconcile(&cluster, &hops(true), &Dead::new(), Now::read());
    dispatcher.set_drain(true, start);
    let mut leaving = |after: u64| {
        let now = start + Duration::from_secs(after);
        let due = dispatcher.due(now);
        (
            due,
            dispatcher
                .next_orders(&cluster, agent.me(), agent.programmed(), now)
                .map(|orders| orders.bgp.leaving),
        )
    };
    let at = |after: u64| Some(start + Duration::from_secs(after));
    assert_eq!(leaving(0), (at(5), Some(Leaving::Draining)));
    assert_eq!(leaving(1), (at(5), None));
    // It was busy with something else at the fifth second.
    assert_eq!(leaving(5), (at(5), Some(Leaving::Withdrawn)));
    assert_eq!(leaving(7), (at(7), Some(Leaving::Closed)));
    assert_eq!(leaving(8), (None, None));
}

#[test]
fn a_director_is_drained_when_its_sessions_are_closed() {
    let (mut dispatcher, peers) = dispatcher();
    let start = Instant::now();
    let end = start + Duration::from_secs(6);
    let peer = |state| Arc::new(vec![PeerStatus { state, ..PeerStatus::default() }]);
    peers.send_replace(peer(bgp::State::Established));
    dispatcher.set_drain(true, start);
    assert_eq!(
        (dispatcher.status().completed_step(start), dispatcher.status().completed_step(end)),
        (Leaving::Draining, Leaving::Withdrawn)
    );
    peers.send_replace(peer(bgp::State::Idle));
    assert_eq!(dispatcher.status().completed_step(end), Leaving::Closed);
}

#[test]
fn vips_announced_by_nobody_are_found_when_objects_change() {
    let (mut dispatcher, _peers) = dispatcher();
    let mut agent = reconciler(MemoryTables::default(), ROOM);
    let mut problems_with = |cluster: Arc<Cluster>| {
        agent.reconcile(&cluster, &hops(true), &Dead::new(), Now::read());
        dispatcher.invalidate();
        dispatcher.next_orders(&cluster, agent.me(), agent.programmed(), Instant::now());
        dispatcher.status().problems(&cluster, agent.me())
    };
    assert_eq!(problems_with(with_endpoint()), [""; 0]);
    let silent = problems_with(cluster(NODES));
    assert!(silent.len() == 1 && silent[0].contains("announced by nobody"), "{silent:?}");
    assert_eq!(problems_with(with_endpoint()), [""; 0]);
}

#[test]
fn sessions_that_are_down_and_drains_are_warned_of() {
    let (mut dispatcher, peers) = dispatcher();
    let now = Instant::now();
    let peer =
        |name: &str, state| PeerStatus { name: name.into(), state, seconds: 7, ..PeerStatus::default() };
    peers
        .send_replace(Arc::new(vec![peer("near", bgp::State::Established), peer("far", bgp::State::Active)]));
    assert_eq!(dispatcher.status().warnings(now), ["BgpPeer far: no session for 7 s: see `trigon bgp`"]);
    dispatcher.set_drain(true, now);
    let warnings = dispatcher.status().warnings(now);
    assert!(warnings.len() == 1 && warnings[0].contains("trigon drain --undo"), "{warnings:?}");
}
