use std::time::Duration;

use super::*;
use crate::{
    agent::testing::{ENDPOINT, NODES, ROOM, dispatcher, hops, reconciler},
    datapath::memory::MemoryTables,
    health::Health,
    objects::source::file::read_text,
    plan::Subject,
};

fn engine() -> Engine<MemoryTables> {
    let reconciler = reconciler(MemoryTables::default(), ROOM);
    Engine::new(reconciler, dispatcher().0, Index::default(), BTreeSet::new())
}

fn load(text: &str) -> Input {
    Input::Load(read_text(text).map(Arc::new))
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
    let rings = engine.reconciler.programmed().mirror.rings.values();
    rings.flat_map(|ring| ring.iter()).collect::<BTreeSet<_>>().len()
}

#[test]
fn nothing_is_planned_before_every_next_hop_was_looked_up() {
    let mut engine = engine();
    let effects = engine.handle(good_load(), Now::read());
    assert_eq!(effects.targets, Some(hops(true).into_keys().collect()));
    assert_eq!(effects.orders, None);
    assert_eq!(proven_vips(&engine), [""; 0]);

    let effects = engine.handle(known_hops(), Now::read());
    assert_eq!(proven_vips(&engine), ["192.0.2.80"]);
    assert_eq!(effects.targets, None, "they are the same");
    assert_eq!(effects.orders.unwrap().bgp.peers["router"].routes.len(), 1);
    assert_eq!(effects.probes.unwrap().nodes.len(), 1);
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
        load(&NODES.replace("192.0.2.80", "nonsense")),
    ];
    for input in broken {
        let effects = engine.handle(input, Now::read());
        assert_eq!(effects.targets, None);
        let problems = &engine.snapshot().source.problems;
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(problems[0].location.is_some(), "{problems:?}");
        assert_eq!(proven_vips(&engine), ["192.0.2.80"]);
        assert_eq!(ring_members(&engine), 1);
    }
    engine.handle(load(NODES), Now::read());
    assert_eq!(engine.snapshot().source.problems.len(), 0);
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
    assert_eq!((snapshot.source.problems.len(), snapshot.source.refused.len()), (0, 1));
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
