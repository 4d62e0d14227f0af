//! What went wrong once, each by itself.

use super::*;
use crate::plan::op::Entry;

/// All changes that lead to these services from none.
fn changes(services: &[(u8, &[u8])]) -> Vec<Op> {
    let mut world = World::new(ROOM);
    world.change(services);
    world.agent.into_tables().inner.log
}

#[test]
fn a_service_that_fails_does_not_stop_the_others() {
    let mut world = World::new(ROOM);
    world.change(&[(1, &[1]), (2, &[1]), (3, &[1])]);
    world.tick();
    let tables = &mut world.agent.tables_mut().inner;
    // Behind two backends and their counters, the peer of the new node, the new ring and the new history:
    // two services.
    tables.failing = (0..2).map(|number| tables.attempts + 7 + number).collect();
    world.change(&[(1, &[1, 2]), (2, &[1, 2]), (3, &[1, 2])]);
    let programmed = world.agent.programmed();
    assert!(programmed.failure.is_some());
    let newest = programmed.proven.values().filter(|generation| **generation == programmed.generation);
    assert_eq!(newest.count(), 1, "{:?}", programmed.proven);
    world.tick();
    let programmed = world.agent.programmed();
    assert!(programmed.failure.is_none() && programmed.is_settled());
}

#[test]
fn what_somebody_else_wrote_is_written_again_and_the_others_are_proven() {
    let mut world = World::new(ROOM);
    let is_service = |op: &Op| matches!(op, Op::SetService(..));
    let before = changes(&[(1, &[1]), (2, &[1])]).iter().position(is_service);
    world.agent.tables_mut().overwrites_after = before;
    world.change(&[(1, &[1]), (2, &[1])]);
    let programmed = world.agent.programmed();
    assert_eq!((programmed.proven.len(), programmed.is_settled()), (1, false));
    world.tick();
    assert!(world.agent.programmed().is_settled());
    let written = world.agent.tables_mut().read_mirror().expect("maps that can be read");
    assert_eq!(Contents::new(&written), world.contents());
}

/// All that packets to one service need, of each map: only this service is in doubt.
#[test]
fn proof_covers_all_that_packets_need() {
    let is_shared = |op: &Op| {
        matches!(op.entry(), Some(Entry::Peer(_) | Entry::Backend(_) | Entry::Ring(_) | Entry::History(_)))
    };
    let services: &[(u8, &[u8])] = &[(1, &[0, 1]), (2, &[0, 1])];
    let is_entry = |op: &Op| op.entry().is_some() && !matches!(op, Op::ResetBackendStats(_));
    for (number, op) in changes(services).iter().enumerate().filter(|(_, op)| is_entry(op)) {
        let mut world = World::new(ROOM);
        world.agent.tables_mut().overwrites_after = Some(number);
        world.change(services);
        let programmed = world.agent.programmed();
        assert!(programmed.failure.is_some() && !programmed.is_settled(), "{op:?}");
        assert_eq!(programmed.proven.len(), if is_shared(op) { 0 } else { 1 }, "{op:?}");
        world.tick();
        assert!(world.agent.programmed().is_settled(), "{op:?}");
        let written = world.agent.tables_mut().read_mirror().expect("maps that can be read");
        assert_eq!(Contents::new(&written), world.contents(), "{op:?}");
    }
}

/// Another service with the same ring must not find it, and be proven by what nobody has read.
#[test]
fn a_ring_in_doubt_is_not_handed_on() {
    let mut world = World::new(ROOM);
    let is_ring = |op: &Op| matches!(op, Op::WriteRing { .. });
    let first = changes(&[(1, &[0, 1])]).iter().position(is_ring);
    world.agent.tables_mut().overwrites_after = first;
    world.change(&[(1, &[0, 1])]);
    assert_eq!(world.agent.programmed().mirror.unproven.len(), 1);
    // It is written again, but cannot be read back, and then nobody names it any more.
    let tables = &mut world.agent.tables_mut().inner;
    tables.failing_reads = BTreeSet::from([tables.reads.get()]);
    world.change(&[(2, &[0, 1])]);
    assert!(world.agent.programmed().proven.is_empty());
    world.tick();
    assert!(world.agent.programmed().is_settled());
    assert_eq!(world.agent.programmed().proven.len(), 1);
}

#[test]
fn what_could_not_be_read_back_is_read_again() {
    let mut world = World::new(ROOM);
    world.agent.tables_mut().inner.failing_reads = (0..100).collect();
    world.change(&[(1, &[0, 1])]);
    assert!(world.agent.programmed().proven.is_empty());
    world.agent.tables_mut().inner.failing_reads.clear();
    world.tick();
    assert!(world.agent.programmed().is_settled());
}

/// A deletion that fails makes no room: trying again at once would fail again.
#[test]
fn a_deletion_that_fails_is_tried_once_a_second() {
    let mut world = World::new(Capacity { services: 1, ..ROOM });
    world.change(&[(1, &[0])]);
    let tables = &mut world.agent.tables_mut().inner;
    tables.failing = (0..100).map(|number| tables.attempts + number).collect();
    world.change(&[(2, &[0])]);
    assert!(!world.agent.programmed().shortages.is_empty());
    let refused = &world.agent.tables_mut().inner.refused;
    let deletions = refused.iter().filter(|op| matches!(op, Op::DeleteService(_)));
    assert_eq!(deletions.count(), 1, "{refused:?}");
}

#[test]
fn what_a_failed_deletion_left_is_deleted_later() {
    let mut world = World::new(ROOM);
    world.change(&[(1, &[0])]);
    let is_deletion: fn(&Op) -> bool = |op| matches!(op, Op::DeleteEndpoint(_));
    world.agent.tables_mut().inner.refuses = Some(is_deletion);
    world.change(&[]);
    assert!(!world.agent.tables_mut().inner.endpoints.is_empty());
    world.agent.tables_mut().inner.refuses = None;
    world.tick();
    assert!(world.agent.tables_mut().inner.endpoints.is_empty());
    assert!(world.agent.programmed().is_settled());
}

#[test]
fn an_id_is_not_used_again_before_its_flows_are_forgotten() {
    let mut world = World::new(Capacity { services: 1, ..ROOM });
    world.change(&[(1, &[1])]);
    world.tick();
    world.agent.tables_mut().stop_sweeps(5);
    world.change(&[(2, &[1])]);
    for _ in 0..4 {
        world.tick();
        assert_eq!(world.agent.programmed().shortages.len(), 1);
    }
    world.settle();
    assert_eq!(world.contents().services.len(), 1);
}

#[test]
fn a_restart_forgets_flows_of_ids_that_nobody_holds() {
    let mut world = World::new(ROOM);
    world.change(&[(1, &[1, 2])]);
    world.agent.tables_mut().stop_sweeps(1);
    world.change(&[(1, &[1])]);
    world = world.restart();
    // Node 3 must not get the id of node 2.
    world.change(&[(1, &[1, 3])]);
    let before = world.agent.tables_mut().inner.sweeps.asked;
    world.tick();
    assert!(world.agent.tables_mut().inner.sweeps.asked > before);
    world.settle();
    assert!(world.agent.programmed().is_settled());
}

#[test]
fn an_id_that_a_ring_names_without_an_entry_is_not_given_out() {
    let mut world = World::new(ROOM);
    world.change(&[(1, &[1, 2])]);
    let mut tables = world.agent.into_tables().inner;
    let lost = *tables.backends.keys().next_back().expect("a backend");
    tables.backends.remove(&lost);
    let mirror = tables.read_mirror().expect("maps that can be read");
    assert!(mirror.uses.names(lost));
    let cluster = Objects::with_endpoints(&[(2, &[3, 4])]).cluster();
    let plan = Planner::default().plan(
        &Plan::default(),
        &cluster,
        &identity(BOTH),
        &next_hops(),
        &Dead::new(),
        Instant::now(),
    );
    let diff = diff(None, &plan, &mirror, ROOM, Stamp { generation: 9, now: Duration::ZERO });
    let is_set = |op: &Op| matches!(op, Op::SetBackend(id, _) if *id == lost);
    assert!(diff.ops().count() > 0 && !diff.ops().any(is_set), "{diff:?}");
}

/// Seen: a fresh service with the 43 packets of one that had been deleted.
#[test]
fn a_new_holder_of_an_id_begins_at_zero() {
    let mut world = World::new(Capacity { services: 1, ..ROOM });
    world.change(&[(1, &[1])]);
    world.change(&[]);
    world.settle();
    assert!(!world.agent.tables_mut().inner.service_packets.is_empty(), "counted until then");
    // [`CheckedTables`] panics if it does not.
    world.change(&[(2, &[2])]);
    assert_eq!(world.contents().services.len(), 1);
}

#[test]
fn a_history_that_names_an_id_without_an_entry_is_mended() {
    let mut world = World::new(ROOM);
    world.change(&[(1, &[1, 2])]);
    let mut tables = world.agent.into_tables().inner;
    let is_fellow = |backend: &Backend| BackendKey::from_entry(backend) == BackendKey::fellow_node(node(2));
    tables.backends = tables
        .backends
        .iter()
        .filter(|(_, backend)| !is_fellow(backend))
        .map(|(id, backend)| (*id, *backend))
        .collect();
    let mut agent = Reconciler::new(identity(BOTH), tables, ROOM).expect("maps that can be read");
    let world = World::new(ROOM);
    let cluster = Objects::with_endpoints(&[(1, &[1])]).cluster();
    agent.reconcile(&cluster, &world.hops, &world.dead, world.now());
    assert!(agent.programmed().is_settled(), "{:?}", agent.programmed().failure);
    let mirror = &agent.programmed().mirror;
    assert!(mirror.uses.backends().all(|id| mirror.backends.contains_key(&id)));
}

/// As it was planned, but not as it is in the maps by now.
#[test]
fn a_next_hop_that_answered_since_it_was_planned_does_not_stay_when_it_is_lost() {
    let mut world = World::new(ROOM);
    let target = node_address(1);
    set_answer(&mut world.hops, target, None);
    world.change(&[(1, &[1])]);
    let is_resolved = |world: &World| {
        let backends = &world.agent.programmed().mirror.backends;
        let of_target = |backend: &&Backend| backend.outer_dst == Addr::from(target);
        backends.values().filter(of_target).any(|backend| backend.flags & backend_flags::RESOLVED != 0)
    };
    assert!(!is_resolved(&world) && world.agent.programmed().is_settled());
    world.set_hops(next_hops());
    assert!(is_resolved(&world));
    world.set_hops(next_hops().update(target, Reach::Unreachable("no route".into())));
    assert!(!is_resolved(&world));
}

#[test]
fn a_change_that_fails_takes_the_proof_of_its_service() {
    let before: &[(u8, &[u8])] = &[(1, &[0]), (2, &[0])];
    let after: &[(u8, &[u8])] = &[(1, &[0, 1]), (2, &[0])];
    let run = |failing: Option<usize>| {
        let mut world = World::new(ROOM);
        world.change(before);
        let tables = &mut world.agent.tables_mut().inner;
        let first = tables.log.len();
        tables.failing = failing.map(|number| tables.attempts + number).into_iter().collect();
        world.change(after);
        (world, first)
    };
    let (world, first) = run(None);
    let changes = world.agent.into_tables().inner.log.split_off(first);
    let set = changes.iter().position(|op| matches!(op, Op::SetService(..)));
    let (mut world, _) = run(Some(set.expect("a service that changes")));
    assert_eq!(world.proven(), [2]);
    world.tick();
    assert!(world.agent.programmed().is_settled());
}

#[test]
fn a_failed_deletion_that_nobody_needs_takes_no_proof() {
    let mut world = World::new(ROOM);
    world.change(&[(1, &[0, 1, 2])]);
    let tables = &mut world.agent.tables_mut().inner;
    tables.failing = BTreeSet::from([tables.attempts]);
    world.change(&[(1, &[0, 1])]);
    let refused = &world.agent.tables_mut().inner.refused;
    assert!(matches!(refused.as_slice(), [Op::DeletePeer(_)]), "{refused:?}");
    assert_eq!(world.agent.programmed().proven.len(), 1);
}

/// Its flows do not find it, by the epoch of its slot: the flow tables need not be walked.
#[test]
fn an_endpoint_that_leaves_asks_for_no_sweep() {
    let mut world = World::new(ROOM);
    world.set_objects(Objects::with_endpoints_here(1, &[0, 1]));
    world.settle();
    let before = world.agent.tables_mut().inner.sweeps.asked;
    world.set_objects(Objects::with_endpoints_here(1, &[0]));
    for _ in 0..3 {
        world.tick();
    }
    let tables = &world.agent.tables_mut().inner;
    assert!(tables.log.iter().any(|op| matches!(op, Op::ClearEndpointSlot(..))));
    assert_eq!(tables.sweeps.asked, before);
}
