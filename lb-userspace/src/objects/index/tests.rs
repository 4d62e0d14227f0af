use k8s_openapi::api::{core::v1 as core, discovery::v1};
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::objects::{
    model::{self, Backends},
    source::{SERVICE_LABEL, Service},
};

mod last_good;

const SERVICES: [&str; 3] = ["a", "b", "c"];
const NODES: [&str; 3] = ["n1", "n2", "n3"];
/// The last is also an address that a Node may have.
const VIPS: [&str; 3] = ["192.0.2.1", "2001:db8::1", "10.0.0.1"];

fn service(name: &str, vip: &str, port: u16, born: Option<u32>, dsr: bool) -> Object {
    let created = born.map(|year| format!("{year}-01-01T00:00:00Z"));
    let service: core::Service = serde_json::from_value(json!({
        "metadata": {
            "name": name, "creationTimestamp": created, "annotations": {"trigon.dev/dsr": dsr.to_string()},
        },
        "spec": {
            "type": "LoadBalancer", "loadBalancerClass": "trigon.dev/lb", "ports": [{"name": "p", "port": port}],
        },
        "status": {"loadBalancer": {"ingress": [{"ip": vip}]}},
    }))
    .unwrap();
    Object::Service(Arc::new(service.into()))
}

fn slice(name: &str, owner: &str, endpoint: u8, node: &str) -> Object {
    let slice: v1::EndpointSlice = serde_json::from_value(json!({
        "metadata": {"name": name, "labels": {SERVICE_LABEL: owner}},
        "addressType": "IPv4",
        "ports": [{"name": "p", "port": 8080}],
        "endpoints": [{"addresses": [format!("10.1.0.{endpoint}")], "nodeName": node}],
    }))
    .unwrap();
    Object::EndpointSlice(Arc::new(slice.into()))
}

fn node(name: &str, address: &str, born: Option<u32>) -> Object {
    let created = born.map(|year| format!("{year}-01-01T00:00:00Z"));
    Object::Node(Arc::new(
        serde_json::from_value(json!({
            "metadata": {"name": name, "creationTimestamp": created},
            "status": {"addresses": [{"type": "InternalIP", "address": address}]},
        }))
        .unwrap(),
    ))
}

/// Each of them has a prefix of its own.
fn pool(name: &str, length: u8) -> Object {
    Object::AddressPool(Arc::new(
        serde_json::from_value(json!({
            "metadata": {"name": name},
            "spec": {"addresses": [format!("10.{}.0.0/{length}", name.as_bytes()[0])]},
        }))
        .unwrap(),
    ))
}

fn any_object() -> impl Strategy<Value = Object> {
    let born = || prop::option::of(2024_u32..2026);
    let one = |of: [&'static str; 3]| prop::sample::select(of.to_vec());
    prop_oneof![
        (one(SERVICES), one(VIPS), 80_u16..82, born(), any::<bool>())
            .prop_map(|(name, vip, port, born, dsr)| service(name, vip, port, born, dsr || port == 80)),
        (one(["s1", "s2", "s3"]), one(SERVICES), 0_u8..4, one(NODES))
            .prop_map(|(name, owner, endpoint, node)| slice(name, owner, endpoint, node)),
        (one(NODES), one(["10.0.0.1", "10.0.0.2", "nonsense"]), born())
            .prop_map(|(name, address, born)| node(name, address, born)),
        (one(SERVICES), 16_u8..19).prop_map(|(name, length)| pool(name, length)),
    ]
}

#[derive(Clone, Debug)]
enum IndexStep {
    Apply(Object),
    Delete(Object),
    Translate,
}

fn any_step() -> impl Strategy<Value = IndexStep> {
    prop_oneof![
        5 => any_object().prop_map(IndexStep::Apply),
        2 => any_object().prop_map(IndexStep::Delete),
        2 => Just(IndexStep::Translate),
    ]
}

fn put(index: &mut Index, object: Object) {
    index.apply(object, None);
}

/// What is in effect, and what is wrong.
fn index_state(index: &mut Index) -> (Cluster, Vec<String>) {
    let cluster = Cluster::clone(index.cluster());
    let mut faults: Vec<_> = index.faults().iter().map(ToString::to_string).collect();
    faults.sort();
    (cluster, faults)
}

fn index_of(objects: impl IntoIterator<Item = Object>) -> Index {
    let mut index = Index::default();
    objects.into_iter().for_each(|object| put(&mut index, object));
    index
}

fn fresh_state(objects: impl IntoIterator<Item = Object>) -> (Cluster, Vec<String>) {
    index_state(&mut index_of(objects))
}

fn steps_and_order() -> impl Strategy<Value = (Vec<IndexStep>, Vec<usize>)> {
    prop::collection::vec(any_step(), 0..30).prop_flat_map(|steps| {
        let order = Just((0..steps.len()).collect::<Vec<_>>()).prop_shuffle();
        (Just(steps), order)
    })
}

/// The objects that are there after these steps.
fn take_steps(index: &mut Index, steps: &[IndexStep]) -> BTreeMap<ObjectRef, Object> {
    let mut there = BTreeMap::new();
    for step in steps {
        match step {
            IndexStep::Apply(object) => {
                there.insert(object.object_ref(), object.clone());
                put(index, object.clone());
            }
            IndexStep::Delete(object) => {
                there.remove(&object.object_ref());
                index.delete(&object.object_ref());
            }
            IndexStep::Translate => drop(index.cluster()),
        }
    }
    there
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    /// All machines that see the same objects for the first time decide alike; and those that have
    /// seen others before, too, if nothing is wrong.
    #[test]
    fn what_is_good_depends_neither_on_history_nor_on_order((steps, order) in steps_and_order()) {
        let mut index = Index::default();
        let there = take_steps(&mut index, &steps);
        let objects: Vec<_> = there.values().cloned().collect();
        let shuffled: Vec<_> = order.iter().filter_map(|i| objects.get(*i)).cloned().collect();
        let expected = fresh_state(objects.clone());
        prop_assert_eq!(&fresh_state(shuffled), &expected);
        let now = index_state(&mut index);
        let has_leftovers = now.1.iter().any(|fault| fault.contains("is gone, but has endpoints"));
        if now.1.is_empty() || expected.1.is_empty() && !has_leftovers {
            prop_assert_eq!(&now, &expected);
        }
        for object in &objects {
            index.delete(&object.object_ref());
        }
        prop_assert_eq!(index_state(&mut index), (Cluster::default(), Vec::new()));
    }

    /// Without creation times, what a Service has and still asks for nobody else can take away.
    #[test]
    fn nobody_takes_what_another_has((steps, _) in steps_and_order()) {
        let mut index = Index::default();
        let mut asked = BTreeMap::new();
        let ageless = |step: &IndexStep| match step {
            IndexStep::Apply(object) => object.born().is_none(),
            _ => true,
        };
        for step in steps.iter().filter(|step| ageless(step)) {
            let before = Arc::clone(index.cluster());
            take_steps(&mut index, std::slice::from_ref(step));
            match step {
                IndexStep::Apply(Object::Service(service)) => {
                    let this = Object::Service(Arc::clone(service)).object_ref().full_name();
                    asked.insert(this, frontends_of(service));
                }
                IndexStep::Delete(object) => drop(asked.remove(&object.object_ref().full_name())),
                _ => {}
            }
            let now = index.cluster();
            for (frontend, service) in &before.services {
                let is_asked = asked.get(&*service.name).is_some_and(|asked| asked.contains(frontend));
                let holder = now.services.get(frontend).map(|service| &service.name);
                prop_assert!(!is_asked || holder == Some(&service.name), "{frontend}: {step:?}");
            }
        }
    }
}

#[test]
fn what_kube_proxy_carries_follows_its_services() {
    let mut index = index_of([
        service("a", "192.0.2.1", 80, Some(2024), true),
        service("b", "192.0.2.1", 81, Some(2024), false),
        service("c", "192.0.2.1", 80, Some(2025), false),
    ]);
    let mut ports = |change: Option<Object>| {
        change.into_iter().for_each(|object| put(&mut index, object));
        let Cluster { services, passed, .. } = &**index.cluster();
        let services =
            services.iter().map(|(frontend, service)| (frontend.port, service.name.to_string(), true));
        let passed = passed.iter().map(|(frontend, name)| (frontend.port, name.to_string(), false));
        let mut all: Vec<_> = services.chain(passed).collect();
        all.sort();
        all
    };
    let port = |port, name: &str, dsr| (port, format!("default/{name}"), dsr);
    assert_eq!(ports(None), [port(80, "a", true), port(81, "b", false)], "of two, the older one");
    let b = service("b", "192.0.2.1", 81, Some(2024), true);
    assert_eq!(ports(Some(b)), [port(80, "a", true), port(81, "b", true)]);
    let a = service("a", "192.0.2.2", 80, Some(2024), false);
    assert_eq!(ports(Some(a)), [port(80, "a", false), port(80, "c", false), port(81, "b", true)]);
}

/// What a Service of these tests asks for in the data path.
fn frontends_of(service: &Service) -> BTreeSet<Frontend> {
    let mut index = index_of([Object::Service(Arc::new(service.clone()))]);
    index.cluster().services.keys().copied().collect()
}

#[test]
fn what_did_not_change_stays_the_same_object() {
    let mut index = index_of([
        node("n1", "10.0.0.1", None),
        service("a", "192.0.2.1", 80, None, true),
        service("b", "192.0.2.2", 80, None, true),
        slice("s1", "a", 1, "n1"),
        slice("s2", "b", 1, "n1"),
    ]);
    let before = Arc::clone(index.cluster());
    put(&mut index, slice("s2", "b", 2, "n1"));
    put(&mut index, service("a", "192.0.2.1", 80, None, true));
    put(&mut index, node("n1", "10.0.0.1", None));
    let after = Arc::clone(index.cluster());
    let same: Vec<_> =
        before.services.values().zip(after.services.values()).map(|(b, a)| Arc::ptr_eq(b, a)).collect();
    assert_eq!(same, [true, false]);
    assert!(Arc::ptr_eq(index.cluster(), &after));
}

/// `n1`, with a VIP as a machine has it that replies to clients directly.
fn node_with_vip() -> Object {
    let both = json!([
        {"type": "InternalIP", "address": "10.0.0.1"},
        {"type": "ExternalIP", "address": "192.0.2.1"},
    ]);
    let node = json!({"metadata": {"name": "n1"}, "status": {"addresses": both}});
    Object::Node(Arc::new(serde_json::from_value(node).unwrap()))
}

/// The Node that has the VIP.
fn vip_owner(index: &Index) -> Option<Arc<str>> {
    index.nodes.known().owner([192, 0, 2, 1].into()).cloned()
}

/// With the change that drops what was adopted, not with the next one.
#[test]
fn a_node_gets_the_vip_of_a_service_that_went_while_no_agent_ran() {
    let mut index = index_of([node_with_vip()]);
    let frontend = Frontend { vip: [192, 0, 2, 1].into(), port: 80, protocol: model::Protocol::Tcp };
    let settings =
        PinnedSettings { delivery: model::DeliveryMode::L2, bare: false, policy: model::Policy::default() };
    index.adopt_pinned(BTreeMap::from([(frontend, settings)]));
    index.cluster();
    assert_eq!(vip_owner(&index), None);
    index.apply_changes(Kind::ALL.map(Change::Synced).into());
    index.cluster();
    assert_eq!(vip_owner(&index).as_deref(), Some("n1"));
}

#[test]
fn services_that_free_no_node_have_no_node_looked_at() {
    let mut index = index_of([
        service("a", "192.0.2.1", 80, None, true),
        service("b", "192.0.2.2", 80, None, true),
        slice("s2", "b", 1, "n2"),
        node("n2", "10.0.0.2", None),
    ]);
    index.cluster();
    put(&mut index, node_with_vip());
    index.delete(&ObjectRef::new(Kind::Node, "", "n2"));
    index.cluster();
    assert_eq!((vip_owner(&index), index.faults().len()), (None, 1), "it is a VIP, and n2 has an endpoint");
    let frees_nodes = |index: &mut Index| {
        index.settle_services();
        index.are_nodes_freed()
    };
    put(&mut index, service("b", "192.0.2.2", 81, None, true));
    put(&mut index, service("a", "192.0.2.1", 81, None, true));
    put(&mut index, slice("s1", "a", 1, "n1"));
    put(&mut index, slice("s2", "b", 2, "n2"));
    assert!(!frees_nodes(&mut index));
    put(&mut index, service("c", "192.0.2.1", 82, None, true));
    assert!(frees_nodes(&mut index), "it may be another Service's");

    for name in ["a", "c"] {
        index.delete(&ObjectRef::new(Kind::Service, "default", name));
    }
    index.cluster();
    assert_eq!((vip_owner(&index).as_deref(), index.faults().len()), (Some("n1"), 1));
    index.delete(&ObjectRef::new(Kind::EndpointSlice, "default", "s2"));
    index.cluster();
    assert_eq!((index.faults().len(), index.nodes.known().get("n2")), (0, None));
}

#[test]
fn a_node_that_appears_later_completes_its_services() {
    let mut index = Index::default();
    put(&mut index, service("a", "192.0.2.1", 80, None, true));
    put(&mut index, slice("s1", "a", 1, "n1"));
    let cluster = Arc::clone(index.cluster());
    assert_eq!(index.faults().len(), 1);
    assert_eq!(cluster.services.values().next().unwrap().backends, Backends::Endpoints(Vec::new()));
    put(&mut index, node("n1", "10.0.0.1", None));
    let cluster = Arc::clone(index.cluster());
    assert_eq!(index.faults(), []);
    let Backends::Endpoints(endpoints) = &cluster.services.values().next().unwrap().backends else {
        panic!()
    };
    assert_eq!(endpoints.len(), 1);
}

/// The limit is high because a debug build is about ten times slower than a release build.
#[test]
fn one_endpoint_changes_among_ten_thousand_services_in_no_time() {
    let mut objects = vec![node("n1", "10.0.0.1", None), node("n2", "10.0.0.2", None)];
    for i in 0..10_000 {
        let name = format!("s{i}");
        objects.push(service(&name, &format!("192.0.{}.{}", i / 250, i % 250), 80, None, true));
        objects.push(slice(&name, &name, 1, "n1"));
    }
    let mut index = index_of(objects);
    let mut held = Arc::clone(index.cluster());
    assert_eq!((held.services.len(), index.faults().len()), (10_000, 0));
    let change = |endpoint| {
        let start = std::time::Instant::now();
        put(&mut index, slice("s5000", "s5000", endpoint, "n2"));
        let changed = Arc::clone(index.cluster());
        let took = start.elapsed();
        assert_ne!(std::mem::replace(&mut held, Arc::clone(&changed)), changed);
        took
    };
    let best = (2..12).map(change).min().unwrap();
    println!("{best:?}");
    assert!(best.as_millis() < 50, "{best:?}");
}
