use proptest::prelude::*;

use super::*;
use crate::neigh::{
    next_hop::{Mac, NextHop},
    routing::{Link, Neighbour, Route},
};

const MACS: [Mac; 2] = [[2, 0, 0, 0, 0, 2], [2, 0, 0, 0, 0, 3]];

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn key(address: &str) -> NeighbourKey {
    NeighbourKey { ifindex: 7, address: ip(address) }
}

fn via(gateway: Option<&str>) -> Route {
    Route::Via { ifindex: 7, source: Some(ip("192.0.2.1")), gateway: gateway.map(ip), mtu: None }
}

fn answering(mac: Mac) -> Neighbour {
    Neighbour { mac: Some(mac), tended: false }
}

/// Two targets behind a gateway, and one on link, which the gateway may be too.
fn routing(neighbours: Neighbours) -> Routing {
    let (name, mac) = ("eth0".into(), Some([2; 6]));
    let link = Link { name, mtu: 1500, up: true, running: true, mac, vlan: None, controller: None };
    let routes = [
        (ip("192.0.2.9"), via(None)),
        (ip("198.51.100.1"), via(Some("192.0.2.254"))),
        (ip("198.51.100.2"), via(Some("192.0.2.254"))),
        (ip("192.0.2.1"), Route::Local),
        (ip("203.0.113.1"), Route::None("no route".into())),
    ];
    Routing { routes: routes.into(), links: [(7, link)].into(), neighbours }
}

fn view(neighbours: impl Into<Neighbours>) -> View {
    let mut view = View::default();
    view.replace(routing(neighbours.into()));
    view
}

fn mac_of(view: &View, target: &str) -> Option<Mac> {
    match view.next_hops().get(&ip(target)) {
        Some(Reach::Via(NextHop { dst_mac, .. })) => *dst_mac,
        other => panic!("{target}: {other:?}"),
    }
}

fn change(address: &str, neighbour: Option<Neighbour>) -> NeighbourChange {
    NeighbourChange { key: key(address), neighbour }
}

#[test]
fn the_neighbours_that_targets_are_reached_by_are_known() {
    let found = |tended| {
        let gateway = (key("192.0.2.254"), Neighbour { tended, ..answering(MACS[0]) });
        let stranger = (key("192.0.2.77"), answering(MACS[0]));
        view([gateway, stranger]).neighbours().collect::<Vec<_>>()
    };
    let (target, gateway) = (key("192.0.2.9"), key("192.0.2.254"));
    assert_eq!(found(false), [(target, Nudged::Unresolved), (gateway, Nudged::Resolved)]);
    assert_eq!(found(true), [(target, Nudged::Unresolved), (gateway, Nudged::Tended)]);
}

#[test]
fn a_change_reaches_the_targets_behind_the_neighbour() {
    let mut view = view([]);
    let resolved = Consequence { nudged: Nudged::Resolved, may_reroute: false };
    assert_eq!(view.apply(change("192.0.2.9", Some(answering(MACS[0])))), Some(resolved));
    assert_eq!(mac_of(&view, "192.0.2.9"), Some(MACS[0]));
    assert_eq!(mac_of(&view, "198.51.100.1"), None);
    assert_eq!(view.apply(change("192.0.2.9", Some(answering(MACS[0])))), None, "it is so already");
    assert_eq!(view.apply(change("192.0.2.77", Some(answering(MACS[0])))), None, "nobody needs it");
    let elsewhere = NeighbourKey { ifindex: 8, ..key("192.0.2.9") };
    assert_eq!(view.apply(NeighbourChange { key: elsewhere, neighbour: None }), None);
    let tended = Neighbour { tended: true, ..answering(MACS[1]) };
    let consequence = view.apply(change("192.0.2.9", Some(tended)));
    assert_eq!(consequence, Some(Consequence { nudged: Nudged::Tended, may_reroute: false }));
    assert_eq!(mac_of(&view, "192.0.2.9"), Some(MACS[1]));
    let lost = Consequence { nudged: Nudged::Unresolved, may_reroute: false };
    assert_eq!(view.apply(change("192.0.2.9", None)), Some(lost));
    assert_eq!(mac_of(&view, "192.0.2.9"), None);
}

#[test]
fn routes_are_looked_at_when_a_gateway_begins_or_ceases_to_answer() {
    let mut view = view([]);
    let silent = Neighbour { mac: None, tended: false };
    let steps = [
        (Some(silent.clone()), false),
        (Some(answering(MACS[0])), true),
        (Some(answering(MACS[1])), false),
        (Some(silent), true),
        (None, false),
    ];
    for (neighbour, may_reroute) in steps {
        let mac = neighbour.as_ref().and_then(|neighbour| neighbour.mac);
        let consequence = view.apply(change("192.0.2.254", neighbour.clone())).unwrap();
        assert_eq!(consequence.may_reroute, may_reroute, "{neighbour:?}");
        for target in ["198.51.100.1", "198.51.100.2"] {
            assert_eq!(mac_of(&view, target), mac, "{neighbour:?}");
        }
    }
}

#[test]
fn a_reading_replaces_all_and_shares_what_it_finds_again() {
    let mut view = view([]);
    view.apply(change("192.0.2.9", Some(answering(MACS[0]))));
    let before = view.next_hops().clone();
    let mut read = routing([(key("192.0.2.9"), answering(MACS[0]))].into());
    view.replace(Routing {
        routes: read.routes.clone(),
        links: read.links.clone(),
        neighbours: read.neighbours.clone(),
    });
    assert!(view.next_hops().ptr_eq(&before));
    read.routes.remove(&ip("192.0.2.9"));
    view.replace(read);
    assert_eq!(view.next_hops().len(), before.len() - 1);
    assert_eq!(view.apply(change("192.0.2.9", None)), None);
}

fn any_neighbour() -> impl Strategy<Value = Option<Neighbour>> {
    let mac = prop_oneof![Just(None), prop::sample::select(&MACS[..]).prop_map(Some)];
    prop::option::of((mac, any::<bool>()).prop_map(|(mac, tended)| Neighbour { mac, tended }))
}

fn any_change() -> impl Strategy<Value = NeighbourChange> {
    let address = prop::sample::select(&["192.0.2.9", "192.0.2.254", "192.0.2.77"][..]);
    (address, any_neighbour()).prop_map(|(address, neighbour)| change(address, neighbour))
}

proptest! {
    #[test]
    fn changes_that_are_applied_give_what_a_reading_would(
        changes in prop::collection::vec(any_change(), 0..12)
    ) {
        let (mut view, mut neighbours) = (view([]), Neighbours::new());
        for change in changes {
            match change.neighbour.clone() {
                Some(neighbour) => neighbours.insert(change.key, neighbour),
                None => neighbours.remove(&change.key),
            };
            view.apply(change);
            let read = self::view(neighbours.clone());
            prop_assert_eq!(view.next_hops(), read.next_hops());
            prop_assert!(view.neighbours().eq(read.neighbours()));
        }
    }
}
