mod health;
mod policy;
mod problems;

use std::net::{IpAddr, SocketAddr};

use crate::objects::{
    index::Index,
    model::{Backends, Cluster, DeliveryMode, Endpoint, Service},
    source::{Change, file::read_text},
    translate::TranslateConfig,
};

/// The manifest that the tests change: one Node, one Service, one slice.
const BASE: &str = r#"apiVersion: v1
kind: Node
metadata: {name: node1}
status:
  addresses:
  - {type: InternalIP, address: 10.0.0.1}
---
apiVersion: v1
kind: Service
metadata:
  name: web
  annotations:
    trigon.dev/dsr: "true"
    trigon.dev/delivery: auto
spec:
  type: LoadBalancer
  loadBalancerClass: trigon.dev/lb
  ports:
  - name: http
    port: 80
status:
  loadBalancer:
    ingress:
    - ip: 192.0.2.1
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: web-1
  labels:
    kubernetes.io/service-name: web
addressType: IPv4
ports:
- name: http
  port: 8080
endpoints:
- addresses: [10.1.0.1]
  nodeName: node1
"#;

/// The base with one piece of text replaced by another.
fn changed_base(from: &str, to: &str) -> String {
    assert!(BASE.contains(from), "{from}");
    BASE.replacen(from, to, 1)
}

fn cluster_with(text: &str, options: TranslateConfig) -> (Cluster, Vec<String>) {
    let loaded = read_text(text).unwrap();
    let mut index = Index::new(options);
    index.apply_changes(loaded.objects.into_iter().map(Change::from).collect());
    let cluster = Cluster::clone(index.cluster());
    (cluster, index.faults().iter().chain(&index.refused()).map(ToString::to_string).collect())
}

/// `tcp 192.0.2.1:80 -> node1/10.1.0.1:8080, ...` for each service; `~` before what drains.
fn summarize_services(cluster: &Cluster) -> Vec<String> {
    let endpoint = |e: &Endpoint| {
        format!("{}{}/{}", if e.draining { "~" } else { "" }, e.node, SocketAddr::new(e.addr, e.port))
    };
    let line = |service: &Service| {
        let backends: Vec<_> = match &service.backends {
            Backends::Endpoints(all) => all.iter().map(endpoint).collect(),
            Backends::Bare(all) => all.iter().map(|address| format!("bare {address}")).collect(),
        };
        format!("{} -> {}", service.frontend, backends.join(", ")).trim_end().to_owned()
    };
    cluster.services.values().map(|service| line(service)).collect()
}

fn services(text: &str) -> Vec<String> {
    let (cluster, problems) = cluster_with(text, TranslateConfig::default());
    assert_eq!(problems, [""; 0]);
    summarize_services(&cluster)
}

#[test]
fn a_service_becomes_what_its_objects_say() {
    let (cluster, problems) = cluster_with(BASE, TranslateConfig::default());
    assert_eq!(problems, [""; 0]);
    assert_eq!(summarize_services(&cluster), ["tcp 192.0.2.1:80 -> node1/10.1.0.1:8080"]);
    let service = cluster.services.values().next().unwrap();
    assert_eq!((&*service.name, service.delivery), ("default/web", DeliveryMode::Auto));
    let node = &cluster.nodes["node1"];
    assert_eq!((node.addresses.as_slice(), node.director), (&["10.0.0.1".parse().unwrap()][..], false));
}

/// Bare servers are on no node.
#[test]
fn only_services_with_pods_are_local() {
    let policy = |policy: &str| {
        changed_base(
            "  type: LoadBalancer",
            &format!("  externalTrafficPolicy: {policy}\n  type: LoadBalancer"),
        )
    };
    let bare = policy("Local").replace("trigon.dev/delivery: auto", "trigon.dev/backends: bare");
    let table = [
        (BASE.to_owned(), false),
        (policy("Cluster"), false),
        (policy("Local"), true),
        (bare.replace("port: 8080", "port: 80"), false),
    ];
    for (text, expected) in table {
        let (cluster, problems) = cluster_with(&text, TranslateConfig::default());
        assert_eq!(problems, [""; 0]);
        assert_eq!(
            cluster.services.values().map(|service| service.local).collect::<Vec<_>>(),
            [expected],
            "{text}"
        );
    }
}

#[test]
fn services_have_the_frontends_and_backends_that_their_objects_say() {
    let more = |text: &str| format!("{BASE}{text}");
    let table: &[(String, &[&str])] = &[
        // Not for the data path
        (changed_base("type: LoadBalancer", "type: ClusterIP"), &[]),
        (changed_base("trigon.dev/lb", "example.com/other"), &[]),
        (changed_base("  loadBalancerClass: trigon.dev/lb\n", ""), &[]),
        (changed_base("trigon.dev/dsr: \"true\"", "trigon.dev/dsr: \"false\""), &[]),
        (changed_base("    trigon.dev/dsr: \"true\"\n", ""), &[]),
        (changed_base("    - ip: 192.0.2.1", "    - hostname: a.example"), &[]),
        // VIPs, ports, protocols
        (
            changed_base("- ip: 192.0.2.1", "- ip: 192.0.2.1\n    - ip: 192.0.2.2\n    - ip: 2001:db8::1"),
            &[
                "tcp 192.0.2.1:80 -> node1/10.1.0.1:8080",
                "tcp 192.0.2.2:80 -> node1/10.1.0.1:8080",
                "tcp [2001:db8::1]:80 ->",
            ],
        ),
        (
            changed_base("    port: 80\n", "    port: 80\n  - {name: quic, port: 80, protocol: UDP}\n"),
            &["tcp 192.0.2.1:80 -> node1/10.1.0.1:8080", "udp 192.0.2.1:80 ->"],
        ),
        (changed_base("- name: http\n  port", "- name: other\n  port"), &["tcp 192.0.2.1:80 ->"]),
        (changed_base("  port: 8080", "  port: 8080\n  protocol: UDP"), &["tcp 192.0.2.1:80 ->"]),
        (BASE.replace("- name: http\n", "- name: \"\"\n"), &["tcp 192.0.2.1:80 -> node1/10.1.0.1:8080"]),
        // Slices
        (changed_base("service-name: web", "service-name: other"), &["tcp 192.0.2.1:80 ->"]),
        (changed_base("  name: web-1", "  name: web-1\n  namespace: other"), &["tcp 192.0.2.1:80 ->"]),
        (
            more(
                "---\n{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, addressType: IPv4, \
                 metadata: {name: web-0, labels: {kubernetes.io/service-name: web}}, \
                 ports: [{name: http, port: 8081}, {name: x, port: 1}], \
                 endpoints: [{addresses: [10.1.0.1], nodeName: node1}, {addresses: [10.1.0.0], nodeName: node1}]}",
            ),
            &["tcp 192.0.2.1:80 -> node1/10.1.0.0:8081, node1/10.1.0.1:8080, node1/10.1.0.1:8081"],
        ),
        (more("- {addresses: [10.1.0.1], nodeName: node1}"), &["tcp 192.0.2.1:80 -> node1/10.1.0.1:8080"]),
        // Conditions
        (more("  conditions: {ready: true}"), &["tcp 192.0.2.1:80 -> node1/10.1.0.1:8080"]),
        (more("  conditions: {serving: true}"), &["tcp 192.0.2.1:80 -> node1/10.1.0.1:8080"]),
        (more("  conditions: {ready: false}"), &["tcp 192.0.2.1:80 -> ~node1/10.1.0.1:8080"]),
        (more("  conditions: {ready: false, serving: true}"), &["tcp 192.0.2.1:80 -> ~node1/10.1.0.1:8080"]),
        (
            more("  conditions: {ready: false, terminating: true}"),
            &["tcp 192.0.2.1:80 -> node1/10.1.0.1:8080"],
        ),
        (more("  conditions: {ready: false, serving: false}"), &["tcp 192.0.2.1:80 -> ~node1/10.1.0.1:8080"]),
        (
            more("  conditions: {ready: false, serving: false, terminating: true}"),
            &["tcp 192.0.2.1:80 -> ~node1/10.1.0.1:8080"],
        ),
        (
            more("  conditions: {ready: false, serving: true, terminating: true}"),
            &["tcp 192.0.2.1:80 -> node1/10.1.0.1:8080"],
        ),
        (
            more(
                "  conditions: {ready: false, serving: true, terminating: true}\n\
                 - {addresses: [10.1.0.2], nodeName: node1}\n\
                 - {addresses: [10.1.0.3], nodeName: node1, conditions: {ready: false, serving: false}}",
            ),
            &["tcp 192.0.2.1:80 -> ~node1/10.1.0.1:8080, node1/10.1.0.2:8080, ~node1/10.1.0.3:8080"],
        ),
        (
            more(
                "  conditions: {ready: false, serving: true, terminating: true}\n\
                 - {addresses: [10.1.0.3], nodeName: node1, conditions: {ready: false, serving: false}}",
            ),
            &["tcp 192.0.2.1:80 -> node1/10.1.0.1:8080, ~node1/10.1.0.3:8080"],
        ),
        // The same endpoint twice, as while it goes from one slice to another
        (
            more(
                "  conditions: {ready: false, serving: false}\n\
                 - {addresses: [10.1.0.1], nodeName: node1}",
            ),
            &["tcp 192.0.2.1:80 -> node1/10.1.0.1:8080"],
        ),
        (
            changed_base("spec:\n", "spec:\n  publishNotReadyAddresses: true\n")
                + "  conditions: {ready: false}",
            &["tcp 192.0.2.1:80 -> node1/10.1.0.1:8080"],
        ),
        // Bare servers
        (
            changed_base("trigon.dev/delivery: auto", "trigon.dev/backends: bare")
                .replace("port: 8080", "port: 80")
                .replace("  nodeName: node1\n", "- addresses: [10.1.0.0]"),
            &["tcp 192.0.2.1:80 -> bare 10.1.0.0, bare 10.1.0.1"],
        ),
        (
            changed_base("trigon.dev/delivery: auto", "trigon.dev/backends: bare")
                .replace("port: 8080", "port: 80")
                .replace("  nodeName: node1\n", "  conditions: {ready: false}\n- addresses: [10.1.0.0]"),
            &["tcp 192.0.2.1:80 -> bare 10.1.0.0"],
        ),
    ];
    for (text, expected) in table {
        assert_eq!(services(text), *expected, "{text}");
    }
    let unclassed = changed_base("  loadBalancerClass: trigon.dev/lb\n", "");
    let (cluster, _) =
        cluster_with(&unclassed, TranslateConfig { default_class: true, ..TranslateConfig::default() });
    assert_eq!(cluster.services.len(), 1);
}

#[test]
fn nodes_have_the_addresses_and_the_role_that_their_objects_say() {
    let name = "metadata: {name: node1}";
    let table: &[(String, &[&str], bool)] = &[
        (
            changed_base(
                "- {type: I",
                "- {type: ExternalIP, address: 1.1.1.1}\n  - {type: Hostname, address: x}\n  - {type: I",
            ),
            &["10.0.0.1"],
            false,
        ),
        (
            changed_base(
                "0.0.1}",
                "0.0.1}\n  - {type: InternalIP, address: 10.0.0.2}\n  - {type: InternalIP, address: 'fd00::1'}",
            ),
            &["10.0.0.1", "fd00::1"],
            false,
        ),
        (
            changed_base(
                name,
                "metadata: {name: node1, annotations: {trigon.dev/node-address: 'fd00::9, 10.0.0.9'}}",
            ),
            &["fd00::9", "10.0.0.9"],
            false,
        ),
        (
            changed_base(name, "metadata: {name: node1, labels: {trigon.dev/director: ''}}"),
            &["10.0.0.1"],
            true,
        ),
        (
            changed_base(name, "metadata: {name: node1, labels: {trigon.dev/director: 'true'}}"),
            &["10.0.0.1"],
            true,
        ),
        (
            changed_base(name, "metadata: {name: node1, labels: {trigon.dev/director: 'false'}}"),
            &["10.0.0.1"],
            false,
        ),
    ];
    for (text, addresses, director) in table {
        let (cluster, problems) = cluster_with(text, TranslateConfig::default());
        assert_eq!(problems, [""; 0]);
        let node = &cluster.nodes["node1"];
        let expected: Vec<IpAddr> = addresses.iter().map(|address| address.parse().unwrap()).collect();
        assert_eq!((&node.addresses, node.director), (&expected, *director), "{text}");
        let options = TranslateConfig { all_directors: true, ..TranslateConfig::default() };
        assert!(cluster_with(text, options).0.nodes["node1"].director, "{text}");
    }
}
