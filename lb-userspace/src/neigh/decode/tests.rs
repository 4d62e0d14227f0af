use std::net::Ipv6Addr;

use netlink_packet_route::{link::VlanProtocol, route::RouteNextHop};

use super::*;

const MAC: [u8; 6] = [2, 0, 0, 0, 0, 2];

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn route_reply(kind: RouteType, attributes: Vec<RouteAttribute>) -> RouteMessage {
    let mut message = RouteMessage::default();
    message.header.kind = kind;
    message.attributes = attributes;
    message
}

fn no_route_because(reason: &str) -> Route {
    Route::None(reason.into())
}

#[test]
fn route_replies_become_routes() {
    use RouteAttribute::*;
    let (target, source) = (ip("198.51.100.1"), ip("192.0.2.1"));
    let gateway: IpAddr = ip("192.0.2.254");
    let six: Ipv6Addr = "fe80::1".parse().unwrap();
    let via = |gateway, mtu| Route::Via { ifindex: 7, source: Some(source), gateway, mtu };
    let with = |more: Vec<RouteAttribute>| {
        route_reply(RouteType::Unicast, [vec![Oif(7), PrefSource(source.into())], more].concat())
    };
    let table = [
        (with(vec![]), via(None, None)),
        (with(vec![Gateway(gateway.into())]), via(Some(gateway), None)),
        (with(vec![Gateway(target.into())]), via(None, None)),
        (with(vec![Via(RouteVia::Inet6(six))]), via(Some(six.into()), None)),
        (with(vec![Metrics(vec![RouteMetric::Lock(4), RouteMetric::Mtu(1400)])]), via(None, Some(1400))),
        (with(vec![Metrics(vec![RouteMetric::Mtu(0)])]), via(None, None)),
        (
            with(vec![EncapType(RouteLwEnCapType::Mpls)]),
            no_route_because("the route to it encapsulates (Mpls)"),
        ),
        (route_reply(RouteType::Unicast, vec![]), no_route_because("the route to it has no interface")),
        (
            route_reply(RouteType::Unicast, vec![MultiPath(vec![RouteNextHop::default()])]),
            no_route_because("the route to it has no interface"),
        ),
        (
            route_reply(RouteType::Unicast, vec![Oif(7)]),
            Route::Via { ifindex: 7, source: None, gateway: None, mtu: None },
        ),
        (route_reply(RouteType::Local, vec![Oif(1)]), Route::Local),
        (
            route_reply(RouteType::Broadcast, vec![Oif(7)]),
            no_route_because("it is a broadcast or multicast address"),
        ),
        (route_reply(RouteType::BlackHole, vec![]), no_route_because("the route to it is of type blackhole")),
        (route_reply(RouteType::Prohibit, vec![]), no_route_because("the route to it is of type prohibit")),
        (
            route_reply(RouteType::Unreachable, vec![]),
            no_route_because("the route to it is of type unreachable"),
        ),
        (route_reply(RouteType::Other(99), vec![]), no_route_because("the route to it is of type Other(99)")),
    ];
    for (message, want) in table {
        assert_eq!(route(target, &message), want, "{message:?}");
    }
}

#[test]
fn refused_lookups_become_reasons() {
    let table = [
        (libc::ENETUNREACH, "there is no route to it"),
        (libc::EHOSTUNREACH, "the route to it is of type unreachable"),
        (libc::EACCES, "the route to it is of type prohibit"),
        (libc::EINVAL, "the route to it is of type blackhole"),
        (libc::ENODEV, "the kernel finds no route to it: No such device (os error 19)"),
    ];
    for (errno, reason) in table {
        assert_eq!(no_route(&io::Error::from_raw_os_error(errno)), no_route_because(reason));
    }
}

#[test]
fn link_messages_become_links() {
    let mut message = LinkMessage::default();
    message.header.index = 7;
    message.header.link_layer_type = LinkLayerType::Ether;
    message.header.flags = LinkFlags::Up | LinkFlags::Running;
    message.attributes = vec![
        LinkAttribute::IfName("eth0".into()),
        LinkAttribute::Mtu(1500),
        LinkAttribute::Address(MAC.to_vec()),
    ];
    let want = Link {
        name: "eth0".into(),
        mtu: 1500,
        up: true,
        running: true,
        mac: Some(MAC),
        vlan: None,
        controller: None,
    };
    assert_eq!(link(&message), Some((7, want.clone())));
    message.header.flags = LinkFlags::Up;
    assert_eq!(link(&message), Some((7, Link { running: false, ..want.clone() })));
    message.header.flags = LinkFlags::Up | LinkFlags::Running;
    message.header.link_layer_type = LinkLayerType::Tunnel;
    assert_eq!(link(&message), Some((7, Link { mac: None, ..want.clone() })));
    message.header.link_layer_type = LinkLayerType::Ether;
    message.attributes[2] = LinkAttribute::Address(vec![10, 0, 0, 1]);
    assert_eq!(link(&message), Some((7, Link { mac: None, ..want })));
    message.attributes.push(LinkAttribute::Controller(9));
    assert_eq!(link(&message).unwrap().1.controller, Some(9));
    message.attributes.clear();
    assert_eq!(link(&message), None);
}

#[test]
fn what_a_bond_or_a_bridge_takes_packets_from_is_a_port() {
    let with = |infos| {
        let mut message = LinkMessage::default();
        message.attributes = vec![LinkAttribute::Controller(9), LinkAttribute::LinkInfo(infos)];
        is_port(&message)
    };
    for kind in [InfoPortKind::Bond, InfoPortKind::Bridge, InfoPortKind::Team] {
        assert!(with(vec![LinkInfo::Kind(InfoKind::Veth), LinkInfo::PortKind(kind)]));
    }
    assert!(!with(vec![LinkInfo::PortKind(InfoPortKind::Vrf)]));
    assert!(!with(vec![LinkInfo::Kind(InfoKind::Bond)]) && !with(vec![]));
    assert!(!is_port(&LinkMessage::default()));
}

#[test]
fn vlan_devices_have_a_tag_and_a_device_below() {
    let vlan = |data| vec![LinkInfo::Kind(InfoKind::Vlan), LinkInfo::Data(InfoData::Vlan(data))];
    let ad = InfoVlan::Protocol(VlanProtocol::Ieee8021Ad);
    let below = LinkAttribute::Link(7);
    let elsewhere = LinkAttribute::LinkNetNsId(3);
    let some = |below, kind, id| Some(Vlan { below, tag: Tag { kind, id } });
    let table = [
        (
            vec![below.clone(), LinkAttribute::LinkInfo(vlan(vec![InfoVlan::Id(20)]))],
            some(Some(7), 0x8100, 20),
        ),
        (
            vec![below.clone(), LinkAttribute::LinkInfo(vlan(vec![InfoVlan::Id(20), ad]))],
            some(Some(7), 0x88a8, 20),
        ),
        (
            vec![below.clone(), elsewhere, LinkAttribute::LinkInfo(vlan(vec![InfoVlan::Id(20)]))],
            some(None, 0x8100, 20),
        ),
        (vec![below.clone(), LinkAttribute::LinkInfo(vlan(vec![]))], None),
        (vec![below, LinkAttribute::LinkInfo(vec![LinkInfo::Kind(InfoKind::Veth)])], None),
    ];
    for (attributes, want) in table {
        let mut message = LinkMessage::default();
        message.attributes = vec![LinkAttribute::IfName("eth0.20".into()), LinkAttribute::Mtu(1500)];
        message.attributes.extend(attributes);
        assert_eq!(link(&message).unwrap().1.vlan, want);
    }
}

fn neighbour_entry(state: NeighbourState, mac: Option<&[u8]>) -> NeighbourMessage {
    let mut message = NeighbourMessage::default();
    message.header.ifindex = 7;
    message.header.state = state;
    message.attributes.push(NeighbourAttribute::Destination(ip("192.0.2.9").into()));
    message.attributes.extend(mac.map(|mac| NeighbourAttribute::LinkLayerAddress(mac.to_vec())));
    message
}

#[test]
fn neighbours_are_resolved_in_usable_states() {
    use NeighbourState::*;
    let table = [
        (Reachable, true, false),
        (Stale, true, false),
        (Delay, true, false),
        (Probe, true, false),
        (Permanent, true, true),
        (Noarp, true, true),
        (Incomplete, false, false),
        (Failed, false, false),
        (None, false, false),
        (Other(0x200), false, false),
    ];
    let hop = NeighbourKey { ifindex: 7, address: ip("192.0.2.9") };
    for (state, usable, tended) in table {
        let mac = usable.then_some(MAC);
        assert_eq!(
            neighbour(&neighbour_entry(state, Some(&MAC))),
            Some((hop, Neighbour { mac, tended })),
            "{state}"
        );
        let bare = Neighbour { mac: Option::None, tended };
        assert_eq!(neighbour(&neighbour_entry(state, Option::None)), Some((hop, bare)), "{state}");
    }
    let (_, infiniband) = neighbour(&neighbour_entry(Reachable, Some(&[0; 20]))).unwrap();
    assert_eq!(infiniband.mac, Option::None);
}

#[test]
fn neighbours_that_others_manage_are_tended() {
    let mut learned = neighbour_entry(NeighbourState::Reachable, Some(&MAC));
    learned.header.flags = NeighbourFlags::ExtLearned;
    assert!(neighbour(&learned).unwrap().1.tended);
    let mut managed = neighbour_entry(NeighbourState::Reachable, Some(&MAC));
    managed.attributes.push(NeighbourAttribute::ExtFlags(NeighbourExtFlags::Managed));
    assert!(neighbour(&managed).unwrap().1.tended);
    assert_eq!(neighbour(&NeighbourMessage::default()), None);
}

#[test]
fn addresses_that_this_machine_answers_for_are_no_neighbours() {
    let mut proxy = neighbour_entry(NeighbourState::Permanent, Some(&MAC));
    proxy.header.flags = NeighbourFlags::Proxy;
    assert_eq!(neighbour(&proxy), None);
}
