use super::*;

/// The routes to the first peer, without its name.
fn routes_to_router1(cluster: &Cluster, node: &str) -> Vec<String> {
    let routes = route_lines(&plan_on(cluster, node));
    routes.iter().filter_map(|route| route.strip_prefix("router1 ").map(ToOwned::to_owned)).collect()
}

fn attributes_of(all: &Announcements, peer: &str, prefix: &str) -> Attributes {
    (*all.bgp.peers[peer].routes[&prefix.parse().unwrap()]).clone()
}

#[test]
fn each_node_announces_the_vips_that_it_can_serve() {
    let cluster = world(&bgp_advertisement("all", ""));
    let table: &[(&str, &[&str])] = &[
        ("director1", &["192.0.2.25/32", "192.0.2.80/32", "198.51.100.1/32", "2001:db8::80/128"]),
        ("node1", &["192.0.2.25/32", "198.51.100.1/32"]),
        ("node2", &["192.0.2.25/32", "192.0.2.26/32", "198.51.100.1/32"]),
        // It has no Node object, but runs an agent.
        ("stranger", &["192.0.2.25/32", "198.51.100.1/32"]),
    ];
    for (node, expected) in table {
        assert_eq!(routes_to_router1(&cluster, node), *expected, "{node}");
    }
}

#[test]
fn a_vip_of_the_data_path_is_announced_once_it_is_carried() {
    let cluster = world(&bgp_advertisement("all", "ipAddressPools: [main]"));
    let routes_with = |carried: &[&str]| {
        let carried = carried.iter().map(|vip| ip(vip)).collect();
        route_lines(&plan(&cluster, &identity("director1"), &carried, Leaving::No))
    };
    assert_eq!(routes_with(&[]), ["router1 192.0.2.25/32"]);
    assert_eq!(routes_with(&[WEB]), ["router1 192.0.2.25/32", "router1 192.0.2.80/32"]);
}

#[test]
fn a_vip_shared_with_the_data_path_is_announced_by_directors_alone() {
    let shared = |web_endpoints: &[(&str, bool)]| {
        let key = "annotations: {trigon.dev/allow-shared-ip: web";
        let mail = service("mail", &[WEB], "", &[("node1", true)]).replace("port: 80", "port: 25");
        let mail = mail.replacen("name: mail, ", &format!("name: mail, {key}}}, "), 1);
        let web = service("web", &[WEB], "", web_endpoints).replace("annotations: {", &format!("{key}, "));
        cluster_of(&format!("{WORLD}{web}{mail}{}", bgp_advertisement("all", "")))
    };
    let routes_of = |cluster: &Cluster, node: &str, carried: &[&str]| {
        let carried = carried.iter().map(|vip| ip(vip)).collect();
        route_lines(&plan(cluster, &identity(node), &carried, Leaving::No))
    };
    let both = shared(&[("node1", true)]);
    assert_eq!(both.announced[&ip(WEB)].service_names(), "default/mail, default/web");
    assert_eq!(routes_of(&both, "director1", &[WEB]), ["router1 192.0.2.80/32"]);
    // Not proven yet: connections of the data path would break here.
    assert_eq!(routes_of(&both, "director1", &[]), [""; 0]);
    assert_eq!(routes_of(&both, "node1", &[]), [""; 0]);
    // Nothing to carry in the data path: the other goes on.
    let idle = shared(&[]);
    assert_eq!(routes_of(&idle, "director1", &[]), ["router1 192.0.2.80/32"]);
    assert_eq!(routes_of(&idle, "node1", &[]), [""; 0]);
}

#[test]
fn nodes_may_be_kept_out_of_what_kube_proxy_carries() {
    let label = "node.kubernetes.io/exclude-from-external-load-balancers: ''";
    let text = format!("{WORLD}{}{}", services(), bgp_advertisement("all", "ipAddressPools: [main]"));
    let excluded = cluster_of(&text.replace("rack: a", &format!("rack: a, {label}")));
    assert_eq!(routes_to_router1(&excluded, "node1"), [""; 0]);
    assert_eq!(routes_to_router1(&excluded, "director1"), ["192.0.2.80/32", "2001:db8::80/128"]);
}

#[test]
fn a_node_has_its_own_peers_and_sends_each_the_routes_for_it() {
    let text = bgp_advertisement("all", "ipAddressPools: [main], peers: [router2]")
        + &bgp_advertisement("b", "peers: [router1], nodeSelectors: [{matchLabels: {rack: b}}]");
    let cluster = world(&text);
    assert_eq!(route_lines(&plan_on(&cluster, "node1")), [""; 0]);
    assert_eq!(plan_on(&cluster, "node1").bgp.peers.len(), 1);
    let expected = [
        "router1 192.0.2.25/32",
        "router1 192.0.2.26/32",
        "router1 198.51.100.1/32",
        "router2 192.0.2.25/32",
        "router2 192.0.2.26/32",
    ];
    assert_eq!(route_lines(&plan_on(&cluster, "node2")), expected);
}

/// Of a peer that is a node, the other nodes have a session with it.
#[test]
fn no_node_is_its_own_peer() {
    let cluster = world(&object("BgpPeer", "itself", "myASN: 64512, peerASN: 64512, peerAddress: 10.0.0.12"));
    for (node, is_peer) in [("director1", true), ("director2", false), ("node2", true)] {
        let plan = plan_on(&cluster, node);
        assert_eq!(plan.bgp.peers.contains_key("itself"), is_peer, "{node}");
        let problems: Vec<_> = plan.problems.iter().map(ToString::to_string).collect();
        let expected = "BgpPeer itself: spec.peerAddress: this is Node director2 itself, which does without this \
                        peer; write the router's address";
        assert_eq!(problems.len(), usize::from(!is_peer), "{problems:?}");
        assert!(problems.iter().all(|problem| problem.starts_with(expected)), "{problems:?}");
    }
}

/// At a port that the agent does not listen on, there may be another daemon.
#[test]
fn another_daemon_on_the_node_may_be_a_peer() {
    let peer = "myASN: 64512, peerASN: 64513, peerAddress: 10.0.0.12";
    let at_port = |port: &str| world(&object("BgpPeer", "daemon", &format!("{peer}{port}")));
    let table = [
        ("", Some(179), false),
        ("", Some(1179), true),
        ("", None, true),
        (", peerPort: 1179", Some(179), true),
        (", peerPort: 1179", Some(1179), false),
    ];
    for (port, listens, is_peer) in table {
        let me = Identity { bgp_port: listens, ..identity("director2") };
        let plan = plan(&at_port(port), &me, &BTreeSet::new(), Leaving::No);
        assert_eq!(plan.bgp.peers.contains_key("daemon"), is_peer, "`{port}`, {listens:?}");
        assert_eq!(plan.problems.is_empty(), is_peer, "`{port}`, {listens:?}");
    }
}

#[test]
fn advertisements_choose_pools_and_services() {
    let table: &[(&str, &[&str])] = &[
        ("ipAddressPoolSelectors: [{matchLabels: {tier: front}}]", &["192.0.2.25/32"]),
        ("ipAddressPoolSelectors: [{matchLabels: {tier: back}}]", &[]),
        ("", &["192.0.2.25/32", "198.51.100.1/32"]),
        ("serviceSelectors: [{matchLabels: {app: outside}}]", &["198.51.100.1/32"]),
        ("serviceSelectors: [{matchLabels: {app: local}}]", &[]),
        ("aggregationLength: 24", &["192.0.2.0/24", "198.51.100.0/24"]),
    ];
    for (spec, expected) in table {
        assert_eq!(routes_to_router1(&world(&bgp_advertisement("all", spec)), "node1"), *expected, "{spec}");
    }
    let v6 = world(&bgp_advertisement("all", "aggregationLengthV6: 64"));
    assert!(routes_to_router1(&v6, "director1").contains(&"2001:db8::/64".to_owned()));
}

#[test]
fn a_pool_that_a_prefix_would_go_beyond_is_left_out_and_others_are_not() {
    let pool = object("AddressPool", "small", "addresses: [198.51.100.0/28]");
    let loaded = read_text(&format!(
        "{WORLD}{}{pool}{}",
        services(),
        bgp_advertisement("all", "aggregationLength: 24")
    ));
    let (cluster, problems) =
        load_cluster(&loaded.unwrap(), TranslateConfig::default(), &Cluster::default()).unwrap();
    assert_eq!(problems.len(), 1);
    assert_eq!(routes_to_router1(&cluster, "node1"), ["192.0.2.0/24"]);
}

#[test]
fn a_prefix_stays_within_its_pool() {
    let pool = object("AddressPool", "small", "addresses: [198.51.100.10-198.51.100.20, 198.51.101.0/30]");
    let vips = ["198.51.100.10", "198.51.100.12", "198.51.100.19", "198.51.100.20", "198.51.101.3"];
    let spec = "ipAddressPools: [small], aggregationLength: 30";
    let text = format!(
        "{WORLD}{}{pool}{}",
        service("mail", &vips, "", &[("node1", true)]),
        bgp_advertisement("all", spec)
    );
    let loaded = read_text(&text).unwrap();
    let (cluster, problems) = load_cluster(&loaded, TranslateConfig::default(), &Cluster::default()).unwrap();
    assert_eq!(
        routes_to_router1(&cluster, "node1"),
        ["198.51.100.12/30", "198.51.100.16/30", "198.51.101.0/30"]
    );
    let problems: Vec<_> =
        problems.iter().map(|problem| format!("{}; {}", problem.message, problem.remedy)).collect();
    let expected = "a prefix of length 30 goes beyond 198.51.100.10-198.51.100.20 of AddressPool `small`: VIPs in one \
                    that does are left out; write 32 or more, or choose other pools";
    assert_eq!(problems, [expected]);
    let silent: Vec<_> = silent_vip_problems(&cluster).into_iter().map(|problem| problem.message).collect();
    let message = |vip| {
        format!("{vip} is announced by nobody: every prefix that holds it goes beyond AddressPool `small`")
    };
    assert_eq!(silent, [message("198.51.100.10"), message("198.51.100.20")]);
}

#[test]
fn several_advertisements_of_one_route_add_up() {
    let text = bgp_advertisement("one", "localPref: 200, communities: ['1:1', no-export]")
        + &bgp_advertisement("two", "localPref: 200, communities: ['1:1', 'large:1:2:3'], peers: [router1]");
    let plan = plan_on(&world(&text), "node2");
    assert_eq!(plan.problems, []);
    let one = attributes_of(&plan, "router2", "192.0.2.25/32");
    assert_eq!((one.communities.len(), one.large_communities.len(), one.local_pref), (2, 0, Some(200)));
    let both = attributes_of(&plan, "router1", "192.0.2.25/32");
    assert_eq!((both.communities.len(), both.large_communities.len(), both.local_pref), (2, 1, Some(200)));
}

#[test]
fn the_vip_itself_and_its_aggregate_are_two_routes() {
    let text = bgp_advertisement("one", "localPref: 200, ipAddressPools: [main]")
        + &bgp_advertisement(
            "two",
            "localPref: 100, ipAddressPools: [main], aggregationLength: 24, aggregationLengthV6: 64",
        );
    let plan = plan_on(&world(&text), "node1");
    assert_eq!(attributes_of(&plan, "router1", "192.0.2.25/32").local_pref, Some(200));
    assert_eq!(attributes_of(&plan, "router1", "192.0.2.0/24").local_pref, Some(100));
}

#[test]
fn a_contradiction_for_one_service_is_a_problem_and_the_first_advertisement_is_followed() {
    let text = bgp_advertisement("one", "med: 5, serviceSelectors: [{matchLabels: {app: mail}}]")
        + &bgp_advertisement("two", "med: 6, ipAddressPools: [main]");
    let plan = plan_on(&world(&text), "node1");
    assert_eq!(attributes_of(&plan, "router1", "192.0.2.25/32").med, Some(5));
    let told: Vec<_> = plan.problems.iter().map(ToString::to_string).collect();
    assert_eq!(told.len(), 1);
    let expected = "BgpAdvertisement default/two: spec.med: 6 contradicts 5 of BgpAdvertisement default/one, which \
                    192.0.2.25/32 is announced with; write";
    assert!(told[0].starts_with(expected), "{}", told[0]);
}

#[test]
fn session_configs_come_from_bgp_peers_and_nodes() {
    let cluster = world(&bgp_advertisement("all", ""));
    let config =
        |node: &str, peer: &str| -> PeerConfig { (*plan_on(&cluster, node).bgp.peers[peer].config).clone() };
    let director = config("director1", "router1");
    assert_eq!(director.router_id.octets(), [10, 0, 0, 11]);
    assert_eq!(director.next_hop_v6, Some("fd00::11".parse().unwrap()));
    assert_eq!((director.next_hop_v4, director.port), (None, 179));
    // Without an IPv4 address, the router ID is a hash of the name: always the same, and different for each.
    let ids = [config("node2", "router1"), config("stranger", "router1")].map(|config| config.router_id);
    assert_eq!(config("node2", "router2").router_id, ids[0]);
    assert!(ids[0] != ids[1] && ids.iter().all(|id| !id.is_unspecified()), "{ids:?}");
    // Over IPv6, the session's own address is the next hop.
    assert_eq!(config("node2", "router2").next_hop_v6, None);

    let written = cluster_of(&format!("{WORLD}{}", bgp_advertisement("all", "")).replace(
        "peerASN: 64513, peerAddress: 10",
        "peerASN: 64513, routerID: 9.9.9.9, nextHopV6: 'fd00::9', peerAddress: 10",
    ));
    let config = &plan_on(&written, "director1").bgp.peers["router1"].config;
    assert_eq!(
        (config.router_id, config.next_hop_v6),
        ([9, 9, 9, 9].into(), Some("fd00::9".parse().unwrap()))
    );
}

#[test]
fn bfd_sessions_are_those_of_peers_that_ask_for_them() {
    let cluster = world("");
    let plan = plan_on(&cluster, "director2");
    let key = bfd::SessionKey { remote: ip("10.0.0.253"), local: None, interface: None, multihop: false };
    assert_eq!(plan.bfd.keys().collect::<Vec<_>>(), [&key]);
    assert_eq!(plan.bfd[&key].transmit.as_millis(), 100);
    // Its address is not known yet.
    let unnumbered = WORLD.replace("peerAddress: 10.0.0.253", "interface: eth0");
    assert!(plan_on(&cluster_of(&unnumbered), "director2").bfd.is_empty());
    let far = WORLD.replace("bfdProfile: fast", "bfdProfile: fast, ebgpMultiHop: true");
    assert!(plan_on(&cluster_of(&far), "director2").bfd.keys().all(|key| key.multihop));
}

#[test]
fn a_change_of_routes_changes_no_session() {
    let (before, after) =
        (world(&bgp_advertisement("all", "")), world(&bgp_advertisement("all", "localPref: 5")));
    let (before, after) = (plan_on(&before, "node1"), plan_on(&after, "node1"));
    assert_ne!(before, after);
    assert_eq!(before.bgp.peers["router1"].config, after.bgp.peers["router1"].config);
}

#[test]
fn leaving_is_passed_on() {
    let cluster = world(&bgp_advertisement("all", ""));
    for leaving in [Leaving::No, Leaving::Draining, Leaving::Withdrawn, Leaving::Closed] {
        let plan = plan(&cluster, &identity("node1"), &BTreeSet::new(), leaving);
        assert_eq!((plan.bgp.leaving, plan.l2.leaving), (leaving, leaving != Leaving::No));
        assert_eq!(route_lines(&plan), route_lines(&plan_on(&cluster, "node1")));
    }
}
