mod by_changes;
mod local;
mod vips;

use lb_common::{
    Addr,
    maps::{self, backend_flags, delivery},
};
use proptest::prelude::*;

use super::*;
use crate::{
    neigh::{NextHop, Reach},
    objects::model::{self, DeliveryMode, Endpoint, Frontend, Node, Protocol},
    plan::backend::backend_entry,
};

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn node(name: &str, addresses: &[&str], director: bool) -> (Arc<str>, Arc<Node>) {
    let addresses = addresses.iter().map(|a| ip(a)).collect();
    (name.into(), Arc::new(Node { name: name.into(), addresses, director, ..Node::default() }))
}

fn service(vip: &str, delivery: DeliveryMode, backends: Backends) -> (Frontend, Arc<Service>) {
    let frontend = Frontend { vip: ip(vip), port: 80, protocol: Protocol::Tcp };
    (
        frontend,
        Arc::new(Service {
            name: "default/web".into(),
            frontend,
            delivery,
            local: false,
            backends,
            check: None,
            policy: model::Policy::default(),
        }),
    )
}

fn endpoints(list: &[(&str, &str)]) -> Backends {
    let one = |(node, addr): &(&str, &str)| Endpoint {
        node: (*node).into(),
        addr: ip(addr),
        port: 8080,
        draining: false,
    };
    Backends::Endpoints(list.iter().map(one).collect())
}

fn hop(gateway: Option<&str>, mac: Option<[u8; 6]>) -> Reach {
    Reach::Via(NextHop {
        interface: "eth0".into(),
        source: ip("10.0.0.250"),
        on_link: gateway.is_none(),
        gateway: gateway.map(ip),
        dst_mac: mac,
        ..NextHop::on_uplink()
    })
}

fn cluster(services: Vec<(Frontend, Arc<Service>)>) -> Cluster {
    let nodes = [
        node("director", &["10.0.0.1"], true),
        node("near", &["10.0.0.2", "fd00::2"], false),
        node("far", &["10.1.0.3", "fd01::3"], false),
    ];
    Cluster {
        services: services.into_iter().collect(),
        nodes: nodes.into_iter().collect(),
        ..Cluster::default()
    }
}

/// Of the service's members and, by the second node, of its endpoints.
#[test]
fn endpoints_that_drain_are_members_only_where_no_other_is() {
    let draining = |which: &[bool]| {
        let Backends::Endpoints(mut both) = endpoints(&[("near", "10.9.0.1"), ("far", "10.9.1.1")]) else {
            panic!("endpoints are not bare servers")
        };
        both.iter_mut().zip(which).for_each(|(endpoint, draining)| endpoint.draining = *draining);
        let cluster = cluster(vec![service("192.0.2.1", DeliveryMode::Auto, Backends::Endpoints(both))]);
        let plan = planned(&cluster, &me("near", roles::NODE | roles::DIRECTOR));
        let service = plan.services.values().next().unwrap();
        let members = service.members.iter().map(|(key, _)| IpAddr::from(key.addr)).collect::<Vec<_>>();
        (members, service.endpoints.len(), service.draining.len())
    };
    let (near, far) = (ip("10.0.0.2"), ip("10.1.0.3"));
    assert_eq!(draining(&[false, true]), (vec![near], 1, 0));
    assert_eq!(draining(&[true, false]), (vec![far], 0, 1));
    assert_eq!(draining(&[true, true]), (vec![far, near], 0, 1));
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
    Identity {
        node: name.into(),
        roles,
        asks_former_owners: true,
        bare_sources: Arc::default(),
        answer_echo: true,
        bgp_port: None,
    }
}

fn planned(cluster: &Cluster, me: &Identity) -> Plan {
    planned_with_dead(cluster, me, &Dead::new())
}

fn planned_with_dead(cluster: &Cluster, me: &Identity, dead: &Dead) -> Plan {
    Planner::default().plan(&Plan::default(), cluster, me, &hops(), dead, Instant::now())
}

fn backend_of<'a>(plan: &'a Plan, addr: &str) -> &'a maps::Backend {
    let found = plan.backends.iter().find(|(key, _)| key.addr == Addr::from(ip(addr)));
    found.unwrap_or_else(|| panic!("no backend {addr} in {:?}", plan.backends)).1
}

fn plan_of_both_nodes(delivery: DeliveryMode) -> Plan {
    let backends = endpoints(&[("near", "10.9.0.1"), ("far", "10.9.1.1")]);
    planned(&cluster(vec![service("192.0.2.1", delivery, backends)]), &me("director", roles::DIRECTOR))
}

#[test]
fn auto_takes_l2_on_the_same_link_and_gue_beyond() {
    let plan = plan_of_both_nodes(DeliveryMode::Auto);
    assert_eq!(backend_of(&plan, "10.0.0.2").delivery, delivery::L2);
    assert_eq!(backend_of(&plan, "10.1.0.3").delivery, delivery::GUE4);
}

#[test]
fn ipip_is_taken_on_the_same_link_where_asked_for() {
    assert_eq!(backend_of(&plan_of_both_nodes(DeliveryMode::Ipip), "10.0.0.2").delivery, delivery::IPIP4);
}

#[test]
fn a_node_offers_the_mss_of_its_narrowest_path() {
    let services = || {
        let backends = || endpoints(&[("near", "10.9.0.1")]);
        let mut bare = service("192.0.2.2", DeliveryMode::Auto, Backends::Bare(vec![ip("10.0.0.2")]));
        bare.0.port = 81;
        vec![
            service("192.0.2.1", DeliveryMode::Auto, backends()),
            service("2001:db8::1", DeliveryMode::Auto, backends()),
            bare,
        ]
    };
    let offered = |hops: &NextHops, name, roles| {
        let me = me(name, roles);
        let plan = Planner::default().plan(
            &Plan::default(),
            &cluster(services()),
            &me,
            hops,
            &Dead::new(),
            Instant::now(),
        );
        let mss =
            |vip: &str| plan.services.iter().find(|(key, _)| key.addr == Addr::from(ip(vip))).unwrap().1.mss;
        ["192.0.2.1", "2001:db8::1", "192.0.2.2"].map(mss)
    };
    // To the nearest, IPv4 comes in IPv4 and IPv6 in IPv6.
    let (v4, v6) = (1500 - 20 - 8 - 20, 1500 - 40 - 8 - 20);
    assert_eq!(offered(&hops(), "director", roles::NODE), [v4 - 40, v6 - 60, 0]);
    let mut narrow = hops();
    let Some(Reach::Via(far)) = narrow.get_mut(&ip("10.1.0.3")) else { panic!("{narrow:?}") };
    far.mtu = 1400;
    assert_eq!(offered(&narrow, "director", roles::NODE), [v4 - 140, v6 - 60, 0]);
    assert_eq!(offered(&hops(), "director", roles::DIRECTOR), [0, 0, 0], "no Pods, no offers");
    let nowhere = hops().keys().map(|target| (*target, Reach::Unreachable("no route".into()))).collect();
    assert_eq!(offered(&nowhere, "director", roles::NODE), [0, 0, 0], "nobody else is reached");
}

#[test]
fn l2_through_a_gateway_is_not_usable() {
    let plan = plan_of_both_nodes(DeliveryMode::L2);
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
    let plan = plan_of_both_nodes(DeliveryMode::Auto);
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
        service.ring.iter().filter(|slot| usize::from(*slot) == member).count()
    };
    assert_eq!(slots("10.0.0.2") + slots("10.1.0.3"), 509);
    assert!(slots("10.0.0.2").abs_diff(2 * slots("10.1.0.3")) <= 3);
}

#[test]
fn a_node_gets_its_own_endpoints_and_the_ways_to_all_nodes() {
    let backends = endpoints(&[("near", "10.9.0.1"), ("far", "10.9.1.1")]);
    let cluster = cluster(vec![service("192.0.2.1", DeliveryMode::Auto, backends)]);
    let plan = planned(&cluster, &me("far", roles::NODE));
    let service = plan.services.values().next().unwrap();
    assert_eq!(service.endpoints.len(), 1);
    assert_eq!(service.endpoints[0].addr, Addr::from(ip("10.9.1.1")));
    assert!(plan.backends.keys().all(|key| key.mode == DeliveryMode::Gue));
    assert_eq!(plan.backends.len(), 5);
    // Before it came, the other one had everything.
    let others: BTreeSet<_> =
        service.without_me.iter().map(|i| service.owners[usize::from(i)].addr).collect();
    assert_eq!(others, BTreeSet::from([Addr::from(ip("10.0.0.2"))]));
}

#[test]
fn peers_are_all_nodes_with_their_roles() {
    let plan = planned(&cluster(vec![]), &me("near", roles::NODE));
    let roles_of = |addr: &str| plan.peers[&Addr::from(ip(addr))];
    assert_eq!(roles_of("10.0.0.1"), roles::NODE | roles::DIRECTOR);
    assert_eq!(roles_of("fd00::2"), roles::NODE | roles::SELF);
    assert_eq!(roles_of("10.1.0.3"), roles::NODE);
}

fn dead(list: &[(&str, DeliveryMode)]) -> Dead {
    let key = |(addr, mode): &(&str, DeliveryMode)| BackendKey {
        addr: Addr::from(ip(addr)),
        mode: *mode,
        bare: false,
    };
    list.iter().map(|backend| Subject::Node(key(backend))).collect()
}

/// The only service of a cluster, as this machine plans it.
fn only_service(cluster: &Cluster, me: &Identity, dead: &Dead) -> Arc<PlannedService> {
    planned_with_dead(cluster, me, dead).services.values().next().unwrap().clone()
}

/// On three nodes.
fn cluster_of_three(delivery: DeliveryMode) -> Cluster {
    let backends = endpoints(&[("director", "10.9.2.1"), ("near", "10.9.0.1"), ("far", "10.9.1.1")]);
    cluster(vec![service("192.0.2.1", delivery, backends)])
}

#[test]
fn who_is_dead_gets_no_slot_and_the_others_keep_theirs() {
    let cluster = cluster_of_three(DeliveryMode::Auto);
    let both = me("director", roles::DIRECTOR | roles::NODE);
    let service = only_service(&cluster, &both, &dead(&[("10.0.0.2", DeliveryMode::Gue)]));
    let near = service.members.iter().position(|(key, _)| key.addr == Addr::from(ip("10.0.0.2"))).unwrap();
    assert_eq!(service.live.len(), service.ring.len());
    assert!(service.live.iter().all(|slot| usize::from(slot) != near));
    let kept = |(live, all): (u16, u16)| live == all || usize::from(all) == near;
    assert!(service.live.iter().zip(service.ring.iter()).all(kept));
    // What nodes remember of owners is of the objects alone.
    let alive = only_service(&cluster, &both, &Dead::new());
    let history = |service: &PlannedService| {
        (service.ring.clone(), service.owners.clone(), service.without_me.clone(), service.members.clone())
    };
    assert_eq!(history(&service), history(&alive));
    assert_eq!(alive.live, alive.ring);
}

#[test]
fn only_the_tunnel_that_is_lost_counts() {
    use DeliveryMode::{Auto, Gue, Ipip, L2};
    let by_gue = dead(&[("10.0.0.2", Gue)]);
    let by_ipip = dead(&[("10.0.0.2", Ipip)]);
    let director = me("director", roles::DIRECTOR);
    for (mode, gue, ipip) in [(Auto, true, false), (L2, true, false), (Gue, true, false), (Ipip, false, true)]
    {
        let is_out = |dead| {
            let service = only_service(&cluster_of_three(mode), &director, dead);
            service.live != service.ring
        };
        assert_eq!((is_out(&by_gue), is_out(&by_ipip)), (gue, ipip), "{mode:?}");
    }
}

#[test]
fn if_all_look_dead_the_ring_stays() {
    let all = ["10.0.0.1", "10.0.0.2", "10.1.0.3"].map(|addr| (addr, DeliveryMode::Gue));
    let service =
        only_service(&cluster_of_three(DeliveryMode::Auto), &me("director", roles::DIRECTOR), &dead(&all));
    assert!(!service.ring.is_empty());
    assert_eq!(service.live, service.ring);
}

#[test]
fn new_flows_are_shared_out_among_those_on_whom_they_begin() {
    let limited = |backends| {
        let (frontend, mut service) = service("192.0.2.1", DeliveryMode::Auto, backends);
        Arc::make_mut(&mut service).policy.new_flows = Some(model::NewFlows::Everywhere(90));
        cluster(vec![(frontend, service)])
    };
    let share = |cluster: &Cluster, name, roles| {
        planned(cluster, &me(name, roles)).services.values().next().unwrap().policy.new_flows
    };
    let pods = limited(endpoints(&[("near", "10.9.0.1"), ("near", "10.9.0.2"), ("far", "10.9.1.1")]));
    assert_eq!(share(&pods, "near", roles::NODE), 60);
    assert_eq!(share(&pods, "far", roles::NODE | roles::DIRECTOR), 30);
    assert_eq!(share(&pods, "director", roles::DIRECTOR), 0, "nothing begins there");
    let mut bare = limited(Backends::Bare(vec![ip("10.0.0.2")]));
    assert_eq!(share(&bare, "director", roles::DIRECTOR), 90);
    bare.nodes.extend([node("second", &["10.0.0.4"], true)]);
    assert_eq!(share(&bare, "director", roles::DIRECTOR), 45);
}

#[test]
fn policy_becomes_flags() {
    let (frontend, mut service) = service("192.0.2.1", DeliveryMode::Auto, endpoints(&[]));
    let policy = &mut Arc::make_mut(&mut service).policy;
    policy.affinity = Some(60);
    policy.ranges = vec!["10.0.0.0/8".parse().unwrap()];
    let plan = planned(&cluster(vec![(frontend, service)]), &me("near", roles::NODE));
    let service = plan.services.values().next().unwrap();
    assert_eq!(service.flags, service_flags::AFFINITY | service_flags::RANGES);
    assert_eq!((service.policy.affinity, service.policy.ranges.len()), (60, 1));
}

#[test]
fn what_kube_proxy_carries_is_planned_where_a_program_would_drop_it() {
    let backends = endpoints(&[("near", "10.9.0.1")]);
    let mut cluster = cluster(vec![service("192.0.2.1", DeliveryMode::Auto, backends)]);
    let port = |vip, port| Frontend { vip: ip(vip), port, protocol: Protocol::Udp };
    for frontend in [port("192.0.2.1", 53), port("192.0.2.2", 53)] {
        cluster.passed.insert(frontend, "kube-system/dns".into());
    }
    for (node, roles) in [("director", roles::DIRECTOR), ("near", roles::NODE)] {
        let plan = planned(&cluster, &me(node, roles));
        let passed: Vec<_> = plan.services.iter().filter(|(_, planned)| planned.is_passed()).collect();
        assert_eq!(passed.len(), 1, "its VIP has a service in the data path: {passed:?}");
        assert_eq!(
            (*passed[0].0, &*passed[0].1.name),
            (service_key(&port("192.0.2.1", 53)), "kube-system/dns")
        );
        assert_eq!(plan.vips.len(), 1);
    }
    let frontends = std::mem::take(&mut cluster.services);
    let plan = planned(&cluster, &me("director", roles::DIRECTOR));
    assert!(!frontends.is_empty() && plan.services.is_empty() && plan.vips.is_empty(), "{plan:?}");
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

#[test]
fn only_bare_servers_get_tunnels_from_the_shared_prefix() {
    let bare = Backends::Bare(vec![ip("10.1.0.3"), ip("fd01::3")]);
    let nodes = endpoints(&[("far", "10.88.0.1")]);
    let bare = service("192.0.2.1", DeliveryMode::Ipip, bare);
    let cluster = cluster(vec![bare, service("192.0.2.2", DeliveryMode::Ipip, nodes)]);
    let me = Identity { bare_sources: [ip("100.64.0.0")].into(), ..me("director", roles::DIRECTOR) };
    let plan = planned(&cluster, &me);
    let source = |addr: &str, bare| {
        let key = BackendKey { addr: Addr::from(ip(addr)), mode: DeliveryMode::Ipip, bare };
        IpAddr::from(plan.backends[&key].outer_src)
    };
    assert_eq!(source("10.1.0.3", true), ip("100.64.0.0"));
    assert_eq!(source("10.1.0.3", false), ip("10.0.0.1"));
}

proptest! {
    /// What an adopting agent reads back names the same backend.
    #[test]
    fn the_key_of_a_backend_survives_the_kernel(n: u8, bare: bool, mode in 0..4) {
        let modes = [DeliveryMode::Auto, DeliveryMode::L2, DeliveryMode::Ipip, DeliveryMode::Gue];
        let mode = modes[mode as usize];
        let key = BackendKey { addr: Addr::from(IpAddr::from([10, 0, 0, n])), mode, bare };
        for hops in [hops(), NextHops::new()] {
            prop_assert_eq!(BackendKey::from_entry(&backend_entry(&key, &TunnelOrigin { node: None, bare_sources: &[] }, &hops)), key);
        }
    }
}

/// A new node whose next hop is not known holds up nothing but itself.
#[test]
fn a_backend_that_was_not_looked_up_is_in_no_ring_yet() {
    let me = me("director", roles::DIRECTOR | roles::NODE);
    let mut planner = Planner::default();
    let (mut now, mut last) = (Instant::now(), Plan::default());
    let mut plan = |near: &[(&str, &str)], other: &[(&str, &str)], hops: &NextHops| {
        now += crate::plan::pace::BATCH_INTERVAL;
        let services = vec![
            service("192.0.2.1", DeliveryMode::Auto, endpoints(near)),
            service("192.0.2.2", DeliveryMode::Auto, endpoints(other)),
        ];
        last = planner.plan(&last, &cluster(services), &me, hops, &Dead::new(), now);
        last.clone()
    };
    let mut few = hops();
    few.remove(&ip("10.1.0.3"));
    let far = BackendKey { addr: ip("10.1.0.3").into(), mode: DeliveryMode::Auto, bare: false };
    let members =
        |plan: &Plan| plan.services.values().map(|planned| planned.members.len()).collect::<Vec<_>>();
    let before = plan(&[("near", "10.9.0.1")], &[("near", "10.9.0.1")], &few);
    assert_eq!((members(&before), before.waiting.contains(&far)), (vec![1, 1], false));
    let both = [("near", "10.9.0.1"), ("far", "10.9.1.1")];
    let waiting = plan(&both, &[], &few);
    assert_eq!(members(&waiting), [1, 0]);
    assert!(waiting.waiting.contains(&far));
    let after = plan(&both, &[], &hops());
    assert_eq!((members(&after), after.waiting.len()), (vec![2, 0], 0));
}

#[test]
fn a_service_of_new_backends_alone_waits_and_own_endpoints_do_not() {
    let me = me("near", roles::DIRECTOR | roles::NODE);
    let mut planner = Planner::default();
    let mut few = hops();
    few.remove(&ip("10.1.0.3"));
    let mut last = Plan::default();
    let mut plan = |backends| {
        let cluster = cluster(vec![service("192.0.2.1", DeliveryMode::Auto, backends)]);
        last = planner.plan(&last, &cluster, &me, &few, &Dead::new(), Instant::now());
        last.clone()
    };
    let waiting = plan(endpoints(&[("far", "10.9.1.1")]));
    assert_eq!((waiting.services.len(), waiting.held, waiting.waiting.len()), (0, 1, 2));
    let ports = |plan: &Plan| plan.services.values().map(|planned| planned.endpoints.len()).sum::<usize>();
    assert_eq!(ports(&plan(endpoints(&[("near", "10.9.0.1"), ("near", "10.9.0.2")]))), 2);
    let both = plan(endpoints(&[("near", "10.9.0.1"), ("far", "10.9.1.1")]));
    assert_eq!((ports(&both), both.held, both.waiting.len()), (1, 0, 2));
    // All members are new: those from before stay, and own endpoints do not.
    let moved = plan(endpoints(&[("far", "10.9.1.1")]));
    let members = moved.services.values().map(|planned| planned.members.len()).sum::<usize>();
    assert_eq!((ports(&moved), members, moved.held), (0, 1, 0));
}
