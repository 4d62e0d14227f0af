//! Testbeds without Trigon: addresses, routes, links, counters and manifests. Needs root.

#![expect(clippy::unwrap_used, reason = "in tests")]

use std::{fs, net::IpAddr};

use lb_testbed::{
    Config, DirectorCounters, EndpointState, Family, HTTP_PORT, Namespace, ServiceSpec, Testbed, VIP,
    render_manifest, write_manifest,
};
use serde_json::Value;

fn can_ping(from: &Namespace, to: IpAddr) -> bool {
    from.run(&["ping", "-c", "1", "-W", "2", &to.to_string()]).is_ok()
}

fn assert_all_machines_are_reached(testbed: &Testbed) {
    for machine in testbed.machines() {
        for address in machine.addresses() {
            assert!(can_ping(testbed.router(), address), "router -> {} {address}", machine.name);
            assert!(can_ping(testbed.client(), address), "client -> {} {address}", machine.name);
        }
    }
}

fn assert_only_nodes_reach_their_pods(testbed: &Testbed) {
    for pod in testbed.pods() {
        for address in pod.addresses() {
            assert!(can_ping(&testbed.node_of(pod).unwrap().namespace, address), "{} {address}", pod.name);
            assert!(testbed.router().ip(&format!("route get {address}")).is_err(), "router -> {address}");
        }
    }
}

#[test]
fn routed_testbed_reaches_everyone() {
    let testbed = Testbed::new(Config::l3()).unwrap();
    assert_all_machines_are_reached(&testbed);
    assert_only_nodes_reach_their_pods(&testbed);
    let addresses: Vec<_> = testbed.machines().iter().map(|machine| machine.address.v4.octets()[2]).collect();
    assert_eq!(addresses, [1, 2, 3, 4, 5], "a subnet each");
}

#[test]
fn switched_testbed_reaches_everyone_directly() {
    let testbed = Testbed::new(Config::l2()).unwrap();
    assert_all_machines_are_reached(&testbed);
    assert_only_nodes_reach_their_pods(&testbed);
    let (director, node) = (testbed.directors()[0], testbed.nodes()[2]);
    for family in Family::ALL {
        let route = director.namespace.ip(&format!("route get {}", node.address.get(family))).unwrap();
        assert!(!route.contains("via"), "{route}");
    }
}

#[test]
fn large_packets_fit_between_machines() {
    for config in [Config::l3(), Config::l2()] {
        let testbed = Testbed::new(config).unwrap();
        let (director, node) = (testbed.directors()[0], testbed.nodes()[0]);
        let to = node.address.v4.to_string();
        // 1600 less the headers of IPv4 and ICMP
        director.namespace.run(&["ping", "-c1", "-W2", "-Mdo", "-s1572", &to]).unwrap();
    }
}

/// The gateways of the router's route to the VIPs of a family.
fn vip_gateways(testbed: &Testbed, family: Family) -> Vec<String> {
    let network = if family == Family::V4 { "192.0.2.0/24" } else { "2001:db8:1::/64" };
    let text = testbed.router().run(&["ip", "-j", family.flag(), "route", "show", network]).unwrap();
    let routes: Value = serde_json::from_str(&text).unwrap();
    let route = &routes[0];
    let gateway = |hop: &Value| hop["gateway"].as_str().map(str::to_owned);
    let many = route["nexthops"].as_array().into_iter().flatten().filter_map(gateway);
    many.chain(gateway(route)).collect()
}

#[test]
fn router_spreads_vips_over_chosen_directors() {
    for config in [Config::l3(), Config::l2()] {
        let testbed = Testbed::new(config).unwrap();
        for chosen in [vec![0, 1], vec![1], vec![], vec![0, 1], vec![0]] {
            testbed.set_directors(&chosen).unwrap();
            for family in Family::ALL {
                let expected: Vec<_> =
                    chosen.iter().map(|&i| testbed.directors()[i].address.get(family).to_string()).collect();
                assert_eq!(vip_gateways(&testbed, family), expected);
            }
        }
        assert!(testbed.set_directors(&[2]).is_err());
    }
}

#[test]
fn counters_see_what_passes_the_directors_links() {
    for config in [Config::l3(), Config::l2()] {
        let testbed = Testbed::new(config).unwrap();
        let director = testbed.directors()[1];
        for vip in VIP.both() {
            director.namespace.ip(&format!("address add {vip} dev lo")).unwrap();
        }
        testbed.set_directors(&[1]).unwrap();
        let counters = DirectorCounters::attach(&testbed).unwrap();
        for vip in VIP.both() {
            assert!(can_ping(testbed.client(), vip));
        }
        counters.reset().unwrap();
        let to = VIP.v4.to_string();
        testbed.client().run(&["ping", "-c10", "-i0.01", "-s1000", &to]).unwrap();
        let count = counters.read_each().unwrap()["director2"];
        // Neighbour discovery may add a few.
        assert!((20..30).contains(&count.packets), "{count:?}");
        let expected = 20 * (14 + 20 + 8 + 1000);
        assert!((expected..expected + 1000).contains(&count.bytes), "{count:?}");
        assert_eq!(count.reply_packets, 10, "{count:?}");
        assert!(counters.read().unwrap().packets >= count.packets);
    }
}

#[test]
fn cut_links_pass_nothing_and_can_be_mended() {
    for config in [Config::l3(), Config::l2()] {
        let testbed = Testbed::new(config).unwrap();
        let node = testbed.nodes()[0];
        for up in [true, false, false, true, true] {
            testbed.set_link(node, up).unwrap();
            let got = testbed.client().run(&["ping", "-c1", "-W1", &node.address.v4.to_string()]).is_ok();
            assert_eq!(got, up);
        }
    }
}

#[test]
fn manifest_describes_the_testbed() {
    let testbed = Testbed::new(Config::l3()).unwrap();
    let web = ServiceSpec::with_all_ports("web").delivery("ipip");
    let few = ServiceSpec::with_all_ports("few")
        .vips([VIP.v6.into()])
        .endpoints(&[("pod1_1", EndpointState::Ready), ("pod3_2", EndpointState::Terminating)]);
    let text = render_manifest(&testbed, &[web, few]).unwrap();
    let objects: Vec<Value> = text.split("\n---\n").map(|one| serde_json::from_str(one).unwrap()).collect();
    let kinds: Vec<_> = objects.iter().map(|object| object["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds[..5], ["Node"; 5]);
    assert_eq!(kinds[5..], ["Service", "EndpointSlice", "EndpointSlice", "Service", "EndpointSlice"]);
    assert_eq!(objects[0]["metadata"]["labels"]["trigon.dev/director"], "");
    assert_eq!(objects[5]["metadata"]["annotations"]["trigon.dev/delivery"], "ipip");
    assert_eq!(objects[6]["endpoints"].as_array().unwrap().len(), 6);
    assert_eq!(objects[9]["endpoints"][1]["conditions"]["ready"], false);
    assert_eq!(objects[9]["endpoints"][1]["nodeName"], "node3");
    let source = testbed.dir().join("objects");
    let path = write_manifest(&source, "testbed.yaml", &text).unwrap();
    assert_eq!(fs::read_to_string(path).unwrap(), text);
    assert_eq!(fs::read_dir(source).unwrap().count(), 1);
}

#[test]
fn unknown_pods_and_too_many_machines_are_refused() {
    let error = Testbed::new(Config { directors: 11, ..Config::l3() }).unwrap_err();
    assert!(format!("{error:#}").contains("at most 10 directors"), "{error:#}");
    let testbed = Testbed::new(Config { directors: 1, nodes: 1, pods_per_node: 0, ..Config::l3() }).unwrap();
    let error =
        render_manifest(&testbed, &[ServiceSpec::with_all_ports("web").pods(&["pod1_1"])]).unwrap_err();
    assert!(format!("{error:#}").contains("pod1_1"), "{error:#}");
}

#[test]
fn errors_name_the_namespace_the_command_and_what_it_said() {
    let testbed = Testbed::new(Config { nodes: 1, ..Config::l3() }).unwrap();
    let error = testbed.client().ip("link show nonsense").unwrap_err();
    let text = format!("{error:#}");
    for part in [&testbed.client().name, "ip link show nonsense", "does not exist"] {
        assert!(text.contains(part), "{text}");
    }
}

#[test]
fn far_ends_of_machines_have_a_program() {
    for config in [Config::l3(), Config::l2()] {
        let testbed = Testbed::new(config).unwrap();
        for machine in testbed.machines() {
            let link = machine.upstream.ip(&format!("link show {}", machine.name)).unwrap();
            assert!(link.contains("prog/xdp"), "XDP_TX would get stuck: {link}");
        }
    }
}

#[test]
fn bare_servers_answer_for_the_vips() {
    let testbed = Testbed::new(Config { nodes: 1, ..Config::l2() }).unwrap();
    let node = testbed.machine("node1").unwrap();
    let bare = testbed.make_bare_server(node).unwrap();
    let _server = testbed.start_http(&bare).unwrap();
    testbed.route_vips_via(&[node]).unwrap();
    for vip in VIP.both() {
        let url = format!("http://{}/", std::net::SocketAddr::new(vip, HTTP_PORT));
        assert_eq!(testbed.client().run(&["curl", "-sS", "--max-time", "5", &url]).unwrap(), "node1\n");
    }
    let service = ServiceSpec::bare("bare", &["node1"]).vips([VIP.v4.into()]);
    let text = render_manifest(&testbed, &[service]).unwrap();
    let slice: Value = serde_json::from_str(text.split("\n---\n").last().unwrap()).unwrap();
    assert_eq!(slice["endpoints"][0]["addresses"][0], node.address.v4.to_string());
    assert_eq!(slice["endpoints"][0]["nodeName"], Value::Null);
}
