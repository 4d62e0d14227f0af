use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::objects::model::Backends;

const SERVICES: [&str; 3] = ["a", "b", "c"];
const NODES: [&str; 3] = ["n1", "n2", "n3"];
/// The last is also an address that a Node may have.
const VIPS: [&str; 3] = ["192.0.2.1", "2001:db8::1", "10.0.0.1"];

fn service(name: &str, vip: &str, port: u16, born: Option<u32>, dsr: bool) -> Object {
    let created = born.map(|year| format!("{year}-01-01T00:00:00Z"));
    Object::Service(Arc::new(
        serde_json::from_value(json!({
            "metadata": {
                "name": name, "creationTimestamp": created, "annotations": {"trigon.dev/dsr": dsr.to_string()},
            },
            "spec": {
                "type": "LoadBalancer", "loadBalancerClass": "trigon.dev/lb", "ports": [{"name": "p", "port": port}],
            },
            "status": {"loadBalancer": {"ingress": [{"ip": vip}]}},
        }))
        .unwrap(),
    ))
}

fn slice(name: &str, owner: &str, endpoint: u8, node: &str) -> Object {
    Object::EndpointSlice(Arc::new(
        serde_json::from_value(json!({
            "metadata": {"name": name, "labels": {SERVICE_LABEL: owner}},
            "addressType": "IPv4",
            "ports": [{"name": "p", "port": 8080}],
            "endpoints": [{"addresses": [format!("10.1.0.{endpoint}")], "nodeName": node}],
        }))
        .unwrap(),
    ))
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

fn index_state(index: &mut Index) -> (Cluster, Vec<String>) {
    let (cluster, problems) = index.cluster();
    let mut problems: Vec<_> = problems.iter().map(|problem| problem.to_string()).collect();
    problems.sort();
    ((*cluster).clone(), problems)
}

fn fresh_state(objects: Vec<Object>) -> (Cluster, Vec<String>) {
    let mut index = Index::default();
    index.replace_objects(objects);
    index_state(&mut index)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]
    #[test]
    fn the_state_depends_neither_on_history_nor_on_order(
        (steps, order) in prop::collection::vec(any_step(), 0..30).prop_flat_map(|steps| {
            let order = Just((0..steps.len()).collect::<Vec<_>>()).prop_shuffle();
            (Just(steps), order)
        })
    ) {
        let mut index = Index::default();
        let mut there = BTreeMap::new();
        for step in &steps {
            match step {
                IndexStep::Apply(object) => {
                    there.insert(object.object_ref(), object.clone());
                    index.apply(object.clone());
                }
                IndexStep::Delete(object) => {
                    there.remove(&object.object_ref());
                    index.delete(&object.object_ref());
                }
                IndexStep::Translate => drop(index.cluster()),
            }
        }
        let objects: Vec<_> = there.values().cloned().collect();
        let shuffled = order.iter().filter_map(|i| objects.get(*i)).cloned().collect();
        let expected = fresh_state(objects.clone());
        prop_assert_eq!(&index_state(&mut index), &expected);
        prop_assert_eq!(&fresh_state(shuffled), &expected);
        index.replace_objects(objects);
        prop_assert_eq!(&index_state(&mut index), &expected);
        index.replace_objects(Vec::new());
        prop_assert_eq!(index_state(&mut index), (Cluster::default(), Vec::new()));
    }
}

#[test]
fn what_did_not_change_stays_the_same_object() {
    let mut index = Index::default();
    index.replace_objects(vec![
        node("n1", "10.0.0.1", None),
        service("a", "192.0.2.1", 80, None, true),
        service("b", "192.0.2.2", 80, None, true),
        slice("s1", "a", 1, "n1"),
        slice("s2", "b", 1, "n1"),
    ]);
    let (before, _) = index.cluster();
    index.apply(slice("s2", "b", 2, "n1"));
    index.apply(service("a", "192.0.2.1", 80, None, true));
    index.apply(node("n1", "10.0.0.1", None));
    let (after, _) = index.cluster();
    let same: Vec<_> =
        before.services.values().zip(after.services.values()).map(|(b, a)| Arc::ptr_eq(b, a)).collect();
    assert_eq!(same, [true, false]);
    assert!(Arc::ptr_eq(&index.cluster().0, &after));
}

#[test]
fn a_node_that_appears_later_completes_its_services() {
    let mut index = Index::default();
    index.apply(service("a", "192.0.2.1", 80, None, true));
    index.apply(slice("s1", "a", 1, "n1"));
    let (cluster, problems) = index.cluster();
    assert_eq!(problems.len(), 1);
    assert_eq!(cluster.services.values().next().unwrap().backends, Backends::Endpoints(Vec::new()));
    index.apply(node("n1", "10.0.0.1", None));
    let (cluster, problems) = index.cluster();
    assert_eq!(problems, []);
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
    let mut index = Index::default();
    index.replace_objects(objects);
    let (mut held, problems) = index.cluster();
    assert_eq!((held.services.len(), problems.len()), (10_000, 0));
    let change = |endpoint| {
        let start = std::time::Instant::now();
        index.apply(slice("s5000", "s5000", endpoint, "n2"));
        let (changed, _) = index.cluster();
        let took = start.elapsed();
        assert_ne!(std::mem::replace(&mut held, Arc::clone(&changed)), changed);
        took
    };
    let best = (2..12).map(change).min().unwrap();
    println!("{best:?}");
    assert!(best.as_millis() < 50, "{best:?}");
}
