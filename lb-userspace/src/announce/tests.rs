mod on_link;
mod properties;
mod relabelled;
mod sharing;
mod silence;
mod to_peers;

use std::{collections::BTreeSet, net::IpAddr, sync::Arc};

use lb_common::roles;

use super::*;
use crate::{
    objects::{index::testing::load_cluster, source::file::read_text, translate::TranslateConfig},
    protocols::bgp::{Attributes, PeerConfig},
};

/// Two directors and two nodes; a Service in the data path and others that
/// kube-proxy carries; two routers, the second of them for rack b only.
const WORLD: &str = r#"
{apiVersion: v1, kind: Node, metadata: {name: director1, labels: {trigon.dev/director: "true", rack: a}},
 status: {addresses: [{type: InternalIP, address: 10.0.0.11}, {type: InternalIP, address: "fd00::11"}]}}
---
{apiVersion: v1, kind: Node, metadata: {name: director2, labels: {trigon.dev/director: "true", rack: b}},
 status: {addresses: [{type: InternalIP, address: 10.0.0.12}]}}
---
{apiVersion: v1, kind: Node, metadata: {name: node1, labels: {rack: a}},
 status: {addresses: [{type: InternalIP, address: 10.0.0.1}]}}
---
{apiVersion: v1, kind: Node, metadata: {name: node2, labels: {rack: b}},
 status: {addresses: [{type: InternalIP, address: "fd00::2"}]}}
---
{apiVersion: trigon.dev/v1alpha1, kind: AddressPool, metadata: {name: main, labels: {tier: front}},
 spec: {addresses: [192.0.2.0/24, "2001:db8::/64"]}}
---
{apiVersion: trigon.dev/v1alpha1, kind: BgpPeer, metadata: {name: router1},
 spec: {myASN: 64512, peerASN: 64513, peerAddress: 10.0.0.253, bfdProfile: fast}}
---
{apiVersion: trigon.dev/v1alpha1, kind: BgpPeer, metadata: {name: router2},
 spec: {myASN: 64512, peerASN: 64513, peerAddress: "fd00::254", nodeSelectors: [{matchLabels: {rack: b}}]}}
---
{apiVersion: trigon.dev/v1alpha1, kind: BfdProfile, metadata: {name: fast}, spec: {transmitInterval: 100}}
---
"#;

const WEB: &str = "192.0.2.80";
const WEB6: &str = "2001:db8::80";
const MAIL: &str = "192.0.2.25";
/// Its Service has endpoints, but none of IPv6.
const MAIL6: &str = "2001:db8::25";
const LOCAL: &str = "192.0.2.26";
const EMPTY: &str = "192.0.2.27";
/// In no pool.
const OUTSIDE: &str = "198.51.100.1";

const WEB6_SLICE: &str = r#"
{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice,
 metadata: {name: web6, labels: {kubernetes.io/service-name: web}}, addressType: IPv6,
 ports: [{name: p, port: 80}], endpoints: [{addresses: ["fd44::1"], nodeName: node1}]}
---
"#;

fn service(name: &str, vips: &[&str], more: &str, endpoints: &[(&str, bool)]) -> String {
    let ingress: Vec<_> = vips.iter().map(|vip| format!("{{ip: \"{vip}\"}}")).collect();
    let endpoint = |(node, ready): &(&str, bool)| {
        format!("{{addresses: [10.1.0.1], nodeName: {node}, conditions: {{ready: {ready}}}}}")
    };
    let endpoints: Vec<_> = endpoints.iter().map(endpoint).collect();
    let dsr = if name == "web" { "annotations: {trigon.dev/dsr: 'true'}, " } else { "" };
    format!(
        "{{apiVersion: v1, kind: Service, metadata: {{name: {name}, {dsr}labels: {{app: {name}}}}},\n spec: {{type: \
         LoadBalancer, loadBalancerClass: trigon.dev/lb, {more}ports: [{{name: p, port: 80}}]}},\n status: \
         {{loadBalancer: {{ingress: [{}]}}}}}}\n---\n{{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, \
         metadata: {{name: {name}, labels: {{kubernetes.io/service-name: {name}}}}},\n addressType: IPv4, ports: \
         [{{name: p, port: 80}}], endpoints: [{}]}}\n---\n",
        ingress.join(", "),
        endpoints.join(", ")
    )
}

fn services() -> String {
    [
        service("web", &[WEB, WEB6], "", &[("node1", true)]),
        WEB6_SLICE.to_owned(),
        service("mail", &[MAIL, MAIL6], "", &[("node1", true), ("node2", false)]),
        service("local", &[LOCAL], "externalTrafficPolicy: Local, ", &[("node1", false), ("node2", true)]),
        service("empty", &[EMPTY], "", &[("node1", false)]),
        service("outside", &[OUTSIDE], "", &[("node1", true)]),
    ]
    .concat()
}

fn object(kind: &str, name: &str, spec: &str) -> String {
    format!(
        "{{apiVersion: trigon.dev/v1alpha1, kind: {kind}, metadata: {{name: {name}}}, spec: {{{spec}}}}}\n---\n"
    )
}

fn bgp_advertisement(name: &str, spec: &str) -> String {
    object("BgpAdvertisement", name, spec)
}

fn l2_advertisement(name: &str, spec: &str) -> String {
    object("L2Advertisement", name, spec)
}

fn cluster_of(text: &str) -> Cluster {
    let loaded = read_text(text).unwrap();
    let (cluster, problems) = load_cluster(&loaded, TranslateConfig::default(), &Cluster::default()).unwrap();
    assert_eq!(problems, [], "{text}");
    cluster
}

/// The objects of `WORLD`, the Services, and these.
fn world(more: &str) -> Cluster {
    cluster_of(&format!("{WORLD}{}{more}", services()))
}

fn identity(name: &str) -> Identity {
    let director = if name.starts_with("director") { roles::DIRECTOR } else { 0 };
    Identity {
        node: name.into(),
        roles: roles::NODE | director,
        asks_former_owners: true,
        bare_sources: Arc::default(),
        answer_echo: false,
        bgp_port: Some(bgp::config::PORT),
    }
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// What a node announces; a director carries all VIPs of Services in the data path.
fn plan_on(cluster: &Cluster, node: &str) -> Announcements {
    let carried = if node.starts_with("director") { [ip(WEB), ip(WEB6)].into() } else { BTreeSet::new() };
    plan(cluster, &identity(node), &carried, Leaving::No)
}

/// `router1 192.0.2.80/32`
fn route_lines(all: &Announcements) -> Vec<String> {
    let of_peer = |(name, peer): (&Arc<str>, &PeerOrders)| {
        peer.routes.keys().map(|prefix| format!("{name} {prefix}")).collect::<Vec<_>>()
    };
    all.bgp.peers.iter().flat_map(of_peer).collect()
}
