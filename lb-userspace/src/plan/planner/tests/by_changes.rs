//! A plan that follows from the last one is the plan that all objects give, and costs less.

use std::time::Duration;

use super::*;

/// Nodes and bare servers share them, so that they get and lose each other's.
const ADDRESSES: [&str; 6] = ["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4", "fd00::1", "fd00::2"];
const NODES: [&str; 4] = ["near", "far", "third", "fourth"];
const VIPS: [&str; 3] = ["192.0.2.1", "192.0.2.2", "2001:db8::1"];

/// What a plan is made from.
struct World {
    cluster: Cluster,
    hops: NextHops,
    dead: Dead,
    now: Instant,
}

/// What happens between two plans.
#[derive(Clone, Debug)]
enum Step {
    /// None: there is no such service, node or next hop.
    Service(Frontend, Option<(DeliveryMode, Backends)>),
    /// kube-proxy carries it, or nobody does.
    Passed(Frontend, bool),
    Node(&'static str, Option<(Vec<IpAddr>, bool)>),
    Hop(IpAddr, Option<Reach>),
    Dead(Subject, bool),
    Pass(u64),
}

impl World {
    fn new() -> Self {
        let nodes = [
            node("near", &["10.0.0.1", "fd00::1"], false),
            node("far", &["10.0.0.2", "fd00::2"], true),
            node("third", &["10.0.0.3"], false),
        ];
        let known = ADDRESSES.iter().filter(|addr| **addr != "10.0.0.4");
        Self {
            cluster: Cluster { nodes: nodes.into_iter().collect(), ..Cluster::default() },
            hops: known.map(|addr| (ip(addr), hop(None, Some([4; 6])))).collect(),
            dead: Dead::new(),
            now: Instant::now(),
        }
    }

    fn follow(&mut self, step: Step) {
        match step {
            Step::Service(frontend, None) => drop(self.cluster.services.remove(&frontend)),
            Step::Passed(frontend, false) => drop(self.cluster.passed.remove(&frontend)),
            Step::Passed(frontend, true) => {
                self.cluster.services.remove(&frontend);
                self.cluster.passed.insert(frontend, "default/other".into());
            }
            Step::Service(frontend, Some((delivery, backends))) => {
                let (_, model) = service("192.0.2.1", delivery, backends);
                let policy = model::Policy {
                    new_flows: Some(model::NewFlows::Everywhere(90)),
                    ..model::Policy::default()
                };
                let local = frontend.port == 81;
                let service = Service { frontend, local, policy, ..Service::clone(&model) };
                self.cluster.passed.remove(&frontend);
                self.cluster.services.insert(frontend, Arc::new(service));
            }
            Step::Node(name, None) => drop(self.cluster.nodes.remove(name)),
            Step::Node(name, Some((addresses, director))) => {
                let (name, model) = node(name, &[], director);
                self.cluster.nodes.insert(name, Arc::new(Node { addresses, ..Node::clone(&model) }));
            }
            Step::Hop(target, None) => drop(self.hops.remove(&target)),
            Step::Hop(target, Some(reach)) => drop(self.hops.insert(target, reach)),
            Step::Dead(subject, true) => {
                self.dead.insert(subject);
            }
            Step::Dead(subject, false) => {
                self.dead.remove(&subject);
            }
            Step::Pass(ms) => self.now += Duration::from_millis(ms),
        }
    }

    fn plan(&self, planner: &mut Planner, before: &Plan, me: &Identity) -> Plan {
        planner.plan(before, &self.cluster, me, &self.hops, &self.dead, self.now)
    }
}

fn address() -> impl Strategy<Value = IpAddr> {
    prop::sample::select(ADDRESSES.to_vec()).prop_map(ip)
}

fn frontend() -> impl Strategy<Value = Frontend> {
    let frontend = |(vip, port)| Frontend { vip: ip(vip), port, protocol: Protocol::Tcp };
    (prop::sample::select(VIPS.to_vec()), 80..82u16).prop_map(frontend)
}

fn delivery_mode() -> impl Strategy<Value = DeliveryMode> {
    use DeliveryMode::{Auto, Gue, Ipip, L2};
    prop::sample::select(vec![Auto, Gue, Ipip, L2])
}

fn backends() -> impl Strategy<Value = Backends> {
    let endpoint = (prop::sample::select(NODES.to_vec()), 0..4u8, prop::bool::weighted(0.2));
    let endpoint = endpoint.prop_map(|(node, pod, draining)| Endpoint {
        node: node.into(),
        addr: IpAddr::from([10, 9, 0, pod]),
        port: 8080,
        draining,
    });
    prop_oneof![
        4 => prop::collection::vec(endpoint, 0..5).prop_map(Backends::Endpoints),
        1 => prop::collection::vec(address(), 0..3).prop_map(Backends::Bare),
    ]
}

fn reach() -> impl Strategy<Value = Reach> {
    let mac = prop::option::weighted(0.8, 3..6u8);
    let mtu = prop_oneof![8 => Just(1500), 1 => Just(1400)];
    let via = (any::<bool>(), mac, mtu).prop_map(|(on_link, mac, mtu)| {
        let gateway = (!on_link).then(|| ip("10.0.0.254"));
        let dst_mac = mac.map(|byte| [byte; 6]);
        Reach::Via(NextHop { on_link, gateway, dst_mac, mtu, ..NextHop::on_uplink() })
    });
    prop_oneof![
        1 => Just(Reach::Local),
        1 => Just(Reach::Unreachable("no route".into())),
        4 => via,
    ]
}

fn subject() -> impl Strategy<Value = Subject> {
    (address(), delivery_mode(), frontend(), any::<bool>()).prop_map(|(addr, mode, frontend, bare)| {
        let backend = BackendKey { addr: addr.into(), mode, bare };
        Subject::of_backend(&service_key(&frontend), &backend)
    })
}

fn step() -> impl Strategy<Value = Step> {
    let service = prop::option::weighted(0.8, (delivery_mode(), backends()));
    let node = prop::option::weighted(0.8, (prop::collection::vec(address(), 0..3), any::<bool>()));
    let hop = prop::option::weighted(0.8, reach());
    prop_oneof![
        8 => (frontend(), service).prop_map(|(frontend, service)| Step::Service(frontend, service)),
        3 => (frontend(), any::<bool>()).prop_map(|(frontend, passed)| Step::Passed(frontend, passed)),
        3 => (prop::sample::select(NODES.to_vec()), node).prop_map(|(name, node)| Step::Node(name, node)),
        4 => (address(), hop).prop_map(|(target, reach)| Step::Hop(target, reach)),
        3 => (subject(), any::<bool>()).prop_map(|(subject, dead)| Step::Dead(subject, dead)),
        4 => (0..500u64).prop_map(Step::Pass),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    /// Several things can have happened between two plans.
    #[test]
    fn a_plan_by_changes_is_the_plan_of_all(
        history in prop::collection::vec(prop::collection::vec(step(), 1..4), 1..20),
        roles in prop::sample::select(vec![roles::DIRECTOR, roles::NODE, roles::DIRECTOR | roles::NODE]),
    ) {
        let me = me("near", roles);
        let (mut by_changes, mut of_all) = (Planner::default(), Planner::default());
        let (mut plan, mut expected, mut world) = (Plan::default(), Plan::default(), World::new());
        for steps in history {
            steps.into_iter().for_each(|step| world.follow(step));
            plan = world.plan(&mut by_changes, &plan, &me);
            of_all.basis = None;
            expected = world.plan(&mut of_all, &expected, &me);
            prop_assert_eq!(&plan, &expected);
        }
    }
}

/// A node that is not in a ring yet may have the address that a member had.
#[test]
fn a_member_that_waits_for_its_next_hop_waits_wherever_others_were() {
    let (me, mut planner, mut world) = (me("near", roles::DIRECTOR), Planner::default(), World::new());
    let web = Frontend { vip: ip("2001:db8::1"), port: 80, protocol: Protocol::Tcp };
    let on_both = endpoints(&[("far", "10.9.1.1"), ("third", "10.9.2.1")]);
    let history = [
        vec![Step::Node("third", None), Step::Service(web, Some((DeliveryMode::Auto, on_both)))],
        vec![Step::Node("third", Some((vec![ip("fd00::2")], false))), Step::Hop(ip("fd00::2"), None)],
        vec![Step::Node("far", Some((vec![ip("fd00::1")], false)))],
    ];
    let mut plan = Plan::default();
    for steps in history {
        steps.into_iter().for_each(|step| world.follow(step));
        plan = world.plan(&mut planner, &plan, &me);
    }
    assert_eq!(plan.waiting.len(), 1, "{:?}", plan.waiting);
    planner.basis = None;
    assert_eq!(world.plan(&mut planner, &plan, &me), plan);
}

/// The VIPs of services that were planned anew, though perhaps to the same effect.
fn planned_anew(before: &Plan, plan: &Plan) -> Vec<IpAddr> {
    let is_same = |key: &ServiceKey, planned: &Arc<PlannedService>| {
        before.services.get(key).is_some_and(|b| Arc::ptr_eq(b, planned))
    };
    let anew = plan.services.iter().filter(|(key, planned)| !is_same(key, planned));
    anew.map(|(key, _)| key.addr.into()).collect()
}

#[test]
fn only_services_that_a_change_can_touch_are_planned_anew() {
    let services = [
        service("192.0.2.1", DeliveryMode::Auto, endpoints(&[("far", "10.9.1.1")])),
        service("192.0.2.2", DeliveryMode::Auto, endpoints(&[("near", "10.9.0.1"), ("third", "10.9.2.1")])),
        service("192.0.2.3", DeliveryMode::Auto, Backends::Bare(vec![ip("10.0.0.9")])),
    ];
    let mut world = World::new();
    world.cluster.services = services.into_iter().collect();
    world.hops.insert(ip("10.0.0.9"), hop(None, Some([4; 6])));
    let (me, mut planner) = (me("near", roles::DIRECTOR | roles::NODE), Planner::default());
    let mut last = world.plan(&mut planner, &Plan::default(), &me);
    let mut after = |step| {
        world.follow(step);
        let plan = world.plan(&mut planner, &last, &me);
        let before = std::mem::replace(&mut last, plan);
        (planned_anew(&before, &last), last.waiting.len())
    };
    let some_node = |addr: &str, director| Some((vec![ip(addr)], director));
    let fellow = |addr: &str| Subject::of_node(&BackendKey::fellow_node(ip(addr).into()));
    let (far, third, bare) = (vec![ip("192.0.2.1")], vec![ip("192.0.2.2")], vec![ip("192.0.2.3")]);
    assert_eq!(after(Step::Node("fourth", some_node("10.0.0.4", false))), (vec![], 1), "a node without Pods");
    assert_eq!(after(Step::Hop(ip("10.0.0.4"), Some(hop(None, None)))), (vec![], 0), "its next hop");
    assert_eq!(after(Step::Hop(ip("10.0.0.2"), Some(hop(None, Some([5; 6]))))), (vec![], 0), "a MAC address");
    assert_eq!(after(Step::Dead(fellow("10.0.0.2"), true)), (far.clone(), 0), "a node looks dead");
    assert_eq!(after(Step::Dead(fellow("10.0.0.2"), false)), (far, 0), "it is back");
    assert_eq!(
        after(Step::Node("fourth", some_node("10.0.0.4", true))),
        (bare.clone(), 0),
        "one more director"
    );
    // Its entries as a fellow node and as a member wait, and other services do not care.
    assert_eq!(after(Step::Hop(ip("10.0.0.3"), None)), (third.clone(), 2), "a next hop is lost");
    assert_eq!(after(Step::Node("third", None)), (third, 0), "a node goes");
    let beside = Frontend { vip: ip("192.0.2.1"), port: 81, protocol: Protocol::Tcp };
    assert_eq!(after(Step::Passed(beside, true)), (vec![beside.vip], 0), "a port of kube-proxy's");
    assert_eq!(after(Step::Node("fourth", None)), (bare, 0), "a director goes");
}
