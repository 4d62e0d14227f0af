//! Candidates change, and not all learn of it at once.

use super::*;

/// Of three agents that all know each other by another VIP, `before` become
/// `after`, which they learn after so many milliseconds: never two have the VIP.
fn run_change(before: &[usize], after: &[usize], lags: [u64; 3]) -> World {
    let mut world = World::new(3, 2, 7);
    world.set_candidates(0, before, &[0; 3]);
    world.start_all();
    world.run_for(3000);
    world.assert_best_owners();
    world.set_candidates(0, after, &lags);
    world.run_for(900);
    assert_eq!(world.conflicts, [""; 0], "{before:?} {after:?} {lags:?}");
    world.run_for(2000);
    world.assert_best_owners();
    world
}

#[test]
fn an_agent_that_learns_first_waits_for_the_others() {
    let sets: [&[usize]; 7] = [&[0], &[1], &[2], &[0, 1], &[0, 2], &[1, 2], &[0, 1, 2]];
    for before in sets {
        for after in sets {
            for lags in [[0, 300, 600], [600, 300, 0], [300, 0, 600], [0, 0, 0]] {
                run_change(before, after, lags);
            }
        }
    }
}

/// The agents are never candidates for the same VIP, so neither listens to the other.
#[test]
fn the_former_owner_need_not_be_known() {
    for lags in [[0, 600], [600, 0]] {
        let mut world = World::new(2, 1, 8);
        world.set_candidates(0, &[0], &[0; 2]);
        world.start_all();
        world.run_for(3000);
        world.set_candidates(0, &[1], &lags);
        world.run_for(3000);
        world.assert_best_owners();
    }
}

/// A former owner that learns of the change late delays the new one by `GRACE` at most.
#[test]
fn nobody_waits_for_long() {
    let mut world = World::new(3, 2, 9);
    world.start_all();
    world.run_for(3000);
    let owner = world.owners(&vip(0))[0];
    let others: Vec<_> = (0..3).filter(|number| *number != owner).collect();
    let lags: Vec<_> = (0..3).map(|number| if number == owner { 60_000 } else { 0 }).collect();
    world.set_candidates(0, &others, &lags);
    world.run_for(900);
    assert_eq!(world.owners(&vip(0)), [owner]);
    world.run_for(200);
    assert_eq!(world.owners(&vip(0)).len(), 2);
}

/// A change is no reason to wait where all agree.
#[test]
fn an_agent_that_learns_last_takes_over_at_once() {
    let mut world = World::new(2, 2, 10);
    world.start_all();
    world.run_for(3000);
    let owner = world.owners(&vip(0))[0];
    let lags = [0, 1].map(|number| if number == owner { 0 } else { 200 });
    world.set_candidates(0, &[1 - owner], &lags);
    world.run_for(210);
    assert_eq!(world.owners(&vip(0)), [1 - owner]);
}
