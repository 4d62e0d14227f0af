use proptest::prelude::*;

use super::*;
use crate::model::Protocol;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn node(name: &str, addresses: &[&str], director: bool) -> (Arc<str>, Arc<Node>) {
    let addresses = addresses.iter().map(|a| ip(a)).collect();
    (name.into(), Arc::new(Node { name: name.into(), addresses, director }))
}

fn service(vip: &str, delivery: DeliveryMode, backends: Backends) -> (Frontend, Arc<Service>) {
    let frontend = Frontend { vip: ip(vip), port: 80, protocol: Protocol::Tcp };
    (frontend, Arc::new(Service { name: "default/web".into(), frontend, delivery, backends }))
}

fn endpoints(list: &[(&str, &str)]) -> Backends {
    let one = |(node, addr): &(&str, &str)| Endpoint { node: (*node).into(), addr: ip(addr), port: 8080 };
    Backends::Endpoints(list.iter().map(one).collect())
}

fn hop(gateway: Option<&str>, mac: Option<[u8; 6]>) -> Reach {
    Reach::Via(NextHop {
        ifindex: 2,
        interface: "eth0".into(),
        source: ip("10.0.0.250"),
        on_link: gateway.is_none(),
        gateway: gateway.map(ip),
        mtu: 1500,
        src_mac: [2; 6],
        dst_mac: mac,
    })
}

fn cluster(services: Vec<(Frontend, Arc<Service>)>) -> Cluster {
    let nodes = [
        node("director", &["10.0.0.1"], true),
        node("near", &["10.0.0.2", "fd00::2"], false),
        node("far", &["10.1.0.3", "fd01::3"], false),
    ];
    Cluster { services: services.into_iter().collect(), nodes: nodes.into_iter().collect() }
}

fn hops() -> NextHops {
    let mac = Some([4; 6]);
    [
        (ip("10.0.0.1"), Reach::Local),
        (ip("10.0.0.2"), hop(None, mac)),
        (ip("fd00::2"), hop(None, mac)),
        (ip("10.1.0.3"), hop(Some("10.0.0.254"), mac)),
        (ip("fd01::3"), hop(Some("10.0.0.254"), None)),
    ]
    .into_iter()
    .collect()
}

fn me(name: &str, roles: u32) -> Identity {
    Identity { node: name.into(), roles }
}

fn planned(cluster: &Cluster, me: &Identity) -> Plan {
    plan(cluster, me, &hops(), &mut RingCache::default())
}

fn backend_of<'a>(plan: &'a Plan, addr: &str) -> &'a maps::Backend {
    let found = plan.backends.iter().find(|(key, _)| key.addr == Addr::from(ip(addr)));
    found.unwrap_or_else(|| panic!("no backend {addr} in {:?}", plan.backends)).1
}

fn both(delivery: DeliveryMode) -> Plan {
    let backends = endpoints(&[("near", "10.9.0.1"), ("far", "10.9.1.1")]);
    planned(&cluster(vec![service("192.0.2.1", delivery, backends)]), &me("director", roles::DIRECTOR))
}

#[test]
fn auto_takes_l2_on_the_same_link_and_ipip_beyond() {
    let plan = both(DeliveryMode::Auto);
    assert_eq!(backend_of(&plan, "10.0.0.2").delivery, delivery::L2);
    assert_eq!(backend_of(&plan, "10.1.0.3").delivery, delivery::IPIP4);
}

#[test]
fn ipip_is_taken_on_the_same_link_where_asked_for() {
    assert_eq!(backend_of(&both(DeliveryMode::Ipip), "10.0.0.2").delivery, delivery::IPIP4);
}

#[test]
fn l2_through_a_gateway_is_not_usable() {
    let plan = both(DeliveryMode::L2);
    assert_ne!(backend_of(&plan, "10.0.0.2").flags & backend_flags::RESOLVED, 0);
    assert_eq!(backend_of(&plan, "10.1.0.3").flags & backend_flags::RESOLVED, 0);
}

#[test]
fn a_backend_is_addressed_in_the_family_of_the_vip_where_it_can_be() {
    let backends = endpoints(&[("near", "fd09::1"), ("far", "fd09::2")]);
    let cluster = cluster(vec![service("2001:db8::1", DeliveryMode::Ipip, backends)]);
    let plan = planned(&cluster, &me("director", roles::DIRECTOR));
    assert_eq!(backend_of(&plan, "fd00::2").delivery, delivery::IPIP6);
    // Its next hop does not answer.
    assert_eq!(backend_of(&plan, "fd01::3").flags & backend_flags::RESOLVED, 0);
}

#[test]
fn tunnels_begin_at_the_address_that_nodes_know() {
    let plan = both(DeliveryMode::Auto);
    let far = backend_of(&plan, "10.1.0.3");
    assert_eq!(far.outer_src, Addr::from(ip("10.0.0.1")));
    assert_eq!(far.outer_sum, maps::Backend::outer_sum(&far.outer_src, &far.outer_dst));
    assert_eq!((far.macs, far.ifindex, far.mtu), ([4, 4, 4, 4, 4, 4, 2, 2, 2, 2, 2, 2], 2, 1500));
}

#[test]
fn a_member_weighs_as_much_as_it_has_endpoints() {
    let backends = endpoints(&[("near", "10.9.0.1"), ("near", "10.9.0.2"), ("far", "10.9.1.1")]);
    let cluster = cluster(vec![service("192.0.2.1", DeliveryMode::Auto, backends)]);
    let plan = planned(&cluster, &me("director", roles::DIRECTOR));
    let service = plan.services.values().next().unwrap();
    let slots = |addr: &str| {
        let member = service.members.iter().position(|(key, _)| key.addr == Addr::from(ip(addr))).unwrap();
        service.ring.iter().filter(|slot| usize::from(**slot) == member).count()
    };
    assert_eq!(slots("10.0.0.2") + slots("10.1.0.3"), 509);
    assert!(slots("10.0.0.2").abs_diff(2 * slots("10.1.0.3")) <= 3);
}

#[test]
fn a_node_gets_its_own_endpoints_and_no_rings() {
    let backends = endpoints(&[("near", "10.9.0.1"), ("far", "10.9.1.1")]);
    let cluster = cluster(vec![service("192.0.2.1", DeliveryMode::Auto, backends)]);
    let plan = planned(&cluster, &me("far", roles::NODE));
    let service = plan.services.values().next().unwrap();
    assert_eq!(service.endpoints.len(), 1);
    assert_eq!(service.endpoints[0].addr, Addr::from(ip("10.9.1.1")));
    assert!(service.ring.is_empty() && plan.backends.is_empty());
    assert!(targets(&cluster, &me("far", roles::NODE)).is_empty());
}

#[test]
fn peers_are_all_nodes_with_their_roles() {
    let plan = planned(&cluster(vec![]), &me("near", roles::NODE));
    let roles_of = |addr: &str| plan.peers[&Addr::from(ip(addr))].roles;
    assert_eq!(roles_of("10.0.0.1"), roles::NODE | roles::DIRECTOR);
    assert_eq!(roles_of("fd00::2"), roles::NODE | roles::SELF);
    assert_eq!(roles_of("10.1.0.3"), roles::NODE);
}

#[test]
fn bare_servers_are_marked() {
    let bare = Backends::Bare(vec![ip("10.0.0.2")]);
    let cluster = cluster(vec![service("192.0.2.1", DeliveryMode::Auto, bare)]);
    let plan = planned(&cluster, &me("director", roles::DIRECTOR));
    let service = plan.services.values().next().unwrap();
    assert_eq!(service.flags, service_flags::BARE);
    assert_ne!(backend_of(&plan, "10.0.0.2").flags & backend_flags::BARE, 0);
    assert!(service.endpoints.is_empty());
}

proptest! {
    /// What an adopting agent reads back names the same backend.
    #[test]
    fn the_key_of_a_backend_survives_the_kernel(n: u8, bare: bool, mode in 0..3) {
        let mode = [DeliveryMode::Auto, DeliveryMode::L2, DeliveryMode::Ipip][mode as usize];
        let key = BackendKey { addr: Addr::from(IpAddr::from([10, 0, 0, n])), mode, bare };
        for hops in [hops(), NextHops::new()] {
            prop_assert_eq!(BackendKey::of(&backend(&key, None, &hops)), key);
        }
    }
}
