mod changes;
mod splits;
mod world;

use proptest::prelude::*;
use world::{World, vip};

use super::*;
use crate::protocols::l2::peers::tests::ms;

fn names(count: usize) -> BTreeSet<Arc<str>> {
    (0..count).map(|number| format!("node-{number}").into()).collect()
}

#[test]
fn every_node_is_best_for_its_share() {
    let nodes = names(5);
    let mut shares = BTreeMap::new();
    for number in 0..5000 {
        let ranking = rank_nodes(&[10, 0, (number / 256) as u8, (number % 256) as u8].into(), &nodes);
        assert_eq!(ranking.iter().cloned().collect::<BTreeSet<_>>(), nodes);
        *shares.entry(ranking[0].clone()).or_insert(0) += 1;
    }
    assert!(shares.values().all(|share| (850..1150).contains(share)), "{shares:?}");
}

#[test]
fn the_order_of_the_others_does_not_depend_on_who_is_there() {
    let (all, mut few) = (names(7), names(7));
    few.remove("node-3");
    for vip in ["192.0.2.1", "2001:db8::1"].map(|vip| vip.parse().unwrap()) {
        let mut ranking = rank_nodes(&vip, &all);
        ranking.retain(|node| &**node != "node-3");
        assert_eq!(ranking, rank_nodes(&vip, &few));
    }
}

/// The order is part of the protocol: agents of different versions must agree.
#[test]
fn the_order_never_changes() {
    let order: Vec<_> = rank_nodes(&vip(10), &names(5)).iter().map(|node| node.to_string()).collect();
    assert_eq!(order, KNOWN_ORDER);
}

const KNOWN_ORDER: [&str; 5] = ["node-4", "node-2", "node-1", "node-0", "node-3"];

#[test]
fn a_single_node_announces_everything_at_once() {
    let mut world = World::new(1, 3, 1);
    world.start_all();
    world.assert_best_owners();
}

#[test]
fn nothing_is_announced_before_the_others_were_heard_or_waited_for() {
    let mut world = World::new(3, 20, 1);
    world.start_agent(0);
    world.run_for(990);
    assert!((0..20).all(|number| world.owners(&vip(number)).is_empty()));
    world.run_for(20);
    world.assert_best_owners();
    world.start_agent(1);
    world.start_agent(2);
    world.run_for(2000);
    world.assert_best_owners();
}

#[test]
fn a_dead_owner_is_replaced_within_a_second_and_nothing_else_moves() {
    let mut world = World::new(3, 60, 2);
    world.start_all();
    world.run_for(3000);
    world.assert_best_owners();
    let owners: Vec<_> = (0..60).map(|number| world.owners(&vip(number))).collect();
    world.kill_agent(0);
    world.run_for(400);
    world.assert_best_owners();
    for (number, before) in owners.iter().enumerate() {
        assert!(*before == [0] || world.owners(&vip(number)) == *before, "{}", vip(number));
    }
    world.start_agent(0);
    world.run_for(3000);
    world.assert_best_owners();
    let back: Vec<_> = (0..60).map(|number| world.owners(&vip(number))).collect();
    assert_eq!(back, owners);
    for (number, before) in owners.iter().enumerate() {
        let moves = &world.moves[&vip(number)];
        assert_eq!(moves.len(), if *before == [0] { 3 } else { 1 }, "{moves:?}");
    }
}

#[test]
fn a_node_that_leaves_is_replaced_at_once() {
    let mut world = World::new(2, 20, 3);
    world.start_all();
    world.run_for(3000);
    world.change_orders(0, |wanted| wanted.leaving = true);
    assert!((0..20).all(|number| !world.owners(&vip(number)).contains(&0)), "it lets go first");
    world.run_for(20);
    world.assert_best_owners();
    world.change_orders(0, |wanted| wanted.leaving = false);
    world.run_for(1000);
    world.assert_best_owners();
}

#[test]
fn a_node_that_comes_and_goes_gets_nothing() {
    let mut world = World::new(2, 20, 4);
    world.start_agent(0);
    world.run_for(3000);
    for _ in 0..10 {
        world.start_agent(1);
        world.run_for(400);
        world.kill_agent(1);
        world.run_for(400);
    }
    assert!(world.moves.values().all(|moves| *moves == [0]), "{:?}", world.moves);
    world.assert_best_owners();
}

/// It is only slow: the others have taken over in the meantime.
#[test]
fn an_agent_that_was_stopped_lets_go_when_it_hears_that_it_was_lost() {
    let mut world = World::new(2, 20, 5);
    world.start_all();
    world.run_for(3000);
    let stopped = world.agents[0].take();
    world.run_for(500);
    // It first processes the hellos that came in the meantime.
    world.agents[0] = stopped;
    let last = world.agents[1].as_mut().map(|agent| agent.peers.poll(world.now + ms(100))).unwrap();
    let agent = world.agents[0].as_mut().unwrap();
    agent.peers.process_hello(&last[0].1, world.now);
    world.run_turn(0);
    assert!((0..20).all(|number| world.owners(&vip(number)) == [1]));
    world.run_for(3000);
    world.assert_best_owners();
}

#[derive(Clone, Debug)]
enum Event {
    Start(usize),
    Kill(usize),
    Leave(usize, bool),
    Ready(usize, usize, bool),
    /// Of a VIP, by bits; and after how many milliseconds each agent learns of it.
    Candidates(usize, usize, Vec<u64>),
}

fn any_event() -> impl Strategy<Value = Event> {
    prop_oneof![
        2 => (0usize..4).prop_map(Event::Start),
        2 => (0usize..4).prop_map(Event::Kill),
        2 => (0usize..4, any::<bool>()).prop_map(|(agent, leaves)| Event::Leave(agent, leaves)),
        4 => (0usize..4, 0usize..4, any::<bool>()).prop_map(|(agent, vip, ready)| Event::Ready(agent, vip, ready)),
        4 => (0usize..4, 1usize..16, prop::collection::vec(0u64..400, 4))
            .prop_map(|(vip, bits, lags)| Event::Candidates(vip, bits, lags)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Whatever happens, as long as all can hear each other: two never have the
    /// same VIP, and in the end one has it.
    #[test]
    fn a_vip_never_has_two_owners_and_has_one_in_the_end(
        events in prop::collection::vec((any_event(), 0u64..1200), 1..25), seed in any::<u64>(), lost in 0u64..40,
        merges in any::<bool>(),
    ) {
        let mut world = World::new(4, 4, seed);
        (world.lost, world.merges) = (lost, merges);
        world.start_all();
        for (event, pause) in events {
            world.run_for(pause);
            match event {
                // A process does not start while another one of it runs.
                Event::Start(agent) if world.agents[agent].is_none() => world.start_agent(agent),
                Event::Start(_) => {}
                Event::Kill(agent) => world.kill_agent(agent),
                Event::Leave(agent, leaves) => world.change_orders(agent, |wanted| wanted.leaving = leaves),
                Event::Ready(agent, number, ready) => world.set_ready(agent, [number], ready),
                Event::Candidates(number, bits, lags) => {
                    let candidates: Vec<_> = (0..4).filter(|agent| bits >> agent & 1 == 1).collect();
                    world.set_candidates(number, &candidates, &lags);
                }
            }
        }
        world.run_for(5000);
        world.assert_best_owners();
    }
}
