use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};

use lb_common::{Addr, roles};
use proptest::prelude::*;

use super::*;
use crate::{
    neigh::{NextHop, NextHops, Reach, Tag},
    objects::model::{
        Backends, Check, Cluster, DeliveryMode, Endpoint, Frontend, Node, Policy, Protocol, Service,
    },
    plan::{BackendKey, Dead, Identity, Plan, Planner, Subject},
};

fn ip(last: u8) -> IpAddr {
    IpAddr::from([10, 0, 0, last])
}

/// Nodes 1 to 3, each with an endpoint of a service by this delivery.
fn cluster(delivery: DeliveryMode) -> Cluster {
    let node = |n: u8| Node {
        name: format!("n{n}").into(),
        addresses: vec![ip(n)],
        director: n == 1,
        ..Node::default()
    };
    let endpoint = |n: u8| Endpoint {
        node: format!("n{n}").into(),
        addr: IpAddr::from([10, 1, 0, n]),
        port: 80,
        draining: false,
    };
    let frontend = Frontend { vip: IpAddr::from([192, 0, 2, 1]), port: 80, protocol: Protocol::Tcp };
    let backends = Backends::Endpoints((1..=3).map(endpoint).collect());
    let policy = Policy::default();
    let service = Service {
        name: "default/web".into(),
        frontend,
        delivery,
        local: false,
        backends,
        check: None,
        policy,
    };
    Cluster {
        services: imbl::OrdMap::unit(frontend, Arc::new(service)),
        nodes: (1..=3).map(node).map(|node| (node.name.clone(), Arc::new(node))).collect(),
        ..Cluster::default()
    }
}

/// Node 1.
fn me(roles: u32) -> Identity {
    Identity {
        node: "n1".into(),
        roles,
        asks_former_owners: true,
        bare_sources: Arc::default(),
        answer_echo: false,
        bgp_port: None,
    }
}

fn targets_of(delivery: DeliveryMode, roles: u32) -> Targets {
    let cluster = cluster(delivery);
    let me = me(roles);
    let hops: NextHops =
        [(ip(1), Reach::Local), (ip(2), reach_via(2, &[])), (ip(3), reach_via(2, &[]))].into_iter().collect();
    let plan = Planner::default().plan(&Plan::default(), &cluster, &me, &hops, &Dead::new(), Instant::now());
    let ways = PathsToBackends { hops: &hops, backends: &imbl::OrdMap::new() };
    choose_targets(&cluster, &me, &ways, &plan, &BTreeSet::new())
}

/// Weights change with each endpoint, and neighbours' answers all the time.
#[test]
fn whom_to_probe_is_chosen_anew_only_if_it_may_be_others() {
    let cluster = cluster(DeliveryMode::Gue);
    let key = |n| BackendKey::fellow_node(Addr::from(ip(n)));
    let plan = |members: &[(u8, usize)]| Plan {
        members: members.iter().map(|(n, count)| (key(*n), *count)).collect(),
        ..Plan::default()
    };
    let hops = |own: Reach, mac| -> NextHops {
        let other = Reach::Via(NextHop { dst_mac: mac, ..NextHop::on_uplink() });
        [(ip(1), own), (ip(2), other)].into_iter().collect()
    };
    let known = hops(Reach::Local, None);
    let basis = TargetsBasis::new(&cluster, &plan(&[(2, 1), (3, 1)]), &known);
    let differs = |cluster: &Cluster, members: &[(u8, usize)], hops: &NextHops| {
        basis.differs(&TargetsBasis::new(cluster, &plan(members), hops))
    };
    assert!(!differs(&cluster, &[(2, 7), (3, 1)], &hops(Reach::Local, Some([1; 6]))));
    assert!(differs(&cluster, &[(2, 1)], &known) && differs(&cluster, &[(2, 1), (3, 1), (4, 1)], &known));
    assert!(differs(&cluster, &[(2, 1), (3, 1)], &hops(reach_via(2, &[]), None)));
    let fewer = Cluster { nodes: cluster.nodes.without("n3"), ..cluster.clone() };
    assert!(differs(&fewer, &[(2, 1), (3, 1)], &known));
}

const VIP: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

/// The checks of bare servers 4 and 5, where 4 is reached so.
fn questions_to_servers(check: Option<Check>, reach: Reach, roles: u32) -> Vec<(IpAddr, CheckQuestion)> {
    let mut cluster = cluster(DeliveryMode::L2);
    let bare = |service: &Arc<Service>| Service {
        backends: Backends::Bare(vec![ip(4), ip(5)]),
        check: check.clone(),
        ..Service::clone(service)
    };
    cluster.services =
        cluster.services.iter().map(|(key, service)| (*key, Arc::new(bare(service)))).collect();
    let me = me(roles);
    let hops: NextHops = [(ip(4), reach), (ip(5), reach_via(2, &[]))].into_iter().collect();
    let plan = Planner::default().plan(&Plan::default(), &cluster, &me, &hops, &Dead::new(), Instant::now());
    // The second one's entry is not written: there was no room.
    let first = BackendKey { addr: Addr::from(ip(4)), mode: DeliveryMode::L2, bare: true };
    let backends = plan.backends.get(&first).map(|backend| (7u16, *backend)).into_iter().collect();
    let ways = PathsToBackends { hops: &hops, backends: &backends };
    let servers = choose_targets(&cluster, &me, &ways, &plan, &BTreeSet::new()).servers;
    let server = |subject| match subject {
        Subject::Server(_, backend) => IpAddr::from(backend.addr),
        Subject::Node(_) => unreachable!("{subject}"),
    };
    servers.into_iter().map(|(subject, question)| (server(subject), question)).collect()
}

/// By a VLAN device with these tags, if any, on top of this one.
fn reach_via(device: u32, ids: &[u16]) -> Reach {
    Reach::Via(NextHop {
        ifindex: 9,
        device,
        tags: ids.iter().map(|id| Tag { kind: 0x8100, id: *id }).collect(),
        source: ip(1),
        ..NextHop::on_uplink()
    })
}

#[test]
fn a_bare_server_is_asked_at_the_vip_by_the_way_to_it() {
    let question = |interface: Option<&str>| CheckQuestion {
        check: Check::Tcp,
        to: SocketAddr::new(VIP, 80),
        mark: lb_common::check::mark(7),
        interface: interface.map(ToOwned::to_owned),
    };
    let asked = |reach| questions_to_servers(Some(Check::Tcp), reach, roles::DIRECTOR);
    assert_eq!(asked(reach_via(2, &[])), [(ip(4), question(Some("uplink")))]);
    assert_eq!(asked(reach_via(2, &[100])), [(ip(4), question(Some("uplink")))]);
    // There is no route to it: its check fails.
    assert_eq!(asked(Reach::Unreachable("no route".into())), [(ip(4), question(None))]);
}

#[test]
fn a_bare_server_is_not_asked_where_that_would_say_nothing() {
    assert_eq!(questions_to_servers(None, reach_via(2, &[]), roles::DIRECTOR), []);
    assert_eq!(questions_to_servers(Some(Check::Tcp), reach_via(2, &[]), roles::NODE), []);
    assert_eq!(questions_to_servers(Some(Check::Tcp), Reach::Local, roles::DIRECTOR), []);
    // The program would not see the mark right.
    assert_eq!(questions_to_servers(Some(Check::Tcp), reach_via(2, &[100, 200]), roles::DIRECTOR), []);
}

#[test]
fn a_director_probes_the_other_nodes_in_its_rings_as_it_sends_to_them() {
    use DeliveryMode::{Auto, Gue, Ipip, L2};
    for roles in [roles::DIRECTOR, roles::DIRECTOR | roles::NODE] {
        for (delivery, mode) in [(Auto, Gue), (L2, Gue), (Gue, Gue), (Ipip, Ipip)] {
            let key = |n| BackendKey { addr: Addr::from(ip(n)), mode, bare: false };
            let expected = Targets { own: vec![ip(1)], nodes: [key(2), key(3)].into(), ..Targets::default() };
            assert_eq!(targets_of(delivery, roles), expected);
        }
    }
}

#[test]
fn a_node_probes_the_fellows_that_it_may_hand_packets_on_to() {
    let cluster = cluster(DeliveryMode::Ipip);
    let hops: NextHops =
        [(ip(1), Reach::Local), (ip(2), reach_via(2, &[])), (ip(3), reach_via(2, &[]))].into_iter().collect();
    let ways = PathsToBackends { hops: &hops, backends: &imbl::OrdMap::new() };
    let me = me(roles::NODE);
    let plan = Planner::default().plan(&Plan::default(), &cluster, &me, &hops, &Dead::new(), Instant::now());
    let fellows: BTreeSet<_> = [1, 2].map(|n| BackendKey::fellow_node(Addr::from(ip(n)))).into();
    let targets = choose_targets(&cluster, &me, &ways, &plan, &fellows);
    let nodes = [BackendKey::fellow_node(Addr::from(ip(2)))].into();
    assert_eq!(targets, Targets { own: vec![ip(1)], nodes, ..Targets::default() });
}

proptest! {
    #[test]
    fn counts_and_times_add_up(answers in prop::collection::vec(any::<bool>(), 0..100)) {
        let start = Instant::now();
        let mut health = Health::new(start);
        let mut changed = start;
        for (second, answer) in (1..).zip(&answers) {
            let now = start + Duration::from_secs(second);
            let before = health.alive;
            health.record_result(answer.then_some(Duration::ZERO), Limits { fall: 2, rise: 3 }, now);
            if health.alive != before {
                changed = now;
            }
            prop_assert_eq!(health.since, changed);
        }
        let lost = answers.iter().filter(|answer| !**answer).count() as u64;
        prop_assert_eq!((health.asked, health.lost), (answers.len() as u64, lost));
    }
}
