//! What went wrong once, each by itself.

use super::*;

const ROOM: Capacity = Capacity {
    services: 8,
    backends: 16,
    endpoints: 8,
    ring_slots: 32 + 10 * RING,
    history_slots: 32 + 10 * RING,
    ranges: 8,
    vips: 8,
    peers: 8,
};

/// Nodes by number in the ring of service 1, by what is in the maps.
fn ring_nodes(world: &World) -> BTreeSet<Addr> {
    let contents = world.contents();
    let service = contents.services.values().next().expect("a service");
    service.ring.iter().map(|key| key.addr).collect()
}

/// All changes that lead to these services from none.
fn changes(services: &[(u8, &[u8])]) -> Vec<Op> {
    let mut world = World::new(ROOM);
    world.change(services);
    world.agent.into_tables().inner.log
}

fn node(number: u8) -> Addr {
    Addr::from(IpAddr::from([10, 0, 0, 1 + number]))
}

/// [`CheckedTables`] panics if it is.
#[test]
fn a_backend_that_a_ring_still_names_is_not_cleared() {
    let mut world = World::new(Capacity { ring_slots: 32 + RING, ..ROOM });
    world.change(&[(1, &[1, 2])]);
    world.change(&[(1, &[1])]);
    assert_eq!(world.agent.programmed().shortages.len(), 1);
    assert_eq!(ring_nodes(&world), [node(1), node(2)].into(), "the old ring stays");
}

#[test]
fn a_ring_has_no_holes_when_backends_are_short() {
    // Nodes 0 and 1 twice: as fellows and as backends.
    let mut world = World::new(Capacity { backends: 5, ..ROOM });
    world.change(&[(1, &[0, 1, 2])]);
    assert!(!world.agent.programmed().shortages.is_empty());
    let nodes = ring_nodes(&world);
    assert!(!nodes.is_empty() && nodes.len() < 3, "{nodes:?}");
}

#[test]
fn a_shortage_ends_in_the_tick_in_which_an_id_is_free() {
    let mut world = World::new(Capacity { services: 1, ..ROOM });
    world.change(&[(1, &[1])]);
    world.change(&[(2, &[1])]);
    world.tick();
    assert_eq!(world.agent.programmed().shortages.len(), 1, "the id has to rest");
    world.tick();
    assert!(world.agent.programmed().shortages.is_empty());
    assert_eq!(world.contents().services.len(), 1);
}

#[test]
fn a_full_replacement_at_capacity_converges() {
    // Nodes 0 to 2, as fellows and as backends; id 0 stands for none.
    let room = Capacity { services: 2, backends: 7, endpoints: 2, vips: 2, peers: 3, ..ROOM };
    let mut world = World::new(room);
    world.change(&[(1, &[0, 1]), (2, &[0, 2])]);
    world.change(&[(3, &[0, 3]), (4, &[0, 4])]);
    world.settle();
    let programmed = world.agent.programmed();
    assert_eq!((programmed.shortages.len(), &programmed.failure), (0, &None));
    assert_eq!(world.contents().services.len(), 2);
}

#[test]
fn a_service_that_fails_does_not_stop_the_others() {
    let mut world = World::new(ROOM);
    world.change(&[(1, &[1]), (2, &[1]), (3, &[1])]);
    world.tick();
    let tables = &mut world.agent.tables_mut().inner;
    // Behind the two backends and the peer of the new node: the rings of two services.
    tables.failing = (0..2).map(|number| tables.attempts + 3 + number).collect();
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
    let is_shared = |op: &Op| matches!(op, Op::SetPeer(..) | Op::SetBackend(..));
    let services: &[(u8, &[u8])] = &[(1, &[0, 1]), (2, &[0, 1])];
    for (number, op) in changes(services).iter().enumerate() {
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

#[test]
fn a_ring_stays_where_only_owners_are_short() {
    // Room for this node as a fellow and for node 1 as a backend, but not as a fellow.
    let mut world = World::new(Capacity { backends: 3, ..ROOM });
    world.change(&[(1, &[1, 2])]);
    assert!(!world.agent.programmed().shortages.is_empty());
    let contents = world.contents();
    let service = contents.services.values().next().expect("a service");
    assert!(!service.ring.is_empty() && service.owners.is_empty(), "{service:?}");
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
    let is_deletion = |op: &Op| matches!(op, Op::DeleteEndpoint(_));
    let tables = &mut world.agent.tables_mut().inner;
    // DeleteService, ForgetService, then the endpoint.
    tables.failing = (0..12).map(|number| tables.attempts + 2 + number).collect();
    world.change(&[]);
    assert!(!world.agent.tables_mut().inner.log.iter().any(is_deletion));
    world.agent.tables_mut().inner.failing.clear();
    world.tick();
    assert!(world.agent.tables_mut().inner.endpoints.is_empty());
    assert!(world.agent.programmed().is_settled());
}

#[test]
fn an_id_waits_for_two_ticks_also_if_they_are_late() {
    let mut world = World::new(Capacity { services: 1, ..ROOM });
    for number in 1..5 {
        world.change(&[(number, &[1])]);
        world.settle();
        assert_eq!(world.contents().services.len(), 1);
    }
}
