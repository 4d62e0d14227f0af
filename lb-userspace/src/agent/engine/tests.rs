mod pinned;
mod problems;

use std::{cell::RefCell, time::Duration};

use lb_common::{
    Addr,
    maps::{Backend, backend_flags},
};

use super::*;
use crate::{
    agent::{
        aggregate::fault_lines,
        reach,
        reconcile::Programmed,
        testing::{ENDPOINT, NODES, ROOM, dispatcher, hops, reconciler},
    },
    datapath::memory::MemoryTables,
    health::Health,
    neigh::{NextHop, Reach, TableFault},
    objects::source::{Change, Kind, file::testing::TestFiles},
    plan::Subject,
};

/// One that has read nothing yet.
fn engine() -> Engine<MemoryTables> {
    FILES.take();
    let reconciler = reconciler(MemoryTables::default(), ROOM);
    Engine::new(reconciler, dispatcher().0, Index::default(), BTreeSet::from([2]))
}

thread_local! {
    /// Each test has a thread of its own, and with it a directory, which each engine reads anew.
    static FILES: RefCell<TestFiles> = RefCell::default();
}

/// From now on, this is what the source has.
fn load(text: &str) -> Input {
    Input::Source(FILES.with_borrow_mut(|files| files.load(&[("test.yaml", text)])))
}

fn good_load() -> Input {
    load(&format!("{NODES}{ENDPOINT}"))
}

fn known_hops() -> Input {
    Input::NextHops(Arc::new(hops(true)))
}

/// VIPs in the maps that have been read back.
fn proven_vips(engine: &Engine<MemoryTables>) -> Vec<String> {
    let keys = engine.reconciler.programmed().proven.keys();
    keys.map(|key| IpAddr::from(key.addr).to_string()).collect()
}

/// Backends in the rings of the maps.
fn ring_members(engine: &Engine<MemoryTables>) -> usize {
    let rings = engine.reconciler.programmed().mirror.rings.named();
    rings.flat_map(|(_, ring)| ring.iter()).collect::<BTreeSet<_>>().len()
}

#[test]
fn nothing_is_planned_before_every_next_hop_was_looked_up() {
    let mut engine = engine();
    let effects = engine.handle(good_load(), Now::read());
    assert_eq!(effects.targets, Some(hops(true).keys().copied().collect()));
    assert_eq!(effects.orders, None);
    assert_eq!(proven_vips(&engine), [""; 0]);

    let effects = engine.handle(known_hops(), Now::read());
    assert_eq!(proven_vips(&engine), ["192.0.2.80"]);
    assert_eq!(effects.targets, None, "they are the same");
    assert_eq!(effects.orders.unwrap().bgp.peers["router"].routes.len(), 1);
    assert_eq!(effects.probes.unwrap().nodes.len(), 1);
}

/// What is pinned may be of the kind that is not here yet.
#[test]
fn nothing_is_planned_before_all_kinds_are_synced() {
    let mut engine = engine();
    let Input::Source(all) = good_load() else { panic!("a source") };
    let (first, rest): (Vec<_>, Vec<_>) =
        all.changes.into_iter().partition(|change| *change != Change::Synced(Kind::EndpointSlice));
    engine.handle(Input::Source(Update { changes: first, ..Update::default() }), Now::read());
    engine.handle(known_hops(), Now::read());
    assert_eq!((engine.source.has_been_good, proven_vips(&engine).len()), (false, 0));
    engine.handle(Input::Source(Update { changes: rest, ..Update::default() }), Now::read());
    assert_eq!(proven_vips(&engine), ["192.0.2.80"]);
}

#[test]
fn of_many_writers_one_that_is_wrong_holds_up_nobody_else() {
    FILES.take();
    let (Input::Source(good), Input::Source(bad)) = (good_load(), load("{ no YAML")) else {
        panic!("a source")
    };
    assert!(!bad.faults.is_empty());
    for (mut engine, starts) in [(engine(), false), (engine().start_with_faults(), true)] {
        let update = Update { faults: bad.faults.clone(), ..good.clone() };
        engine.handle(Input::Source(update), Now::read());
        engine.handle(known_hops(), Now::read());
        assert_eq!(proven_vips(&engine).len(), usize::from(starts));
    }
}

#[test]
fn what_is_left_out_is_a_warning_and_holds_up_no_start() {
    let mut engine = engine();
    let port = ENDPOINT
        .replace("[{name: p, port: 80}]", "[{name: p, port: 80}, {name: s, port: 81, protocol: SCTP}]");
    engine.handle(load(&format!("{NODES}{port}")), Now::read());
    engine.handle(known_hops(), Now::read());
    assert_eq!(proven_vips(&engine), ["192.0.2.80"]);
    assert_eq!((engine.source.faults.len(), engine.snapshot().problems()), (1, vec![]));
}

#[test]
fn an_input_that_changes_nothing_has_no_effect() {
    let mut engine = engine();
    engine.handle(good_load(), Now::read());
    engine.handle(known_hops(), Now::read());
    let before = engine.reconciler.programmed().generation;
    for input in [Input::Tick, Input::Healths(Healths::new()), Input::Tick] {
        let effects = engine.handle(input, Now::read());
        assert_eq!((effects.targets, effects.probes, effects.orders), (None, None, None));
    }
    assert_eq!(engine.reconciler.programmed().generation, before);
}

#[test]
fn a_broken_source_keeps_the_last_good_state_and_says_what_is_wrong() {
    let mut engine = engine();
    engine.handle(good_load(), Now::read());
    engine.handle(known_hops(), Now::read());
    let broken = [
        load("{ no YAML"),
        load(&format!("{NODES}{}", ENDPOINT.replace("10.1.0.1", "nonsense"))),
        load(&format!("{}{ENDPOINT}", NODES.replace("192.0.2.80", "nonsense"))),
    ];
    for input in broken {
        let effects = engine.handle(input, Now::read());
        assert_eq!(effects.targets, None);
        let problems = &engine.snapshot().source.faults;
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(problems[0].location.is_some(), "{problems:?}");
        assert_eq!(proven_vips(&engine), ["192.0.2.80"]);
        assert_eq!(ring_members(&engine), 1);
    }
    engine.handle(load(NODES), Now::read());
    assert_eq!(engine.snapshot().source.faults.len(), 0);
    assert_eq!(ring_members(&engine), 0, "the endpoint is gone from the source");
}

/// What is wrong with an announcement concerns nobody else.
#[test]
fn a_bad_object_about_announcing_leaves_the_data_path_alone() {
    let mut engine = engine();
    engine.handle(load(NODES), Now::read());
    engine.handle(known_hops(), Now::read());
    let text = format!("{NODES}{ENDPOINT}").replace("peerAddress: 10.0.0.253", "peerAddress: nonsense");
    engine.handle(load(&text), Now::read());
    let snapshot = engine.snapshot();
    assert_eq!((snapshot.source.faults.len(), snapshot.source.refused.len()), (0, 1));
    assert_eq!(ring_members(&engine), 1);
}

#[test]
fn a_service_that_is_gone_leaves_the_maps() {
    let mut engine = engine();
    engine.handle(good_load(), Now::read());
    engine.handle(known_hops(), Now::read());
    let (nodes, _) = NODES.split_once("{apiVersion: v1, kind: Service").unwrap();
    engine.handle(load(nodes.trim_end().trim_end_matches("---")), Now::read());
    assert_eq!(proven_vips(&engine), [""; 0]);
    assert_eq!(engine.reconciler.programmed().mirror.services.len(), 0);
}

/// If all backends of a service look dead, they stay: it is more likely that the probes fail.
#[test]
fn a_node_that_looks_dead_leaves_the_ring_while_another_answers() {
    let mut engine = engine();
    let second = NODES.replace("name: node1", "name: node2").replace("10.0.0.1}", "10.0.0.2}");
    let node2 = second.split("---").find(|part| part.contains("node2")).unwrap();
    let endpoints =
        ENDPOINT.replace("nodeName: node1}", "nodeName: node1}, {addresses: [10.1.0.2], nodeName: node2}");
    engine.handle(load(&format!("{NODES}{endpoints}---{node2}")), Now::read());
    let mut both = hops(true);
    both.insert([10, 0, 0, 2].into(), both[&IpAddr::from([10, 0, 0, 1])].clone());
    let probes = engine.handle(Input::NextHops(Arc::new(both)), Now::read()).probes.unwrap();
    assert_eq!((probes.nodes.len(), ring_members(&engine)), (2, 2));

    let now = Now::read();
    let mut healths: Healths =
        probes.nodes.iter().map(|key| (Subject::of_node(key), Health::new(now.instant))).collect();
    for (number, health) in healths.values_mut().enumerate() {
        health.alive = number == 0;
        health.round_trip = health.alive.then_some(Duration::from_millis(1));
    }
    engine.handle(Input::Healths(healths.clone()), now);
    assert_eq!(ring_members(&engine), 1);
    healths.values_mut().for_each(|health| health.alive = false);
    engine.handle(Input::Healths(healths), now);
    assert_eq!(ring_members(&engine), 2);
}

#[test]
fn a_drain_is_ordered_at_once_and_shown_in_the_next_snapshot() {
    let mut engine = engine();
    engine.handle(good_load(), Now::read());
    engine.handle(known_hops(), Now::read());
    let now = Now::read();
    let orders = engine.handle(Input::Drain(true), now).orders.unwrap();
    assert_eq!(orders.bgp.leaving, engine.snapshot().announcement_status.leaving_step(now.instant));
    assert!(engine.due(now.instant).is_some_and(|due| due > now.instant));
}

/// The hops of the test's nodes, with another one to 10.0.0.1.
fn hops_with(reach: Reach) -> NextHops {
    let mut hops = hops(true);
    hops.insert([10, 0, 0, 1].into(), reach);
    hops
}

fn way_to_node1() -> NextHop {
    let hops = hops(true);
    let Reach::Via(hop) = &hops[&IpAddr::from([10, 0, 0, 1])] else { panic!("{hops:?}") };
    hop.clone()
}

fn follow(engine: &mut Engine<MemoryTables>, reach: Reach) {
    engine.handle(Input::NextHops(Arc::new(hops_with(reach))), Now::read());
}

/// The entry of node1 in the maps, by which a director sends.
fn entry_of_node1(engine: &Engine<MemoryTables>) -> Backend {
    let mirror = &engine.reconciler.programmed().mirror;
    let is_node1 = |entry: &&Backend| entry.outer_dst == Addr::from(IpAddr::from([10, 0, 0, 1]));
    *mirror.backends.values().find(is_node1).expect("an entry of node1")
}

fn is_resolved(engine: &Engine<MemoryTables>) -> bool {
    entry_of_node1(engine).flags & backend_flags::RESOLVED != 0
}

fn loaded_engine() -> Engine<MemoryTables> {
    let mut engine = engine();
    engine.handle(good_load(), Now::read());
    engine.handle(known_hops(), Now::read());
    engine
}

#[test]
fn only_a_silent_neighbour_keeps_its_mac_address() {
    let mut engine = loaded_engine();
    let generation = engine.reconciler.programmed().generation;
    follow(&mut engine, Reach::Via(NextHop { dst_mac: None, ..way_to_node1() }));
    assert!(is_resolved(&engine));
    follow(&mut engine, Reach::Via(NextHop { dst_mac: Some([9; 6]), ..way_to_node1() }));
    assert_eq!(entry_of_node1(&engine).macs[..6], [9; 6]);
    assert_eq!(engine.reconciler.programmed().generation, generation, "no service was written");
    follow(&mut engine, Reach::Unreachable("no route".into()));
    assert!(!is_resolved(&engine));
    follow(&mut engine, Reach::Via(NextHop { dst_mac: None, ..way_to_node1() }));
    assert!(!is_resolved(&engine), "its answer is from before the route was gone");
}

#[test]
fn what_would_leave_by_an_interface_that_is_not_ours_is_unresolved() {
    let mut engine = loaded_engine();
    let foreign = NextHop { ifindex: 7, device: 7, interface: "eth7".into(), ..way_to_node1() };
    follow(&mut engine, Reach::Via(foreign));
    assert!(!is_resolved(&engine));
    let programmed = engine.reconciler.programmed();
    let problems = fault_lines(reach::faults(&programmed.plan, &engine.hops));
    assert!(problems.iter().any(|problem| problem.contains("--interface eth7")), "{problems:?}");
}

#[test]
fn a_new_nodes_next_hop_holds_up_nobody_else() {
    let mut engine = loaded_engine();
    let node = NODES.split("---").find(|part| part.contains("node1")).expect("node1");
    let new = node.replace("name: node1", "name: node9").replace("10.0.0.1", "10.0.0.77");
    let effects = engine.handle(load(&format!("{NODES}{ENDPOINT}---{new}")), Now::read());
    assert!(effects.targets.is_some_and(|targets| targets.contains(&IpAddr::from([10, 0, 0, 77]))));
    assert_eq!(engine.snapshot().source.faults, Arc::default());
    let changed = engine.handle(load(&format!("{NODES}{new}")), Now::read());
    assert_eq!((changed.targets, ring_members(&engine)), (None, 0), "the endpoint is gone");
}

#[test]
fn without_a_good_source_the_next_hops_of_what_is_pinned_are_followed() {
    let tables = loaded_engine().reconciler.into_tables();
    let reconciler = reconciler(tables, ROOM);
    let mut engine = Engine::new(reconciler, dispatcher().0, Index::default(), BTreeSet::from([2]));
    let effects = engine.handle(load("{ no YAML"), Now::read());
    assert!(effects.targets.is_some_and(|targets| targets.contains(&IpAddr::from([10, 0, 0, 1]))));
    let before = entry_of_node1(&engine);
    follow(&mut engine, Reach::Via(NextHop { dst_mac: None, ..way_to_node1() }));
    assert_eq!(entry_of_node1(&engine), before, "it is only silent");
    follow(&mut engine, Reach::Via(NextHop { dst_mac: Some([9; 6]), mtu: 1400, ..way_to_node1() }));
    let after = entry_of_node1(&engine);
    assert_eq!((after.macs[..6].to_vec(), after.mtu, after.delivery), (vec![9; 6], 1400, before.delivery));
    follow(&mut engine, Reach::Unreachable("no route".into()));
    assert!(!is_resolved(&engine));
    assert_eq!(ring_members(&engine), 1);
}

fn restarted(engine: Engine<MemoryTables>) -> Engine<MemoryTables> {
    let reconciler = reconciler(engine.reconciler.into_tables(), ROOM);
    let mut engine = Engine::new(reconciler, dispatcher().0, Index::default(), BTreeSet::from([2]));
    engine.handle(load("{ no YAML"), Now::read());
    engine
}

/// An entry that was never resolved has no source address and no way of delivery.
#[test]
fn what_was_pinned_without_a_next_hop_is_complete_when_it_has_one() {
    for delivery in ["auto", "l2", "gue"] {
        let mut engine = engine();
        let annotation = format!("trigon.dev/dsr: \"true\", trigon.dev/delivery: {delivery}");
        let text = format!("{NODES}{ENDPOINT}").replace("trigon.dev/dsr: \"true\"", &annotation);
        engine.handle(load(&text), Now::read());
        engine
            .handle(Input::NextHops(Arc::new(hops_with(Reach::Unreachable("no route".into())))), Now::read());
        assert!(!is_resolved(&engine));
        let mut engine = restarted(engine);
        follow(&mut engine, Reach::Via(way_to_node1()));
        let entry = entry_of_node1(&engine);
        assert!(is_resolved(&engine) && entry.outer_src != Addr::default(), "{delivery}: {entry:?}");
        assert_eq!(entry.outer_sum, Backend::outer_sum(&entry.outer_src, &entry.outer_dst));
        assert_eq!(entry.delivery == lb_common::maps::delivery::L2, delivery == "l2");
    }
}

#[test]
fn without_a_plan_what_failed_is_tried_again_too() {
    let mut engine = restarted(loaded_engine());
    let tables = engine.reconciler.tables_mut();
    tables.failing = BTreeSet::from([tables.attempts]);
    follow(&mut engine, Reach::Via(NextHop { dst_mac: Some([9; 6]), ..way_to_node1() }));
    assert!(engine.reconciler.programmed().failure.is_some());
    engine.handle(Input::Tick, Now::read());
    assert_eq!(entry_of_node1(&engine).macs[..6], [9; 6]);
    assert_eq!(engine.reconciler.programmed().failure, None);
}

#[test]
fn a_table_of_neighbours_that_is_too_small_is_a_problem_for_as_long_as_it_is() {
    let mut engine = engine();
    engine.handle(good_load(), Now::read());
    engine.handle(known_hops(), Now::read());
    assert_eq!(engine.snapshot().problems(), [""; 0]);
    let tables = TableFault::with_defaults(1000).into_iter().collect();
    engine.handle(Input::NetworkFaults(NetworkFaults { tables, ..NetworkFaults::default() }), Now::read());
    let problems = engine.snapshot().problems();
    assert_eq!(problems, fault_lines(engine.snapshot().faults()));
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(
        problems[0].starts_with("IPv4 neighbours: net.ipv4.neigh.default.gc_thresh2 is 512"),
        "{problems:?}"
    );
    assert!(problems[0].contains("`sysctl -w net.ipv4.neigh.default.gc_thresh2=2048 "), "{problems:?}");
    engine.handle(Input::NetworkFaults(NetworkFaults::default()), Now::read());
    assert_eq!(engine.snapshot().problems(), [""; 0]);
}

/// The service of [`NODES`], with a session affinity of so many seconds.
fn load_with_affinity(seconds: u32) -> Input {
    let affinity = format!(
        "sessionAffinity: ClientIP, sessionAffinityConfig: {{clientIP: {{timeoutSeconds: {seconds}}}}}, ports: ["
    );
    load(&format!("{NODES}{ENDPOINT}").replacen("ports: [", &affinity, 1))
}

#[test]
fn snapshots_stay_as_they_were_and_hold_up_no_change() {
    let mut engine = loaded_engine();
    let generation = engine.snapshot().programmed.generation;
    let snapshot_with = |seconds| {
        engine.handle(load_with_affinity(seconds), Now::read());
        engine.snapshot()
    };
    let held: Vec<Snapshot> = (1..=100).map(snapshot_with).collect();
    for (seconds, snapshot) in (1..).zip(held) {
        let Programmed { plan, mirror, proven, .. } = snapshot.programmed;
        let planned = plan.services.values().map(|service| service.policy.affinity);
        let written = mirror.services.values().map(|service| service.affinity);
        assert_eq!((planned.collect(), written.collect()), (vec![seconds], vec![seconds]));
        assert_eq!(proven.values().collect::<Vec<_>>(), [&(generation + seconds)]);
    }
}

#[test]
fn ten_thousand_endpoints_on_a_missing_node_are_one_problem() {
    let hundred = vec!["{addresses: [10.1.0.1], nodeName: lost}"; 100].join(", ");
    let slice = ENDPOINT.replace("{addresses: [10.1.0.1], nodeName: node1}", &hundred);
    let slices: Vec<_> =
        (0..100).map(|number| slice.replace("name: web,", &format!("name: web{number},"))).collect();
    let mut engine = loaded_engine();
    engine.handle(load(&format!("{NODES}{ENDPOINT}---{}", slices.join("---"))), Now::read());
    let snapshot = engine.snapshot();
    assert_eq!(snapshot.source.faults.len(), 10_000);
    let problems = snapshot.problems();
    assert_eq!(problems.len(), 1, "{problems:?}");
    let line = &problems[0];
    assert!(line.contains("there is no Node `lost`") && line.contains("9999 more"), "{line}");
}
