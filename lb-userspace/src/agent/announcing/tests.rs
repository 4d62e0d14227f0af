use lb_common::{Addr, maps::backend_flags, roles};
use tokio::sync::watch;

use super::*;
use crate::{
    datapath::memory::Memory,
    health::Subject,
    index::load_cluster,
    model::DeliveryMode,
    neigh::{NextHop, NextHops, Reach},
    plan::{BackendKey, Identity},
    source::file::read_text,
    state::Capacity,
    translate,
};

const NODES: &str = r#"
{apiVersion: v1, kind: Node, metadata: {name: director1, labels: {trigon.dev/director: "true"}},
 status: {addresses: [{type: InternalIP, address: 10.0.0.9}]}}
---
{apiVersion: v1, kind: Node, metadata: {name: node1},
 status: {addresses: [{type: InternalIP, address: 10.0.0.1}]}}
---
{apiVersion: v1, kind: Service,
 metadata: {name: web, annotations: {trigon.dev/dsr: "true"}},
 spec: {type: LoadBalancer, loadBalancerClass: trigon.dev/lb, ports: [{name: p, port: 80}]},
 status: {loadBalancer: {ingress: [{ip: 192.0.2.80}]}}}
---
{apiVersion: trigon.dev/v1alpha1, kind: BgpPeer, metadata: {name: router},
 spec: {myASN: 64512, peerASN: 64513, peerAddress: 10.0.0.253}}
---
{apiVersion: trigon.dev/v1alpha1, kind: BgpAdvertisement, metadata: {name: all}}
---
"#;

const ENDPOINT: &str = r#"
{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice,
 metadata: {name: web, labels: {kubernetes.io/service-name: web}}, addressType: IPv4,
 ports: [{name: p, port: 80}], endpoints: [{addresses: [10.1.0.1], nodeName: node1}]}
"#;

const ROOM: Capacity =
    Capacity { services: 4, backends: 8, endpoints: 8, ring_slots: 4096, history_slots: 4096, ranges: 8 };

/// Not enough for a ring.
const NO_RING: Capacity = Capacity { ring_slots: 512, ..ROOM };
const NO_BACKEND: Capacity = Capacity { backends: 1, ..ROOM };

fn cluster(text: &str) -> Arc<Cluster> {
    let loaded = read_text(text).unwrap();
    let (cluster, problems) =
        load_cluster(&loaded, translate::Options::default(), &Cluster::default()).unwrap();
    assert_eq!(problems, []);
    Arc::new(cluster)
}

fn with_endpoint() -> Arc<Cluster> {
    cluster(&format!("{NODES}{ENDPOINT}"))
}

/// Everybody's next hop, whose MAC is known or not.
fn hops(is_known: bool) -> NextHops {
    let hop = |last| NextHop {
        ifindex: 2,
        interface: "uplink".into(),
        device: 2,
        tags: Vec::new(),
        source: [10, 0, 0, 9].into(),
        on_link: true,
        gateway: None,
        mtu: 1500,
        src_mac: [2; 6],
        dst_mac: is_known.then_some([last; 6]),
    };
    [([10, 0, 0, 1], 1), ([10, 0, 0, 9], 9)].map(|(ip, last)| (ip.into(), Reach::Via(hop(last)))).into()
}

fn reconciler(tables: Memory, room: Capacity) -> Reconciler<Memory> {
    let me = Identity {
        node: "director1".into(),
        roles: roles::DIRECTOR,
        asks_former_owners: true,
        bare_sources: Arc::default(),
        answer_echo: false,
    };
    Reconciler::new(me, tables, room).unwrap()
}

/// An agent's word to its speakers, and what it hears of them.
fn announcing() -> (Announcing, watch::Sender<Arc<Vec<PeerStatus>>>) {
    let pace = Pace { drain: Duration::from_secs(5), settle: Duration::from_secs(1) };
    let (peers_to, peers) = watch::channel(Arc::default());
    let (_, vips) = watch::channel(Arc::<Vec<VipStatus>>::default());
    (Announcing::new(pace, Heard { peers, vips }), peers_to)
}

fn vips(reconciler: &Reconciler<Memory>) -> Vec<String> {
    carried(reconciler).iter().map(ToString::to_string).collect()
}

#[test]
fn a_vip_is_carried_when_the_kernel_has_a_ring_with_a_backend_that_can_be_reached() {
    let mut agent = reconciler(Memory::default(), ROOM);
    agent.run(&cluster(NODES), &hops(true), &BTreeSet::new());
    assert!(agent.is_settled());
    assert_eq!(vips(&agent), [""; 0]);
    agent.run(&with_endpoint(), &hops(false), &BTreeSet::new());
    assert_eq!(vips(&agent), [""; 0]);
    agent.run(&with_endpoint(), &hops(true), &BTreeSet::new());
    assert_eq!(vips(&agent), ["192.0.2.80"]);
    agent.run(&cluster(NODES), &hops(true), &BTreeSet::new());
    assert_eq!(vips(&agent), [""; 0]);
}

/// What was proven before is no proof of what did not fit.
#[test]
fn what_there_is_no_room_for_is_not_carried() {
    for room in [NO_RING, NO_BACKEND] {
        let mut agent = reconciler(Memory::default(), room);
        agent.run(&cluster(NODES), &hops(true), &BTreeSet::new());
        assert_eq!(agent.proven.len(), 1);
        agent.run(&with_endpoint(), &hops(true), &BTreeSet::new());
        assert!(!agent.shortages.is_empty());
        assert_eq!(vips(&agent), [""; 0], "{room:?}");
    }
}

/// Next hops that a restart has forgotten are still in the kernel, which forwards.
#[test]
fn what_an_earlier_agent_left_is_carried() {
    let mut first = reconciler(Memory::default(), ROOM);
    first.run(&with_endpoint(), &hops(true), &BTreeSet::new());
    let pinned = Memory { state: first.state, ..Memory::default() };
    let mut second = reconciler(pinned, ROOM);
    second.run(&with_endpoint(), &hops(false), &BTreeSet::new());
    let backend = second.plan.backends.values().next().unwrap();
    assert_eq!(backend.flags & backend_flags::RESOLVED, 0);
    assert_eq!(vips(&second), ["192.0.2.80"]);
}

/// With no backend that answers, it is more likely that the asking fails.
#[test]
fn backends_that_all_look_dead_are_carried_as_before() {
    let mut agent = reconciler(Memory::default(), ROOM);
    let node1 =
        BackendKey { addr: Addr::from(IpAddr::from([10, 0, 0, 1])), mode: DeliveryMode::Auto, bare: false };
    let dead = BTreeSet::from([Subject::node(&node1)]);
    agent.run(&with_endpoint(), &hops(true), &dead);
    assert_eq!(vips(&agent), ["192.0.2.80"]);
}

#[test]
fn nothing_is_ordered_before_a_plan() {
    let (mut announcing, _peers) = announcing();
    let agent = reconciler(Memory::default(), ROOM);
    assert_eq!(announcing.orders(&with_endpoint(), &agent, Instant::now()), None);
    assert_eq!(announcing.due(Instant::now()), None);
}

#[test]
fn routes_are_complete_once_all_that_was_planned_is_proven() {
    let (mut announcing, _peers) = announcing();
    let mut agent = reconciler(Memory { fail_at: Some(0), ..Memory::default() }, ROOM);
    let (cluster, start) = (with_endpoint(), Instant::now());
    agent.run(&cluster, &hops(true), &BTreeSet::new());
    assert!(!announcing.orders(&cluster, &agent, start).unwrap().bgp.complete);
    assert_eq!(announcing.orders(&cluster, &agent, start), None, "nothing is new");

    let mut agent = reconciler(Memory::default(), ROOM);
    agent.run(&cluster, &hops(true), &BTreeSet::new());
    let orders = announcing.orders(&cluster, &agent, start).unwrap();
    assert!(orders.bgp.complete && orders.bgp.peers["router"].routes.len() == 1);

    // And stay so, whatever fails later.
    agent.failure = Some("no".to_owned());
    announcing.changed();
    assert!(announcing.orders(&cluster, &agent, start).unwrap().bgp.complete);
}

#[test]
fn what_is_never_proven_keeps_routers_waiting_for_a_while_only() {
    let (mut announcing, _peers) = announcing();
    let mut agent = reconciler(Memory::default(), NO_RING);
    let (cluster, start) = (with_endpoint(), Instant::now());
    agent.run(&cluster, &hops(true), &BTreeSet::new());
    assert!(!announcing.orders(&cluster, &agent, start).unwrap().bgp.complete);
    assert_eq!(announcing.due(start), Some(start + PATIENCE));
    assert_eq!(announcing.orders(&cluster, &agent, start + PATIENCE / 2), None);
    assert!(announcing.orders(&cluster, &agent, start + PATIENCE).unwrap().bgp.complete);
    assert_eq!(announcing.due(start + PATIENCE), None);
}

#[test]
fn a_step_that_is_overdue_is_ordered_all_the_same() {
    let (mut announcing, _peers) = announcing();
    let mut agent = reconciler(Memory::default(), ROOM);
    let (cluster, start) = (with_endpoint(), Instant::now());
    agent.run(&cluster, &hops(true), &BTreeSet::new());
    announcing.leave(true, start);
    let mut leaving = |after: u64| {
        let now = start + Duration::from_secs(after);
        let due = announcing.due(now);
        (due, announcing.orders(&cluster, &agent, now).map(|orders| orders.bgp.leaving))
    };
    let at = |after: u64| Some(start + Duration::from_secs(after));
    assert_eq!(leaving(0), (at(5), Some(Leaving::Draining)));
    assert_eq!(leaving(1), (at(5), None));
    // It was busy with something else at the fifth second.
    assert_eq!(leaving(5), (at(5), Some(Leaving::Withdrawn)));
    assert_eq!(leaving(7), (at(7), Some(Leaving::Closed)));
    assert_eq!(leaving(8), (None, None));
}

#[test]
fn a_director_is_drained_when_its_sessions_are_closed() {
    let (mut announcing, peers) = announcing();
    let start = Instant::now();
    let end = start + Duration::from_secs(6);
    let peer = |state| Arc::new(vec![PeerStatus { state, ..PeerStatus::default() }]);
    peers.send_replace(peer(bgp::State::Established));
    announcing.leave(true, start);
    assert_eq!((announcing.left(start), announcing.left(end)), (Leaving::Draining, Leaving::Withdrawn));
    peers.send_replace(peer(bgp::State::Idle));
    assert_eq!(announcing.left(end), Leaving::Closed);
}

#[test]
fn who_announces_nothing_is_looked_for_when_objects_change() {
    let (mut announcing, _peers) = announcing();
    let mut agent = reconciler(Memory::default(), ROOM);
    let mut told = |cluster: Arc<Cluster>| {
        agent.run(&cluster, &hops(true), &BTreeSet::new());
        announcing.changed();
        announcing.orders(&cluster, &agent, Instant::now());
        announcing.problems(&cluster, agent.me())
    };
    assert_eq!(told(with_endpoint()), [""; 0]);
    let silent = told(cluster(NODES));
    assert!(silent.len() == 1 && silent[0].contains("announced by nobody"), "{silent:?}");
    assert_eq!(told(with_endpoint()), [""; 0]);
}

#[test]
fn sessions_that_are_down_and_drains_are_warned_of() {
    let (mut announcing, peers) = announcing();
    let now = Instant::now();
    let peer =
        |name: &str, state| PeerStatus { name: name.into(), state, seconds: 7, ..PeerStatus::default() };
    peers
        .send_replace(Arc::new(vec![peer("near", bgp::State::Established), peer("far", bgp::State::Active)]));
    assert_eq!(announcing.warnings(now), ["BgpPeer far: no session for 7 s: see `trigon bgp`"]);
    announcing.leave(true, now);
    let told = announcing.warnings(now);
    assert!(told.len() == 1 && told[0].contains("trigon drain --undo"), "{told:?}");
}
