//! Maps that are too small, for one thing each.

use lb_common::maps::service_flags;

use super::*;

fn shortages(world: &World) -> Vec<Shortage> {
    world.agent.programmed().shortages.iter().cloned().collect()
}

/// Nodes by number in the ring of service 1, by what is in the maps.
fn ring_nodes(world: &World) -> BTreeSet<Addr> {
    let contents = world.contents();
    let service = contents.services.values().next().expect("a service");
    service.ring.iter().map(|key| key.addr).collect()
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
    world.tick();
    world.change(&[(2, &[1])]);
    for _ in 0..2 {
        world.tick();
        assert_eq!(world.agent.programmed().shortages.len(), 1, "the id has to rest, and to be swept");
    }
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
fn a_ring_stays_where_only_owners_are_short() {
    // Room for this node as a fellow and for node 1 as a backend, but not as a fellow.
    let mut world = World::new(Capacity { backends: 3, ..ROOM });
    world.change(&[(1, &[1, 2])]);
    assert!(!world.agent.programmed().shortages.is_empty());
    let contents = world.contents();
    let service = contents.services.values().next().expect("a service");
    assert!(!service.ring.is_empty() && service.owners.is_empty(), "{service:?}");
}

#[test]
fn one_id_is_enough_for_one_service_after_the_other() {
    let mut world = World::new(Capacity { services: 1, ..ROOM });
    for number in 1..5 {
        world.change(&[(number, &[1])]);
        world.settle();
        assert_eq!(world.contents().services.len(), 1);
    }
}

/// Endpoints that are gone must not stay because there is no room for a new ring.
#[test]
fn endpoints_follow_also_without_room_for_a_ring() {
    let mut world = World::new(Capacity { ring_slots: 32 + RING, ..ROOM });
    world.change(&[(1, &[0, 1])]);
    world.change(&[(1, &[1])]);
    assert_eq!(world.agent.programmed().shortages.len(), 1);
    assert!(world.agent.tables_mut().inner.endpoints.is_empty());
    assert_eq!(ring_nodes(&world), [node(0), node(1)].into(), "the old ring stays");
}

/// Without room for its ranges a service goes on as it was, but without endpoints that are gone.
#[test]
fn endpoints_follow_also_without_room_for_ranges() {
    let mut world = World::new(Capacity { ranges: 1, ..ROOM });
    world.set_objects(Objects::with_endpoints(&[(1, &[0])]).with_ranges(&[1]));
    world.set_objects(Objects::with_endpoints(&[(1, &[1])]).with_ranges(&[2, 3]));
    assert_eq!(world.agent.programmed().shortages.len(), 1);
    let contents = world.contents();
    let service = contents.services.values().next().expect("a service");
    assert_eq!((service.endpoints.len(), service.ranges.len()), (0, 1));
    assert_ne!(service.entry.flags & service_flags::RANGES, 0, "nobody else is admitted");
}

#[test]
fn without_room_for_a_vip_the_services_of_others_are_proven() {
    let mut world = World::new(Capacity { vips: 1, ..ROOM });
    world.change(&[(1, &[0, 1]), (2, &[0, 1])]);
    assert_eq!(shortages(&world), [Shortage::Vips(Addr::from(IpAddr::from([192, 0, 2, 2])))]);
    assert_eq!((world.proven(), &world.agent.programmed().failure), (vec![1], &None));
    world.change(&[(2, &[0, 1])]);
    assert_eq!((world.proven(), shortages(&world)), (vec![2], vec![]), "there is room at once");
}

#[test]
fn without_room_for_a_peer_all_services_are_proven() {
    let mut world = World::new(Capacity { peers: 2, ..ROOM });
    world.change(&[(1, &[0, 1]), (2, &[0, 2])]);
    assert_eq!(shortages(&world), [Shortage::Peers(node(2))]);
    assert_eq!((world.proven(), &world.agent.programmed().failure), (vec![1, 2], &None));
    world.change(&[(2, &[0, 2])]);
    assert_eq!((world.proven(), shortages(&world)), (vec![2], vec![]), "there is room at once");
}

/// The next service gets another id than the one that is gone; or after some time the same one, under which
/// there are endpoints already.
#[test]
fn endpoints_that_cannot_be_deleted_take_room_until_they_are() {
    for services in [8, 1] {
        let mut world = World::new(Capacity { services, endpoints: 3, ..ROOM });
        world.set_objects(Objects::with_endpoints_here(1, &[0, 1, 2]));
        world.agent.tables_mut().inner.refuses = Some(|op| matches!(op, Op::DeleteEndpoint(_)));
        world.set_objects(Objects::with_endpoints_here(2, &[0]));
        for _ in 0..6 {
            world.tick();
            let failure = world.agent.programmed().failure.as_deref();
            assert!(failure.is_some_and(|failure| failure.contains("DeleteEndpoint")), "{failure:?}");
            assert_eq!(world.agent.tables_mut().inner.endpoints.len(), 3);
        }
        world.agent.tables_mut().inner.refuses = None;
        world.settle();
        assert!(world.agent.programmed().is_settled(), "{:?}", shortages(&world));
        assert_eq!(world.agent.tables_mut().inner.endpoints.len(), 1);
    }
}
