use super::*;

/// A change to the base, the problem it makes, and how many services are left.
const PROBLEMS: &[(&str, &str, &str, usize)] = &[
    // The VIP
    (
        "192.0.2.1",
        "192.0.2.300",
        "24: Service default/web: status.loadBalancer.ingress[0].ip: `192.0.2.300` is not an IP address; write",
        0,
    ),
    (
        "192.0.2.1",
        "0.0.0.0",
        "24: Service default/web: status.loadBalancer.ingress[0].ip: 0.0.0.0 is an unspecified address; use",
        0,
    ),
    (
        "192.0.2.1",
        "'::1'",
        "24: Service default/web: status.loadBalancer.ingress[0].ip: ::1 is a loopback address; use",
        0,
    ),
    (
        "192.0.2.1",
        "239.1.1.1",
        "24: Service default/web: status.loadBalancer.ingress[0].ip: 239.1.1.1 is a multicast address; use",
        0,
    ),
    (
        "192.0.2.1",
        "fe80::1",
        "24: Service default/web: status.loadBalancer.ingress[0].ip: fe80::1 is a link-local address; use",
        0,
    ),
    (
        "192.0.2.1",
        "255.255.255.255",
        "24: Service default/web: status.loadBalancer.ingress[0].ip: 255.255.255.255 is the broadcast address; use",
        0,
    ),
    (
        "192.0.2.1",
        "'::ffff:192.0.2.1'",
        "24: Service default/web: status.loadBalancer.ingress[0].ip: ::ffff:192.0.2.1 is an IPv4-mapped \
         IPv6 address; write 192.0.2.1",
        0,
    ),
    (
        "192.0.2.1",
        "10.0.0.1",
        "24: Service default/web: status.loadBalancer.ingress[0].ip: 10.0.0.1 is the address of Node node1; use",
        0,
    ),
    (
        "- ip: 192.0.2.1",
        "- ip: 192.0.2.1\n    - ip: 192.0.2.1",
        "25: Service default/web: status.loadBalancer.ingress[1].ip: 192.0.2.1 is there twice; remove",
        1,
    ),
    // The ports
    (
        "port: 80\n",
        "port: 0\n",
        "20: Service default/web: spec.ports[0].port: 0 is not a port; use a number from 1",
        0,
    ),
    ("    port: 80\n", "", "19: Service default/web: spec.ports[0].port: 0 is not a port; use", 0),
    (
        "port: 80\n",
        "port: 65536\n",
        "20: Service default/web: spec.ports[0].port: 65536 is not a port; use",
        0,
    ),
    (
        "port: 80\n",
        "port: 80\n    protocol: SCTP\n",
        "21: Service default/web: spec.ports[0].protocol: `SCTP` is not supported; use TCP or UDP",
        0,
    ),
    (
        "port: 80\n",
        "port: 80\n  - name: again\n    port: 80\n",
        "22: Service default/web: spec.ports[1].port: tcp 80 is there twice; remove",
        1,
    ),
    // Annotations and what else is in a Service
    (
        "dsr: \"true\"",
        "dsr: \"yes\"",
        "13: Service default/web: metadata.annotations[trigon.dev/dsr]: `yes` is not a value of it; write one of \
         `true`, `false`",
        0,
    ),
    (
        "delivery: auto",
        "delivery: gre",
        "14: Service default/web: metadata.annotations[trigon.dev/delivery]: `gre` is not a value of it; write one of \
         `auto`, `l2`, `ipip`",
        0,
    ),
    (
        "delivery: auto",
        "backends: pods",
        "14: Service default/web: metadata.annotations[trigon.dev/backends]: `pods` is not a value of it; write `bare`",
        0,
    ),
    (
        "delivery: auto",
        "health-check: tcp",
        "14: Service default/web: metadata.annotations[trigon.dev/health-check]: only bare servers are checked; nodes \
         are probed; remove it, or write trigon.dev/backends: bare",
        0,
    ),
    (
        "delivery: auto",
        "backends: bare\n    trigon.dev/health-check: https:/live",
        "15: Service default/web: metadata.annotations[trigon.dev/health-check]: `https:/live` is not a value of it; \
         write one of `tcp`, `http:/PATH`, `icmp`, `none`",
        0,
    ),
    (
        "delivery: auto",
        "backends: bare\n    trigon.dev/health-check: http:live",
        "15: Service default/web: metadata.annotations[trigon.dev/health-check]: `live` is not a path that can be \
         asked for; write http:/PATH",
        0,
    ),
    (
        "delivery: auto",
        "backends: bare\n    trigon.dev/health-check: 'http:/a b'",
        "15: Service default/web: metadata.annotations[trigon.dev/health-check]: `/a b` is not a path that can be \
         asked for; write http:/PATH",
        0,
    ),
    (
        "trigon.dev/delivery: auto",
        "trigon.dev/delivry: auto",
        "14: Service default/web: metadata.annotations[trigon.dev/delivry]: unknown annotation; use one of",
        1,
    ),
    (
        "spec:\n",
        "spec:\n  loadBalancerSourceRanges: [10.0.0.0/8, 10.0.0.0/33]\n",
        "16: Service default/web: spec.loadBalancerSourceRanges[1]: `10.0.0.0/33` is not a range of addresses; write",
        0,
    ),
    (
        "trigon.dev/delivery: auto",
        "service.beta.kubernetes.io/load-balancer-source-ranges: 10.0.0.0/8,",
        "14: Service default/web: metadata.annotations[service.beta.kubernetes.io/load-balancer-source-ranges]: `` is \
         not a range of addresses; write",
        0,
    ),
    (
        "spec:\n",
        "spec:\n  sessionAffinity: ClientIp\n",
        "16: Service default/web: spec.sessionAffinity: `ClientIp` is not a value of it; write ClientIP or None",
        0,
    ),
    (
        "spec:\n",
        "spec:\n  sessionAffinity: ClientIP\n  sessionAffinityConfig: {clientIP: {timeoutSeconds: 0}}\n",
        "17: Service default/web: spec.sessionAffinityConfig.clientIP.timeoutSeconds: 0 is too little; write a number \
         of seconds from 1 to 86400",
        0,
    ),
    (
        "spec:\n",
        "spec:\n  sessionAffinity: ClientIP\n  sessionAffinityConfig: {clientIP: {timeoutSeconds: 86401}}\n",
        "17: Service default/web: spec.sessionAffinityConfig.clientIP.timeoutSeconds: 86401 is too much; write",
        0,
    ),
    (
        "spec:\n",
        "spec:\n  sessionAffinityConfig: {clientIP: {timeoutSeconds: 60}}\n",
        "16: Service default/web: spec.sessionAffinityConfig.clientIP: has no effect without sessionAffinity; write \
         sessionAffinity: ClientIP",
        0,
    ),
    (
        "trigon.dev/delivery: auto",
        "trigon.dev/new-flows-per-second: \"0\"",
        "14: Service default/web: metadata.annotations[trigon.dev/new-flows-per-second]: `0` is not a number of flows; \
         write a number from 1",
        0,
    ),
    (
        "trigon.dev/delivery: auto",
        "trigon.dev/new-flows-per-second: many",
        "14: Service default/web: metadata.annotations[trigon.dev/new-flows-per-second]: `many` is not a number of \
         flows; write",
        0,
    ),
    // Slices
    (
        "addressType: IPv4",
        "addressType: FQDN",
        "32: EndpointSlice default/web-1: addressType: `FQDN` has no meaning for a load balancer; write",
        1,
    ),
    ("port: 8080", "port: 0", "35: EndpointSlice default/web-1: ports[0].port: 0 is not a port; use", 1),
    (
        "  port: 8080\n",
        "",
        "34: EndpointSlice default/web-1: ports[0].port: is missing: it would mean all ports; write",
        1,
    ),
    (
        "port: 8080",
        "port: 8080\n  protocol: SCTP",
        "36: EndpointSlice default/web-1: ports[0].protocol: `SCTP` is not supported; use",
        1,
    ),
    (
        "[10.1.0.1]",
        "[pod.example]",
        "37: EndpointSlice default/web-1: endpoints[0].addresses[0]: `pod.example` is not an IP address; write",
        1,
    ),
    (
        "[10.1.0.1]",
        "[127.0.0.1]",
        "37: EndpointSlice default/web-1: endpoints[0].addresses[0]: 127.0.0.1 is a loopback address; use",
        1,
    ),
    (
        "[10.1.0.1]",
        "['::']",
        "37: EndpointSlice default/web-1: endpoints[0].addresses[0]: :: is an unspecified address; use",
        1,
    ),
    (
        "[10.1.0.1]",
        "['fd00::1']",
        "37: EndpointSlice default/web-1: endpoints[0].addresses[0]: fd00::1 is IPv6, unlike the slice's addressType; put",
        1,
    ),
    ("[10.1.0.1]", "[]", "37: EndpointSlice default/web-1: endpoints[0].addresses: is empty; write", 1),
    (
        "[10.1.0.1]",
        "[10.1.0.1, 10.1.0.2]",
        "37: EndpointSlice default/web-1: endpoints[0].addresses: 2 addresses, of which Kubernetes uses only the first; \
         write one endpoint for each address",
        1,
    ),
    (
        "  nodeName: node1\n",
        "",
        "37: EndpointSlice default/web-1: endpoints[0].nodeName: is missing; set the Node that the Pod is on; or annotate \
         the Service with trigon.dev/backends: bare",
        1,
    ),
    (
        "nodeName: node1",
        "nodeName: node2",
        "38: EndpointSlice default/web-1: endpoints[0].nodeName: there is no Node `node2`; add",
        1,
    ),
    (
        "trigon.dev/delivery: auto",
        "trigon.dev/backends: bare",
        "35: EndpointSlice default/web-1: ports[0].port: 8080 is not the port of the Service; write 80",
        1,
    ),
    // Nodes
    (
        "10.0.0.1",
        "10.0.0",
        "6: Node node1: status.addresses[0].address: `10.0.0` is not an IP address; write",
        1,
    ),
    (
        "type: InternalIP",
        "type: ExternalIP",
        "5: Node node1: status.addresses: the Node has no InternalIP; add an address of type InternalIP, or the \
         annotation trigon.dev/node-address",
        1,
    ),
    (
        "{name: node1}",
        "{name: node1, annotations: {trigon.dev/adress: a}}",
        "3: Node node1: metadata.annotations[trigon.dev/adress]: unknown annotation; use one of trigon.dev/node-address",
        1,
    ),
    (
        "{name: node1}",
        "{name: node1, annotations: {trigon.dev/node-address: '10.0.0.1,10.0.0.2'}}",
        "3: Node node1: metadata.annotations[trigon.dev/node-address]: 10.0.0.2 is the second IPv4 address; name",
        1,
    ),
    (
        "{name: node1}",
        "{name: node1, annotations: {trigon.dev/node-address: ''}}",
        "3: Node node1: metadata.annotations[trigon.dev/node-address]: `` is not an IP address; write",
        1,
    ),
    (
        "{name: node1}",
        "{name: node1, labels: {trigon.dev/director: maybe}}",
        "3: Node node1: metadata.labels[trigon.dev/director]: `maybe` is not a value of this label; write",
        1,
    ),
    (
        "---\n",
        "---\n{apiVersion: v1, kind: Node, metadata: {name: node2}, status: {addresses: [{type: InternalIP, address: \
         10.0.0.1}]}}\n---\n",
        "8: Node node2: status.addresses: 10.0.0.1 is also the address of Node node1; give",
        1,
    ),
];

#[test]
fn every_problem_names_line_object_field_and_remedy_and_the_rest_is_used() {
    for (from, to, expected, services) in PROBLEMS {
        let (cluster, problems) = cluster_with(&changed_base(from, to), TranslateConfig::default());
        assert_eq!(problems.len(), 1, "{to}: {problems:#?}");
        let expected = format!("test.yaml:{expected}");
        assert!(problems[0].starts_with(&expected), "\n   found: {}\nexpected: {expected}", problems[0]);
        assert!(problems[0].contains("; "), "a remedy: {}", problems[0]);
        assert_eq!(cluster.services.len(), *services, "{to}");
    }
}

#[test]
fn of_two_services_with_the_same_vip_and_port_the_older_has_it() {
    let second = BASE.split("---\n").nth(1).unwrap().replace("name: web\n", "name: intruder\n");
    let (cluster, problems) = cluster_with(&format!("{BASE}---\n{second}"), TranslateConfig::default());
    let expected = "test.yaml:24: Service default/web: status.loadBalancer.ingress[0].ip: tcp 192.0.2.1:80 belongs to \
                    Service default/intruder already; give one of the two another address or port";
    assert_eq!(problems, [expected]);
    assert_eq!(&*cluster.services.values().next().unwrap().name, "default/intruder");

    let born = |year: u32| format!("metadata:\n  creationTimestamp: {year}-01-01T00:00:00Z\n  name:");
    let old = changed_base("metadata:\n  name:", &born(2024));
    let new = second.replace("metadata:\n  name:", &born(2025));
    let (cluster, problems) = cluster_with(&format!("{old}---\n{new}"), TranslateConfig::default());
    assert_eq!(problems.len(), 1);
    assert!(
        problems[0].contains("Service default/intruder: ")
            && problems[0].contains("belongs to Service default/web")
    );
    assert_eq!(&*cluster.services.values().next().unwrap().name, "default/web");

    // A Service that kube-proxy carries takes part in this, too.
    let proxied = second.replace("trigon.dev/dsr: \"true\"", "trigon.dev/dsr: \"false\"");
    let (cluster, problems) = cluster_with(&format!("{BASE}---\n{proxied}"), TranslateConfig::default());
    assert!(
        problems[0].contains("tcp 192.0.2.1:80 belongs to Service default/intruder already"),
        "{problems:?}"
    );
    assert_eq!((problems.len(), cluster.services.len()), (1, 0));

    let other_port = second.replace("port: 80\n", "port: 81\n");
    assert_eq!(services(&format!("{BASE}---\n{other_port}")).len(), 2);
}

#[test]
fn ten_thousand_endpoints_in_a_slice_are_one_problem() {
    let endpoint = |i: usize| format!("- addresses: [10.1.{}.{}]\n  nodeName: node1\n", i / 250, i % 250);
    let more: String = (0..10_000).map(endpoint).collect();
    let (cluster, problems) = cluster_with(&format!("{BASE}{more}"), TranslateConfig::default());
    let expected = "test.yaml:36: EndpointSlice default/web-1: endpoints: 10001 endpoints in one slice; Kubernetes \
                    allows 1000; split it into several slices of the Service";
    assert_eq!(problems, [expected]);
    assert_eq!(summarize_services(&cluster), ["tcp 192.0.2.1:80 ->"]);
}
