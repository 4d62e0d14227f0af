use netlink_packet_route::route::RouteNextHop;

use super::*;
use crate::neigh::{
    routing::Link,
    tag::{Tag, Vlan},
};

fn route(prefix_length: u8, attributes: Vec<RouteAttribute>) -> RouteMessage {
    let mut message = RouteMessage::default();
    message.header.destination_prefix_length = prefix_length;
    message.header.kind = RouteType::Unicast;
    message.header.table = RouteHeader::RT_TABLE_MAIN;
    message.attributes = attributes;
    message
}

fn default_by(interface: u32, metric: u32) -> RouteMessage {
    route(0, vec![RouteAttribute::Priority(metric), RouteAttribute::Oif(interface)])
}

fn multipath(interfaces: [u32; 2]) -> RouteMessage {
    let hop = |interface_index| {
        let mut hop = RouteNextHop::default();
        hop.interface_index = interface_index;
        hop
    };
    route(0, vec![RouteAttribute::MultiPath(interfaces.map(hop).to_vec())])
}

#[test]
fn default_routes_that_are_preferred_name_the_interfaces() {
    let mut of_another_table = default_by(8, 0);
    of_another_table.header.table = 100;
    let mut unreachable = default_by(1, 0);
    unreachable.header.kind = RouteType::Unreachable;
    let without_metric = route(0, vec![RouteAttribute::Oif(2)]);
    let table = [
        (vec![], vec![]),
        (vec![route(24, vec![RouteAttribute::Oif(9)]), default_by(2, 100)], vec![2]),
        (vec![default_by(3, 600), default_by(2, 100)], vec![2]),
        (vec![without_metric.clone(), default_by(3, 100)], vec![2]),
        // Routers that advertise themselves: IPv6 has a route for each.
        (vec![default_by(3, 1024), default_by(2, 1024)], vec![2, 3]),
        (vec![multipath([5, 4])], vec![4, 5]),
        (vec![of_another_table, unreachable, default_by(2, 100)], vec![2]),
    ];
    for (routes, want) in table {
        assert_eq!(default_interfaces(&routes), want.into_iter().collect(), "{routes:?}");
    }
}

fn link(name: &str, vlan_on: Option<Option<u32>>) -> Link {
    let vlan = vlan_on.map(|below| Vlan { below, tag: Tag { kind: 0x8100, id: 20 } });
    Link { name: name.into(), mtu: 1500, up: true, running: true, mac: Some([2; 6]), vlan, controller: None }
}

#[test]
fn uplinks_are_the_devices_below_vlans() {
    let links = Links::from([
        (2, link("eth0", None)),
        (3, link("eth0.20", Some(Some(2)))),
        (4, link("eth1", None)),
        (5, link("moved", Some(None))),
        (7, Link { mac: None, ..link("wg0", None) }),
    ]);
    let names = |interfaces: &[u32]| device_names(&interfaces.iter().copied().collect(), &links);
    assert_eq!(names(&[3]).unwrap(), ["eth0"]);
    assert_eq!(names(&[2, 3, 4, 7]).unwrap(), ["eth0", "eth1"]);
    let wrong = [(5, "in another network namespace"), (6, "has gone"), (7, "no Ethernet device")];
    for (interface, told) in wrong {
        let error = names(&[interface]).unwrap_err().to_string();
        assert!(error.contains(told), "{error}");
    }
}
