//! An API server's objects give what the same objects give in files.

use std::{collections::BTreeMap, sync::Arc, time::Instant};

use imbl::OrdMap;
use k8s_openapi::api::{
    core::v1::{Node, Secret, Service},
    discovery::v1::EndpointSlice,
};
use kube::api::DynamicObject;
use lb_common::{maps::ServiceKey, roles};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{
    gather::Gatherer,
    watch::{Event, read_own},
};
use crate::{
    neigh::{NextHop, NextHops, Reach},
    objects::{
        index::Index,
        model::Cluster,
        source::{Kind, Object, ObjectRef, Update, file::testing::TestFiles},
        translate::TranslateConfig,
    },
    plan::{Dead, Identity, Plan, PlannedService, Planner, next_hop_targets},
};

/// As an API server writes them: with creation times, versions and its own fields.
fn metadata(name: &str, born: u32, more: Value) -> Value {
    let mut meta = json!({
        "name": name,
        "namespace": "default",
        "uid": format!("uid-{name}"),
        "resourceVersion": born.to_string(),
        "creationTimestamp": format!("{}-01-01T00:00:00Z", 2000 + born),
        "managedFields": [{"manager": "kubectl", "operation": "Apply", "fieldsV1": {"f:spec": {}}}],
    });
    for (key, value) in more.as_object().into_iter().flatten() {
        meta[key] = value.clone();
    }
    meta
}

fn service() -> impl Strategy<Value = Value> {
    let annotations = prop::sample::subsequence(
        vec![
            ("trigon.dev/dsr", "true"),
            ("trigon.dev/delivery", "gue"),
            ("trigon.dev/delivery", "none"),
            ("trigon.dev/new-flows-per-second", "100"),
            ("trigon.dev/typo", "x"),
        ],
        0..5,
    );
    let fields = prop::sample::subsequence(
        vec![
            ("externalTrafficPolicy", json!("Local")),
            ("publishNotReadyAddresses", json!(true)),
            ("sessionAffinity", json!("ClientIP")),
            ("loadBalancerSourceRanges", json!(["192.0.2.0/24", "2001:db8::/32"])),
            ("type", json!("ClusterIP")),
            ("allocateLoadBalancerNodePorts", json!(false)),
        ],
        0..5,
    );
    let vips = prop::sample::subsequence(vec!["192.0.2.1", "192.0.2.2", "2001:db8::1"], 0..4);
    (0..4, 0..9_u32, annotations, fields, vips).prop_map(|(number, born, annotations, fields, vips)| {
        let annotations: BTreeMap<_, _> = annotations.into_iter().collect();
        let mut spec = json!({
            "type": "LoadBalancer", "loadBalancerClass": "trigon.dev/lb", "clusterIP": "10.96.0.1",
            "ports": [
                {"name": "http", "port": 80, "targetPort": 8080, "nodePort": 30080, "protocol": "TCP"},
                {"name": "dns", "port": 53, "targetPort": "dns", "nodePort": 30053, "protocol": "UDP"},
            ],
        });
        for (name, value) in fields {
            spec[name] = value;
        }
        let ingress: Vec<_> = vips.iter().map(|vip| json!({"ip": vip, "ipMode": "VIP"})).collect();
        json!({
            "apiVersion": "v1", "kind": "Service", "spec": spec,
            "metadata": metadata(&format!("s{number}"), born, json!({"annotations": annotations})),
            "status": {"loadBalancer": {"ingress": ingress}},
        })
    })
}

fn slice() -> impl Strategy<Value = Value> {
    let endpoint = (1..9_u8, 0..4, any::<[Option<bool>; 3]>());
    let ports = prop::sample::subsequence(vec![("http", 8080, "TCP"), ("dns", 5353, "UDP")], 1..=2);
    let all = (0..6, 0..4, any::<bool>(), ports, prop::collection::vec(endpoint, 0..4));
    all.prop_map(|(number, owner, is_v6, ports, endpoints)| {
        let labels = json!({"labels": {"kubernetes.io/service-name": format!("s{owner}")}});
        let network = if is_v6 { "fd01::" } else { "10.1.0." };
        let endpoints = endpoints.into_iter().map(|(host, node, [ready, serving, terminating])| {
            json!({
                "addresses": [format!("{network}{host}")], "nodeName": format!("n{node}"),
                "conditions": {"ready": ready, "serving": serving, "terminating": terminating},
                "targetRef": {"kind": "Pod", "name": "p", "namespace": "default"}, "zone": "a",
            })
        });
        let port = |(name, port, protocol)| json!({"name": name, "port": port, "protocol": protocol});
        json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
            "addressType": if is_v6 { "IPv6" } else { "IPv4" },
            "metadata": metadata(&format!("e{number}"), 1, labels),
            "endpoints": endpoints.collect::<Vec<_>>(),
            "ports": ports.into_iter().map(port).collect::<Vec<_>>(),
        })
    })
}

fn node() -> impl Strategy<Value = Value> {
    let told = prop::option::of(1..9_u8);
    (0..4, 1..9_u8, 0..9_u32, any::<bool>(), told).prop_map(|(number, host, born, is_director, told)| {
        let labels = if is_director { json!({"trigon.dev/director": "true"}) } else { json!({}) };
        let told = told.map(|host| ("trigon.dev/node-address", format!("10.0.2.{host}, fd00::2:{host}")));
        let annotations: BTreeMap<_, _> = told.into_iter().collect();
        // Of those of one family, the first.
        let addresses = [format!("10.0.0.{host}"), format!("10.0.1.{host}"), format!("fd00::{host}")];
        let addresses = addresses.map(|address| json!({"type": "InternalIP", "address": address}));
        let name = [json!({"type": "Hostname", "address": "n"})];
        let addresses = [&addresses[..], &name].concat();
        let more = json!({"labels": labels, "annotations": annotations});
        let mut meta = metadata(&format!("n{number}"), born, more);
        meta.as_object_mut().expect("fields").remove("namespace");
        json!({
            "apiVersion": "v1", "kind": "Node", "metadata": meta, "spec": {"podCIDR": "10.1.0.0/24"},
            "status": {"addresses": addresses},
        })
    })
}

fn own() -> impl Strategy<Value = Value> {
    let of = |kind: &str, name: String, spec: Value| {
        json!({
            "apiVersion": "trigon.dev/v1alpha1", "kind": kind, "metadata": metadata(&name, 1, json!({})), "spec": spec,
        })
    };
    prop_oneof![
        (0..3, 8..40_u8).prop_map(move |(number, length)| {
            let spec = json!({"addresses": [format!("192.0.2.0/{length}")]});
            of("AddressPool", format!("p{number}"), spec)
        }),
        (0..3, 0..3, any::<bool>()).prop_map(move |(number, asn, is_typo)| {
            let typo = if is_typo { "holdTme" } else { "holdTime" };
            let spec = json!({"myASN": asn, "peerASN": 64_513, "peerAddress": "10.0.0.200", typo: "90s"});
            of("BgpPeer", format!("b{number}"), spec)
        }),
        (0..2).prop_map(move |number| of("BgpAdvertisement", format!("a{number}"), json!({}))),
        (0..2).prop_map(|number| {
            json!({
                "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/basic-auth",
                "metadata": metadata(&format!("x{number}"), 1, json!({})), "data": {"password": "aHVudGVyMg=="},
            })
        }),
    ]
}

type Objects = BTreeMap<(Kind, String), Value>;

/// Each is there once.
fn objects() -> impl Strategy<Value = Objects> {
    let one = prop_oneof![4 => service(), 4 => slice(), 3 => node(), 2 => own()];
    prop::collection::vec(one, 0..24)
        .prop_map(|all| all.into_iter().map(|object| (key_of(&object), object)).collect())
}

fn key_of(object: &Value) -> (Kind, String) {
    let kind = Kind::ALL.into_iter().find(|kind| object["kind"] == kind.name()).expect("a kind that is read");
    (kind, object["metadata"]["name"].as_str().expect("a name").to_owned())
}

/// As a watch reads it.
fn watched(kind: Kind, object: &Value) -> Event {
    let object = object.clone();
    let object = match kind {
        Kind::Service => Object::from(serde_json::from_value::<Service>(object).expect("a Service")),
        Kind::EndpointSlice => {
            Object::from(serde_json::from_value::<EndpointSlice>(object).expect("a slice"))
        }
        Kind::Node => Object::from(serde_json::from_value::<Node>(object).expect("a Node")),
        Kind::Secret => Object::from(serde_json::from_value::<Secret>(object).expect("a Secret")),
        _ => {
            let object = serde_json::from_value::<DynamicObject>(object).expect("an object");
            return read_own(kind, &object);
        }
    };
    Event::Put(object, None)
}

fn list(gathered: &mut Gatherer, objects: &Objects) {
    for kind in Kind::ALL {
        gathered.note_event(kind, Event::Listing);
        let of_kind = objects.iter().filter(|((of, _), _)| *of == kind);
        of_kind.for_each(|(_, object)| gathered.note_event(kind, watched(kind, object)));
        gathered.note_event(kind, Event::Listed);
    }
}

/// The cluster and its problems, without where they were read.
type Outcome = (Cluster, Vec<String>);

fn outcome(index: &mut Index, refused: impl IntoIterator<Item = String>) -> Outcome {
    let cluster = Cluster::clone(index.cluster());
    let problems = index.faults().into_iter().chain(index.refused());
    let mut problems: Vec<_> =
        problems.map(|problem| format!("{} {}", problem.object, problem.message)).collect();
    problems.extend(refused);
    problems.sort();
    (cluster, problems)
}

fn take(index: &mut Index, update: Update) -> Outcome {
    index.apply_changes(update.changes);
    let refused = update.refused.iter().map(|problem| format!("{} {}", problem.object, problem.message));
    assert!(update.faults.is_empty(), "{:?}", update.faults);
    outcome(index, refused.collect::<Vec<_>>())
}

fn text(objects: &Objects) -> String {
    objects.values().map(Value::to_string).collect::<Vec<_>>().join("\n---\n")
}

/// What each machine makes of it, in each role.
fn plans(cluster: &Cluster) -> Vec<(u32, Plan)> {
    let via = || Reach::Via(NextHop { on_link: true, dst_mac: Some([1; 6]), ..NextHop::on_uplink() });
    let hops: NextHops = next_hop_targets(cluster).into_iter().map(|target| (target, via())).collect();
    let plan = |(roles, node): (u32, u8)| {
        let me = Identity {
            node: format!("n{node}").into(),
            roles,
            asks_former_owners: true,
            bare_sources: Arc::default(),
            answer_echo: true,
            bgp_port: None,
        };
        let (before, dead) = (Plan::default(), Dead::default());
        (roles, Planner::default().plan(&before, cluster, &me, &hops, &dead, Instant::now()))
    };
    let all_roles = [roles::DIRECTOR, roles::NODE, roles::DIRECTOR | roles::NODE];
    all_roles.into_iter().flat_map(|roles| (0..3).map(move |node| (roles, node))).map(plan).collect()
}

/// To the byte, but for moments.
fn printed(plans: &[(u32, Plan)]) -> String {
    let timeless = plans.iter().map(|(roles, plan)| (roles, Plan { due: None, ..plan.clone() }));
    format!("{:?}", timeless.collect::<Vec<_>>())
}

/// By which all that have the role send.
fn rings(plan: &Plan) -> OrdMap<ServiceKey, String> {
    let ring = |planned: &PlannedService| format!("{:?} {:?}", planned.members, planned.ring);
    plan.services.iter().map(|(key, planned)| (*key, ring(planned))).collect()
}

proptest! {
    /// Also after a change, whether it comes as events or as another list.
    #[test]
    fn the_same_objects_give_the_same_plans_from_an_api_server_and_from_files(
        before in objects(), after in objects(), by_list in any::<bool>(),
    ) {
        let (mut gathered, mut files) = (Gatherer::new(String::new(), &Kind::ALL), TestFiles::default());
        let (mut of_server, mut of_files) = (Index::new(TranslateConfig::default()), Index::new(TranslateConfig::default()));
        list(&mut gathered, &before);
        let listed = take(&mut of_server, gathered.take());
        prop_assert_eq!(listed, take(&mut of_files, files.load(&[("a.yaml", &text(&before))])));
        if by_list {
            list(&mut gathered, &after);
        } else {
            for (kind, name) in before.keys().filter(|key| !after.contains_key(*key)) {
                gathered.note_event(*kind, Event::Gone(ObjectRef::new(*kind, "default", name)));
            }
            after.iter().for_each(|((kind, _), object)| gathered.note_event(*kind, watched(*kind, object)));
        }
        let changed = take(&mut of_server, gathered.take());
        prop_assert_eq!(&changed, &take(&mut of_files, files.load(&[("a.yaml", &text(&after))])));
        let of_machines = plans(of_server.cluster());
        prop_assert_eq!(printed(&of_machines), printed(&plans(of_files.cluster())));
        for (_, plan) in of_machines.iter().filter(|(has, _)| has & roles::DIRECTOR != 0) {
            prop_assert_eq!(rings(plan), rings(&of_machines[0].1), "directors agree");
        }
    }
}
