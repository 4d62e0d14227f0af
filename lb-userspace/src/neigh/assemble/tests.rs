use super::*;
use crate::neigh::routing::{Link, Neighbour};

const LINK_MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
const PEER_MAC: [u8; 6] = [2, 0, 0, 0, 0, 2];

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn link() -> Link {
    let (name, mac) = ("eth0".into(), Some(LINK_MAC));
    Link { name, mtu: 1500, up: true, running: true, mac, vlan: None, controller: None }
}

fn route_via(source: &str, gateway: Option<&str>, mtu: Option<u32>) -> Route {
    Route::Via { ifindex: 7, source: Some(ip(source)), gateway: gateway.map(ip), mtu }
}

fn neighbours_with(address: &str, mac: Option<[u8; 6]>, tended: bool) -> Neighbours {
    [(NeighbourKey { ifindex: 7, address: ip(address) }, Neighbour { mac, tended })].into()
}

#[test]
fn a_route_with_its_link_and_neighbour_is_a_next_hop() {
    let some = Some(PEER_MAC);
    let table = [
        // target, source, gateway, route's MTU, neighbour's address and MAC -> MTU, MAC
        ("192.0.2.9", "192.0.2.1", None, None, "192.0.2.9", some, 1500, some),
        ("2001:db8::9", "2001:db8::1", None, None, "2001:db8::9", some, 1500, some),
        ("192.0.2.9", "192.0.2.1", None, None, "192.0.2.8", some, 1500, None),
        ("192.0.2.9", "192.0.2.1", None, None, "192.0.2.9", None, 1500, None),
        ("198.51.100.1", "192.0.2.1", Some("192.0.2.254"), Some(1400), "192.0.2.254", some, 1400, some),
        ("198.51.100.1", "192.0.2.1", Some("192.0.2.254"), Some(9000), "192.0.2.254", some, 1500, some),
        ("198.51.100.1", "192.0.2.1", Some("192.0.2.254"), None, "198.51.100.1", some, 1500, None),
        ("198.51.100.1", "192.0.2.1", Some("fe80::1"), None, "fe80::1", some, 1500, some),
        ("2001:db8:1::1", "2001:db8::1", Some("fe80::1"), None, "fe80::1", some, 1500, some),
    ];
    for row @ (target, source, gateway, route_mtu, neighbour, mac, mtu, dst_mac) in table {
        let route = route_via(source, gateway, route_mtu);
        let reach = assemble_next_hop(
            ip(target),
            &route,
            &[(7, link())].into(),
            &neighbours_with(neighbour, mac, false),
        );
        let want = NextHop {
            ifindex: 7,
            interface: "eth0".into(),
            device: 7,
            tags: vec![],
            source: ip(source),
            on_link: gateway.is_none(),
            gateway: gateway.map(ip),
            mtu,
            src_mac: LINK_MAC,
            dst_mac,
            is_silent: false,
        };
        assert_eq!(reach, Reach::Via(want), "{row:?}");
    }
}

#[test]
fn a_neighbour_counts_on_its_own_interface_only() {
    let neighbours = [(
        NeighbourKey { ifindex: 8, address: ip("192.0.2.9") },
        Neighbour { mac: Some(PEER_MAC), tended: false },
    )];
    let reach = assemble_next_hop(
        ip("192.0.2.9"),
        &route_via("192.0.2.1", None, None),
        &[(7, link())].into(),
        &Neighbours::from(neighbours),
    );
    assert!(matches!(reach, Reach::Via(NextHop { dst_mac: None, .. })), "{reach:?}");
}

#[test]
fn without_a_usable_link_a_target_is_unreachable() {
    let route = route_via("192.0.2.1", None, None);
    let no_source = Route::Via { ifindex: 7, source: None, gateway: None, mtu: None };
    let table = [
        (Route::None("no route".into()), Some(link()), "no route"),
        (route.clone(), None, "its interface (index 7) is gone"),
        (route.clone(), Some(Link { up: false, running: false, ..link() }), "interface eth0 is down"),
        (route.clone(), Some(Link { running: false, ..link() }), "interface eth0 has no carrier"),
        (route, Some(Link { mac: None, ..link() }), "interface eth0 has no Ethernet addresses"),
        (no_source, Some(link()), "there is no usable IPv4 address to send from"),
    ];
    for (route, link, reason) in table {
        let links = link.into_iter().map(|link| (7, link)).collect();
        let reach = assemble_next_hop(ip("192.0.2.9"), &route, &links, &Neighbours::new());
        assert_eq!(reach, Reach::Unreachable(reason.into()));
    }
}

#[test]
fn own_addresses_need_no_link() {
    let reach = assemble_next_hop(ip("192.0.2.1"), &Route::Local, &Links::new(), &Neighbours::new());
    assert_eq!(reach, Reach::Local);
}
