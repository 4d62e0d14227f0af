//! Not all can hear each other.

use super::*;

/// Three agents; VIPs from 20 on are not for the last.
fn world() -> World {
    let mut world = World::new(3, 40, 11);
    (20..40).for_each(|number| world.set_candidates(number, &[0, 1], &[0; 3]));
    world.start_all();
    world.run_for(3000);
    world.assert_best_owners();
    world
}

fn isolate(world: &mut World, number: usize) {
    let others = (0..3).filter(|other| *other != number);
    world.cut = others.flat_map(|other| [(number, other), (other, number)]).collect();
}

/// No VIP is without an owner for longer than it takes to hand it over; for how
/// many milliseconds any has two.
fn measure_conflict(world: &mut World, ms: u64) -> u64 {
    const STEP: u64 = 10;
    const HAND_OVER: u64 = 30;
    let mut twice = 0;
    let mut silent = BTreeMap::new();
    for at in (0..ms).step_by(STEP as usize) {
        world.run_for(STEP);
        for (number, owners) in world.all_owners().into_iter().enumerate() {
            let silent = silent.entry(number).or_insert(0);
            *silent = if owners.is_empty() { *silent + STEP } else { 0 };
            assert!(*silent < HAND_OVER, "{} had no owner for {silent} ms, {at} ms later", vip(number));
            if owners.len() > 1 {
                twice = at + STEP;
            }
        }
    }
    twice
}

#[test]
fn an_agent_that_cannot_hear_takes_only_vips_that_it_is_a_candidate_for() {
    let mut world = world();
    let before = world.all_owners();
    world.cut = [(0, 2), (1, 2)].into();
    world.run_for(2000);
    let owners = world.all_owners();
    assert_eq!(owners[..20], vec![[2]; 20]);
    assert_eq!(owners[20..], before[20..]);
    // It does not keep the others from replacing each other either.
    world.kill_agent(0);
    world.run_for(400);
    assert_eq!(world.all_owners()[20..], vec![[1]; 20]);
    world.start_agent(0);
    world.run_for(2000);
    // It hears again: nothing is without an owner.
    world.conflicts.clear();
    world.cut.clear();
    assert_eq!(measure_conflict(&mut world, 3000), 0);
    world.assert_best_owners();
}

/// Lets all agents hear each other again; within 110 ms each VIP has one owner.
fn reunite_and_check(world: &mut World) {
    world.conflicts.clear();
    world.cut.clear();
    let twice = measure_conflict(world, 3000);
    assert!(twice <= 110, "two had the same for {twice} ms");
    world.assert_best_owners();
}

#[test]
fn after_a_split_the_smaller_group_lets_go_at_once_and_nobody_else() {
    for isolated in 0..3 {
        let mut world = world();
        isolate(&mut world, isolated);
        world.run_for(2000);
        assert_eq!(world.all_owners()[0].len(), 2, "each group has all");
        reunite_and_check(&mut world);
    }
}

#[test]
fn after_a_split_of_two_one_lets_go() {
    let mut world = World::new(2, 20, 12);
    world.start_all();
    world.run_for(3000);
    world.cut = [(0, 1), (1, 0)].into();
    world.run_for(2000);
    reunite_and_check(&mut world);
}

/// One was missed for a moment, and did not notice.
#[test]
fn an_agent_that_was_missed_leaves_what_was_taken_over() {
    for missed in 0..2 {
        let mut world = World::new(2, 20, 13);
        world.start_all();
        world.run_for(3000);
        world.cut = [(missed, 1 - missed)].into();
        world.run_for(450);
        world.conflicts.clear();
        world.cut.clear();
        world.run_for(110);
        assert_eq!(world.all_owners(), vec![[1 - missed]; 20]);
        measure_conflict(&mut world, 3000);
        world.assert_best_owners();
    }
}

/// Its interface was down: it has taken nothing, and is no reason to let anything go.
#[test]
fn an_agent_that_could_announce_nothing_returns_without_a_gap() {
    for back in 0..3 {
        let mut world = world();
        isolate(&mut world, back);
        world.set_ready(back, 0..40, false);
        world.run_for(2000);
        let now = world.now;
        world.cut.clear();
        world.agents[back].as_mut().unwrap().peers.reset_lost_agents(now);
        world.set_ready(back, 0..40, true);
        assert_eq!(measure_conflict(&mut world, 3000), 0);
        world.assert_best_owners();
    }
}
