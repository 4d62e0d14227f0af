//! Testbeds by themselves, without Trigon: everything is where it should be,
//! and goes when it should. Needs root.

use std::{
    fs,
    io::{BufRead, BufReader},
    net::{IpAddr, SocketAddr},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use lb_testbed::{
    Config, DirectorCounters, EndpointState, Family, HTTP_PORT, Machine, Namespace, Pod, ServiceSpec,
    TCP_ECHO_PORT, TcpHoldOptions, Testbed, UDP_ECHO_PORT, UdpStreamOptions, VIP, manifest, standing,
    teardown, write_manifest,
};
use serde_json::Value;

const TOOL: &str = env!("CARGO_BIN_EXE_testbed-tool");

fn pings(from: &Namespace, to: IpAddr) -> bool {
    from.run(&["ping", "-c", "1", "-W", "2", &to.to_string()]).is_ok()
}

fn curl(from: &Namespace, address: IpAddr, path: &str) -> String {
    let url = format!("http://{}{path}", SocketAddr::new(address, HTTP_PORT));
    from.run(&["curl", "-sS", "--fail", "--max-time", "5", &url]).unwrap()
}

fn eventually(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(5);
    while !done() {
        assert!(Instant::now() < deadline, "{what}: not within 5 s");
        thread::sleep(Duration::from_millis(20));
    }
}

fn everyone_is_reached(testbed: &Testbed) {
    for machine in testbed.machines() {
        for address in machine.addresses() {
            assert!(pings(testbed.router(), address), "router -> {} {address}", machine.name);
            assert!(pings(testbed.client(), address), "client -> {} {address}", machine.name);
        }
    }
}

fn nobody_has_routes_to_pods_but_their_node(testbed: &Testbed) {
    for pod in testbed.pods() {
        for address in pod.addresses() {
            assert!(pings(&testbed.node_of(pod).unwrap().namespace, address), "{} {address}", pod.name);
            assert!(testbed.router().ip(&format!("route get {address}")).is_err(), "router -> {address}");
        }
    }
}

#[test]
fn routed_testbed_reaches_everyone() {
    let testbed = Testbed::new(Config::l3()).unwrap();
    everyone_is_reached(&testbed);
    nobody_has_routes_to_pods_but_their_node(&testbed);
    let addresses: Vec<_> = testbed.machines().iter().map(|machine| machine.address.v4.octets()[2]).collect();
    assert_eq!(addresses, [1, 2, 3, 4, 5], "a subnet each");
}

#[test]
fn switched_testbed_reaches_everyone_directly() {
    let testbed = Testbed::new(Config::l2()).unwrap();
    everyone_is_reached(&testbed);
    nobody_has_routes_to_pods_but_their_node(&testbed);
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

#[test]
fn http_servers_answer_and_log_where_requests_came_from() {
    let testbed = Testbed::new(Config { nodes: 1, ..Config::l3() }).unwrap();
    let pod = testbed.pod("pod1_2").unwrap();
    let node = testbed.node_of(pod).unwrap();
    let _server = testbed.start_http(pod).unwrap();
    assert_eq!(testbed.http_sources(pod).unwrap(), Vec::<IpAddr>::new(), "before any request");
    for (address, source) in pod.addresses().into_iter().zip(node.addresses()) {
        assert_eq!(curl(&node.namespace, address, "/"), "pod1_2\n");
        assert_eq!(curl(&node.namespace, address, "/echo-addr"), format!("{source}\n"));
    }
    assert_eq!(testbed.http_sources(pod).unwrap(), node.addresses());
    downloads_intact(&testbed, node, pod);
}

fn downloads_intact(testbed: &Testbed, node: &Machine, pod: &Pod) {
    let (url, copy) = (format!("http://{}:{HTTP_PORT}/download", pod.address.v4), testbed.dir().join("copy"));
    node.namespace.run(&["curl", "-sS", "--fail", "-o", &copy.to_string_lossy(), &url]).unwrap();
    assert!(
        fs::read(copy).unwrap() == fs::read(testbed.download().unwrap()).unwrap(),
        "the download differs"
    );
}

#[test]
fn connections_are_held_and_their_end_is_noticed() {
    let testbed = Testbed::new(Config { nodes: 1, ..Config::l3() }).unwrap();
    let pod = testbed.pod("pod1_1").unwrap();
    let node = testbed.node_of(pod).unwrap();
    let mut server = testbed.start_tcp_echo(pod, TCP_ECHO_PORT).unwrap();
    for address in pod.addresses() {
        let options = TcpHoldOptions {
            target: SocketAddr::new(address, TCP_ECHO_PORT),
            connections: 500,
            sources: node.addresses().into(),
            interval: Duration::from_millis(100),
        };
        let mut hold = testbed.tcp_hold_from(&node.namespace, &options).unwrap();
        thread::sleep(Duration::from_millis(500));
        let now = hold.status().unwrap();
        assert_eq!((now.opened, now.alive, now.broken, now.per_pod["pod1_1"]), (500, 500, 0, 500), "{now:?}");
        assert!(now.echoes >= 500, "{now:?}");
        if address.is_ipv6() {
            server.kill().unwrap();
            thread::sleep(Duration::from_millis(300));
            let after = hold.stop().unwrap();
            assert_eq!((after.opened, after.alive, after.broken), (500, 0, 500), "{after:?}");
        }
    }
    assert_eq!(testbed.tcp_sources(pod).unwrap(), node.addresses());
}

#[test]
fn ten_thousand_datagrams_a_second_are_all_answered() {
    let testbed = Testbed::new(Config { nodes: 1, ..Config::l3() }).unwrap();
    let pod = testbed.pod("pod1_1").unwrap();
    let node = testbed.node_of(pod).unwrap();
    let _server = testbed.start_udp_echo(pod, UDP_ECHO_PORT).unwrap();
    for (address, source) in pod.addresses().into_iter().zip(node.addresses()) {
        let options = UdpStreamOptions {
            target: SocketAddr::new(address, UDP_ECHO_PORT),
            rate: 10_000,
            length: Duration::from_secs(1),
            source: Some(source),
            source_port: 4000,
        };
        let report = testbed.udp_stream_from(&node.namespace, &options).unwrap().finish().unwrap();
        assert_eq!((report.sent, report.received, report.lost), (10_000, 10_000, 0), "{report:?}");
        assert_eq!(report.per_pod["pod1_1"], 10_000);
    }
    assert_eq!(testbed.udp_sources(pod).unwrap(), node.addresses());
}

#[test]
fn lost_datagrams_are_counted() {
    let testbed = Testbed::new(Config { nodes: 1, ..Config::l3() }).unwrap();
    let options = UdpStreamOptions {
        target: SocketAddr::new(testbed.machine("node1").unwrap().address.v4.into(), 9),
        rate: 100,
        length: Duration::from_millis(200),
        source: None,
        source_port: 0,
    };
    let report = testbed.udp_stream(&options).unwrap().finish().unwrap();
    assert_eq!((report.sent, report.received, report.lost), (20, 0, 20), "{report:?}");
    assert!(report.errors[0].contains("refused"), "{report:?}");
}

#[test]
fn nodes_masquerade_what_pods_send_out() {
    let testbed = Testbed::new(Config { nodes: 2, ..Config::l2() }).unwrap();
    let pod = testbed.pod("pod2_1").unwrap();
    let sources = testbed.dir().join("sources");
    let path = sources.to_string_lossy();
    let server =
        testbed.client().spawn("sink", TOOL, &["tcp-echo", "--port", "7", "--sources", &path]).unwrap();
    eventually("the sink", || server.log().contains("listening"));
    for address in testbed.client_addresses()[0].both() {
        let options = TcpHoldOptions {
            target: SocketAddr::new(address, 7),
            connections: 1,
            sources: Vec::new(),
            interval: Duration::from_millis(10),
        };
        let report = testbed.tcp_hold_from(&pod.namespace, &options).unwrap().stop().unwrap();
        assert_eq!((report.opened, report.broken), (1, 0), "{report:?}");
    }
    let node = testbed.node_of(pod).unwrap();
    let expected: String = node.addresses().iter().map(|address| format!("{address}\n")).collect();
    assert_eq!(fs::read_to_string(&sources).unwrap(), expected);
}

/// The gateways of the route to the VIPs, of one family.
fn hops(testbed: &Testbed, family: Family) -> Vec<String> {
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
                assert_eq!(hops(&testbed, family), expected);
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
            assert!(pings(testbed.client(), vip));
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
    let web = ServiceSpec::everything("web").delivery("ipip");
    let few = ServiceSpec::everything("few")
        .vips([VIP.v6.into()])
        .endpoints(&[("pod1_1", EndpointState::Ready), ("pod3_2", EndpointState::Terminating)]);
    let text = manifest(&testbed, &[web, few]).unwrap();
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
    let error = manifest(&testbed, &[ServiceSpec::everything("web").pods(&["pod1_1"])]).unwrap_err();
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

fn is_alive(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // A killed orphan may stay as a zombie where nothing takes init's place.
    stat.rsplit(')').next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with(" Z"))
}

fn is_gone(prefix: &str) -> bool {
    let pinned = format!("/sys/fs/bpf/trigon-{prefix}");
    !standing().iter().any(|one| one == prefix) && !Path::new(&pinned).exists()
}

#[test]
fn everything_goes_when_dropped() {
    let testbed = Testbed::new(Config::l3()).unwrap();
    let prefix = testbed.prefix().to_owned();
    fs::create_dir_all(testbed.bpffs().join("director1")).unwrap();
    let other = Testbed::new(Config::l2()).unwrap();
    let pod = testbed.pod("pod1_1").unwrap();
    let servers = [testbed.start_http(pod).unwrap(), testbed.start_udp_echo(pod, UDP_ECHO_PORT).unwrap()];
    let pids = servers.each_ref().map(lb_testbed::Process::id);
    assert!(!is_gone(&prefix) && pids.into_iter().all(is_alive));
    drop(testbed);
    assert!(is_gone(&prefix));
    drop(servers);
    assert!(!pids.into_iter().any(is_alive));
    everyone_is_reached(&other);
}

/// `testbed-tool up` in a process of its own: it and the prefix of what it built.
fn up(arguments: &[&str]) -> (Child, String) {
    let mut child = Command::new(TOOL).arg("up").args(arguments).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let said: Value = serde_json::from_str(&line).unwrap();
    (child, said["prefix"].as_str().unwrap().to_owned())
}

fn pids_in(prefix: &str, name: &str) -> Vec<u32> {
    let mut command = Command::new("ip");
    command.args(["netns", "pids", &format!("{prefix}-{name}")]);
    lb_testbed::run(command, "").unwrap().lines().map(|line| line.parse().unwrap()).collect()
}

#[test]
fn everything_goes_when_its_builder_is_killed() {
    let (mut child, prefix) = up(&["--serve"]);
    let servers = pids_in(&prefix, "pod2_1");
    assert_eq!(servers.len(), 4, "nginx, its worker, both echoes");
    fs::create_dir_all(format!("/sys/fs/bpf/trigon-{prefix}/node1")).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    eventually("teardown", || is_gone(&prefix));
    eventually("the servers' end", || !servers.iter().copied().any(is_alive));
}

#[test]
fn everything_goes_when_its_builder_is_killed_while_building() {
    for milliseconds in [5, 30, 60, 120, 200] {
        let mut child =
            Command::new(TOOL).args(["up", "--layer", "l2"]).stdout(Stdio::null()).spawn().unwrap();
        let prefix = format!("tg{}x1", child.id());
        thread::sleep(Duration::from_millis(milliseconds));
        child.kill().unwrap();
        child.wait().unwrap();
        // Not gone, but not there yet, is what a first look may see.
        thread::sleep(Duration::from_millis(500));
        eventually("teardown", || is_gone(&prefix));
    }
}

#[test]
fn kept_testbeds_stand_until_they_are_torn_down() {
    let (mut child, prefix) = up(&["--serve", "--keep", "--nodes", "1"]);
    assert!(child.wait().unwrap().success());
    let servers = pids_in(&prefix, "pod1_1");
    // Another one clears away what is stale: not this.
    drop(Testbed::new(Config { nodes: 1, ..Config::l3() }).unwrap());
    assert!(!is_gone(&prefix) && servers.len() == 4 && servers.iter().copied().all(is_alive));
    teardown(child.id()).unwrap();
    assert!(is_gone(&prefix));
    assert!(!servers.into_iter().any(is_alive));
}

#[test]
fn building_takes_less_than_three_seconds() {
    for config in [Config::l3(), Config::l2()] {
        let start = Instant::now();
        let testbed = Testbed::new(config).unwrap();
        let built = start.elapsed();
        drop(testbed);
        eprintln!("built in {built:?}, with teardown {:?}", start.elapsed());
        assert!(built < Duration::from_secs(3), "{built:?}");
    }
}
