//! The testbed's servers and its clients that count answers, without Trigon. Needs root.

#![expect(clippy::unwrap_used, reason = "in tests")]

mod common;

use std::{
    fs,
    net::{IpAddr, SocketAddr},
    thread,
    time::Duration,
};

use common::{TOOL, wait_until};
use lb_testbed::{
    Config, HTTP_PORT, Machine, Namespace, Pod, TCP_ECHO_PORT, TcpHoldOptions, Testbed, UDP_ECHO_PORT,
    UdpStreamOptions,
};

fn curl(from: &Namespace, address: IpAddr, path: &str) -> String {
    let url = format!("http://{}{path}", SocketAddr::new(address, HTTP_PORT));
    from.run(&["curl", "-sS", "--fail", "--max-time", "5", &url]).unwrap()
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
    assert_download_is_intact(&testbed, node, pod);
}

fn assert_download_is_intact(testbed: &Testbed, node: &Machine, pod: &Pod) {
    let sent = testbed.download_file().unwrap();
    let (url, copy) = (format!("http://{}:{HTTP_PORT}/download", pod.address.v4), testbed.dir().join("copy"));
    node.namespace.run(&["curl", "-sS", "--fail", "-o", &copy.to_string_lossy(), &url]).unwrap();
    assert!(fs::read(copy).unwrap() == fs::read(sent).unwrap(), "the download differs");
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
        let mut hold = testbed.start_tcp_hold_from(&node.namespace, &options).unwrap();
        thread::sleep(Duration::from_millis(500));
        let now = hold.read_report().unwrap();
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
        let report = testbed.start_udp_stream_from(&node.namespace, &options).unwrap().finish().unwrap();
        assert_eq!((report.sent, report.received, report.lost), (10_000, 10_000, 0), "{report:?}");
        assert_eq!(report.per_pod["pod1_1"], 10_000);
    }
    assert_eq!(testbed.udp_sources(pod).unwrap(), node.addresses());
}

#[test]
fn a_stream_that_is_cut_short_counts_what_it_has_sent() {
    let testbed = Testbed::new(Config { nodes: 1, ..Config::l3() }).unwrap();
    let pod = testbed.pod("pod1_1").unwrap();
    let _server = testbed.start_udp_echo(pod, UDP_ECHO_PORT).unwrap();
    let options = UdpStreamOptions {
        target: SocketAddr::new(pod.address.v4.into(), UDP_ECHO_PORT),
        rate: 100,
        length: Duration::from_secs(60),
        source: None,
        source_port: 0,
    };
    let node = &testbed.node_of(pod).unwrap().namespace;
    let mut stream = testbed.start_udp_stream_from(node, &options).unwrap();
    wait_until("a datagram", || testbed.udp_sources(pod).is_ok_and(|sources| !sources.is_empty()));
    stream.cut_short();
    let report = stream.finish().unwrap();
    assert!((1..6000).contains(&report.sent), "{report:?}");
    assert_eq!((report.received, report.lost), (report.sent, 0), "{report:?}");
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
    let report = testbed.start_udp_stream(&options).unwrap().finish().unwrap();
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
    wait_until("the sink", || server.log().contains("listening"));
    for address in testbed.client_addresses()[0].both() {
        let options = TcpHoldOptions {
            target: SocketAddr::new(address, 7),
            connections: 1,
            sources: Vec::new(),
            interval: Duration::from_millis(10),
        };
        let report = testbed.start_tcp_hold_from(&pod.namespace, &options).unwrap().stop().unwrap();
        assert_eq!((report.opened, report.broken), (1, 0), "{report:?}");
    }
    let node = testbed.node_of(pod).unwrap();
    let expected: String = node.addresses().iter().map(|address| format!("{address}\n")).collect();
    assert_eq!(fs::read_to_string(&sources).unwrap(), expected);
}
