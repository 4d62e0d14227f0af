//! Clients inside the cluster: Pods, and nodes by themselves, connect to a VIP and get an answer whoever owns the slot
//! of their flow, their own node too. With what a node has in a cluster: rules that drop what conntrack finds invalid,
//! and a filter of reverse paths.

mod common;

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr, TcpStream},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use common::{
    client_addresses,
    round::{check_cni_drops_nothing, exchange_bulk},
    run_with_diagnostics, socket_address,
};
use lb_testbed::{
    Config, EndpointState, Machine, Namespace, NodeRole, Pod, PodNetwork, ServiceSpec, TCP_ECHO_PORT,
    TcpHold, TcpHoldOptions, Testbed, Triangle, UDP_ECHO_PORT, UdpStreamOptions, VIP,
};
use socket2::{Domain, Socket, Type};

/// From each client to each VIP.
const REQUESTS: u64 = 20;
const CONNECTIONS: u64 = 10;
/// What an upload sends and gets back.
const BULK: usize = 2 << 20;
const PATIENCE: Duration = Duration::from_secs(5);

/// A Pod, or a node by itself.
struct InsideClient {
    name: String,
    namespace: Namespace,
}

impl InsideClient {
    fn of_pod(testbed: &Testbed, name: &str) -> Result<Self> {
        Ok(Self { name: name.to_owned(), namespace: testbed.pod(name)?.namespace.clone() })
    }

    fn of_node(node: &Machine) -> Self {
        Self { name: node.name.clone(), namespace: node.namespace.clone() }
    }

    /// All there are on a node.
    fn all_on(testbed: &Testbed, node: &Machine) -> Vec<Self> {
        let pods = testbed.pods().iter().filter(|pod| pod.node == node.name);
        let pods = pods.map(|pod| Self { name: pod.name.clone(), namespace: pod.namespace.clone() });
        pods.chain([Self::of_node(node)]).collect()
    }

    /// Requests to a VIP are answered by exactly these Pods.
    fn is_answered_by(&self, testbed: &Testbed, vip: IpAddr, pods: &[&str]) -> Result<()> {
        let answers = testbed.send_requests_in(&self.namespace, socket_address(vip, 80), REQUESTS)?;
        println!("{} -> {vip}: {:?}", self.name, answers.per_pod);
        ensure!(answers.all_answered(), "{} -> {vip}: {answers:?}", self.name);
        ensure!(answers.per_pod.keys().eq(pods), "{} -> {vip}: {answers:?}, not {pods:?}", self.name);
        Ok(())
    }

    fn hold(&self, testbed: &Testbed, vip: IpAddr) -> Result<TcpHold> {
        testbed.start_tcp_hold_from(
            &self.namespace,
            &TcpHoldOptions {
                target: socket_address(vip, TCP_ECHO_PORT),
                connections: CONNECTIONS as usize,
                sources: Vec::new(),
                interval: Duration::from_millis(100),
            },
        )
    }

    fn stream_options(vip: IpAddr, source_port: u16) -> UdpStreamOptions {
        let target = socket_address(vip, UDP_ECHO_PORT);
        UdpStreamOptions { target, rate: 500, length: Duration::from_millis(300), source: None, source_port }
    }

    /// Connections, datagrams, and packets as large as they get, both ways.
    fn exchanges_everything(&self, testbed: &Testbed, vip: IpAddr) -> Result<()> {
        let mut hold = self.hold(testbed, vip)?;
        let stream = testbed.start_udp_stream_from(&self.namespace, &Self::stream_options(vip, 0))?;
        let report = stream.finish()?;
        ensure!(report.lost == 0 && report.duplicates == 0, "{} -> {vip}: {report:?}", self.name);
        testbed.get_download_in(&self.namespace, socket_address(vip, 80))?;
        self.namespace.within(|| {
            exchange_bulk(TcpStream::connect(socket_address(vip, TCP_ECHO_PORT))?, BULK, PATIENCE)
        })?;
        check_held(&mut hold, &self.name)
    }
}

/// All are alive.
fn check_held(hold: &mut TcpHold, whose: &str) -> Result<()> {
    let report = hold.read_report()?;
    ensure!(report.alive == CONNECTIONS && report.broken == 0, "{whose}: {report:?}");
    Ok(())
}

/// All are alive, and get answers.
fn check_moving(holds: &mut [(String, TcpHold)], when: &str) -> Result<()> {
    for (whose, hold) in holds {
        let before = hold.read_report()?;
        thread::sleep(Duration::from_millis(500));
        check_held(hold, &format!("{whose}, {when}"))?;
        let after = hold.read_report()?;
        ensure!(after.echoes >= before.echoes + CONNECTIONS, "{whose}, {when}: {before:?}, {after:?}");
    }
    println!("{when}: all connections are alive");
    Ok(())
}

fn start(config: Config, services: &[ServiceSpec]) -> Result<Triangle> {
    let triangle = Triangle::start(config, services)?;
    for node in triangle.testbed.nodes() {
        node.namespace.write_sysctls(&[("ipv4/conf/all/rp_filter", "1")])?;
    }
    Ok(triangle)
}

fn web() -> ServiceSpec {
    ServiceSpec::with_all_ports("web")
}

/// Clients outside are served as ever; and Pods saw nobody's address but theirs and the VIPs'.
fn check_others(triangle: &Triangle) -> Result<()> {
    let testbed = &triangle.testbed;
    let mut expected = BTreeSet::from(VIP.both());
    for vip in VIP.both() {
        let answers = testbed.send_requests(socket_address(vip, 80), 5)?;
        ensure!(answers.all_answered(), "{vip}: {answers:?}");
        expected.extend(client_addresses(triangle, vip));
    }
    for pod in testbed.pods() {
        let seen = BTreeSet::from_iter(testbed.http_sources(pod)?);
        ensure!(seen.is_subset(&expected), "{} saw {seen:?}", pod.name);
    }
    check_cni_drops_nothing(triangle)
}

/// A single node owns all slots, and so its own clients' too.
fn check_own_node(config: Config) -> Result<()> {
    run_with_diagnostics(&mut start(Config { nodes: 1, ..config }, &[web()])?, |triangle| {
        let testbed = &triangle.testbed;
        let node = testbed.machine("node1")?;
        for client in InsideClient::all_on(testbed, node) {
            for vip in VIP.both() {
                client.is_answered_by(testbed, vip, &["pod1_1", "pod1_2"])?;
                client.exchanges_everything(testbed, vip)?;
            }
        }
        let returned = testbed.sum_verdict([node], "egress_return")?;
        ensure!(returned > 0, "no reply was turned round: the test shows nothing");
        check_others(triangle)
    })
}

#[test]
fn the_own_node_answers_over_the_router() -> Result<()> {
    check_own_node(Config::l3())
}

#[test]
fn the_own_node_answers_over_a_link() -> Result<()> {
    check_own_node(Config::l2())
}

#[test]
fn the_own_node_answers_pods_that_are_not_masqueraded() -> Result<()> {
    check_own_node(Config { pod_network: PodNetwork::Routed, ..Config::l3() })
}

/// Super-packets, whose checksums the device would complete.
#[test]
fn the_own_node_answers_pods_with_offloads() -> Result<()> {
    check_own_node(Config { pod_offload: true, ..Config::l3() })
}

#[test]
fn the_own_node_answers_in_generic_mode() -> Result<()> {
    let agent_args = ["--xdp-mode", "generic"].map(str::to_owned).into();
    check_own_node(Config { agent_args, ..Config::l3() })
}

/// The only machine there is, director and node.
#[test]
fn the_own_node_answers_where_it_is_the_director_too() -> Result<()> {
    check_own_node(Config { directors: 0, node_role: NodeRole::Both, ..Config::l3() })
}

/// Of directors too.
fn check_every_owner(config: Config) -> Result<()> {
    run_with_diagnostics(&mut start(Config { nodes: 2, ..config }, &[web()])?, |triangle| {
        let testbed = &triangle.testbed;
        for machine in testbed.machines() {
            for client in InsideClient::all_on(testbed, machine) {
                for vip in VIP.both() {
                    let target = socket_address(vip, 80);
                    let answers = testbed.send_requests_in(&client.namespace, target, 3 * REQUESTS)?;
                    ensure!(answers.all_answered(), "{} -> {vip}: {answers:?}", client.name);
                    ensure!(answers.per_pod.len() == 4, "{} -> {vip}: {answers:?}", client.name);
                }
            }
        }
        for node in testbed.nodes() {
            ensure!(testbed.sum_verdict([node], "egress_return")? > 0, "{}: none came back", node.name);
        }
        Ok(())
    })
}

#[test]
fn every_owner_answers_masqueraded_clients() -> Result<()> {
    check_every_owner(Config::l3())
}

#[test]
fn every_owner_answers_routed_clients() -> Result<()> {
    check_every_owner(Config { pod_network: PodNetwork::Routed, ..Config::l3() })
}

#[test]
fn every_owner_answers_where_nodes_are_directors() -> Result<()> {
    check_every_owner(Config { directors: 0, node_role: NodeRole::Both, ..Config::l2() })
}

/// To the endpoint they are one client, the VIP.
#[test]
fn pods_with_one_source_port_get_answers_of_their_own() -> Result<()> {
    let config = Config { nodes: 1, pod_network: PodNetwork::Routed, ..Config::l3() };
    run_with_diagnostics(&mut start(config, &[web().pods(&["pod1_1"])])?, |triangle| {
        let testbed = &triangle.testbed;
        for vip in VIP.both() {
            let options = InsideClient::stream_options(vip, 41_000);
            let start = |pod: &str| {
                testbed.start_udp_stream_from(&InsideClient::of_pod(testbed, pod)?.namespace, &options)
            };
            for (stream, pod) in [(start("pod1_1")?, "pod1_1"), (start("pod1_2")?, "pod1_2")] {
                let report = stream.finish()?;
                ensure!(report.lost == 0 && report.duplicates == 0, "{pod} -> {vip}: {report:?}");
                println!("{pod} -> {vip}: {} of {} answered", report.received, report.sent);
            }
        }
        Ok(())
    })
}

/// An address of the family of `like`.
fn address_like(pod: &Pod, like: IpAddr) -> Result<IpAddr> {
    let found = pod.addresses().into_iter().find(|address| address.is_ipv4() == like.is_ipv4());
    found.with_context(|| format!("{} has no address like {like}", pod.name))
}

/// An echo, by a connection that ends with an RST, so that its port is free at once.
fn check_connection(from: SocketAddr, to: SocketAddr) -> Result<()> {
    let socket = Socket::new(Domain::for_address(to), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.set_linger(Some(Duration::ZERO))?;
    socket.bind(&from.into())?;
    socket
        .connect_timeout(&to.into(), PATIENCE)
        .with_context(|| format!("connecting to {to} from {from}"))?;
    exchange_bulk(socket.into(), 1000, PATIENCE).with_context(|| format!("{to} from {from}"))
}

/// From one port to the VIP, to the Pod past it, and back: the node remembers flows longer than they last.
#[test]
fn a_pod_answers_past_the_vip_from_a_port_that_was_used_towards_it() -> Result<()> {
    let config = Config { nodes: 2, pod_network: PodNetwork::Routed, ..Config::l3() };
    run_with_diagnostics(&mut start(config, &[web().pods(&["pod1_1"])])?, |triangle| {
        let testbed = &triangle.testbed;
        let on_other_node = testbed.pod("pod2_1")?;
        for vip in VIP.both() {
            let pod = address_like(testbed.pod("pod1_1")?, vip)?;
            let outside = client_addresses(triangle, vip)[0];
            let clients =
                [(&on_other_node.namespace, address_like(on_other_node, vip)?), (testbed.client(), outside)];
            for (client, source) in clients {
                client.within(|| {
                    let targets = [vip, pod, pod, vip, vip, pod].map(|ip| socket_address(ip, TCP_ECHO_PORT));
                    targets
                        .into_iter()
                        .try_for_each(|to| check_connection(socket_address(source, 41_000), to))
                })?;
                println!("{source} is answered by {vip} and by {pod}");
            }
        }
        Ok(())
    })
}

#[test]
fn an_endpoint_in_the_nodes_network_answers() -> Result<()> {
    let config = Config { nodes: 1, ..Config::l3() };
    run_with_diagnostics(&mut start(config, &[web().pods(&["node1"])])?, |triangle| {
        let testbed = &triangle.testbed;
        let node = testbed.machine("node1")?;
        let endpoint = testbed.host_pod(node);
        let _servers = [
            testbed.start_http(&endpoint)?,
            testbed.start_tcp_echo(&endpoint, TCP_ECHO_PORT)?,
            testbed.start_udp_echo(&endpoint, UDP_ECHO_PORT)?,
        ];
        for client in InsideClient::all_on(testbed, node) {
            for vip in VIP.both() {
                client.is_answered_by(testbed, vip, &["node1"])?;
                client.exchanges_everything(testbed, vip)?;
            }
        }
        check_others(triangle)
    })
}

/// The agent is killed and comes back; another node gets some of the slots, then all.
#[test]
fn connections_outlive_the_agent_and_the_owner() -> Result<()> {
    let own = ["pod1_1", "pod1_2"];
    let config = Config { nodes: 2, ..Config::l3() };
    run_with_diagnostics(&mut start(config, &[web().pods(&own)])?, |triangle| {
        let mut holds = Vec::new();
        for client in InsideClient::all_on(&triangle.testbed, triangle.testbed.machine("node1")?) {
            for vip in VIP.both() {
                let hold = client.hold(&triangle.testbed, vip)?;
                holds.push((format!("{} -> {vip}", client.name), hold));
            }
        }
        check_moving(&mut holds, "at first")?;
        triangle.restart_agent("node1")?;
        check_moving(&mut holds, "after the agent's restart")?;
        triangle.write_objects(&[web()])?;
        common::wait_for_backends(triangle, 2)?;
        check_moving(&mut holds, "with another node")?;
        let draining = own.map(|pod| (pod, EndpointState::Terminating));
        let others = ["pod2_1", "pod2_2"].map(|pod| (pod, EndpointState::Ready));
        triangle.write_objects(&[web().endpoints(&[draining, others].concat())])?;
        let (testbed, client) = (&triangle.testbed, InsideClient::of_pod(&triangle.testbed, "pod1_1")?);
        common::wait_at_most(PATIENCE, "new connections go to the other node", || {
            Ok(client.is_answered_by(testbed, VIP.v4.into(), &["pod2_1", "pod2_2"]).is_ok())
        })?;
        check_moving(&mut holds, "while its own Pods drain")
    })
}

/// The node itself tells that a packet is too big for the client's link: to the VIP, as if from outside.
#[test]
fn a_client_behind_a_small_mtu_gets_a_download() -> Result<()> {
    let config = Config { nodes: 1, ..Config::l3() };
    run_with_diagnostics(&mut start(config, &[web().pods(&["pod1_1"])])?, |triangle| {
        let testbed = &triangle.testbed;
        let (node, client) = (testbed.machine("node1")?, testbed.pod("pod1_2")?);
        node.namespace.ip(&format!("link set {} mtu 1300", client.port))?;
        for vip in VIP.both() {
            let length = testbed.get_download_in(&client.namespace, socket_address(vip, 80))?;
            println!("{vip}: {length} bytes");
        }
        Ok(())
    })
}

#[test]
fn explain_tells_who_is_inside() -> Result<()> {
    let config = Config { nodes: 1, pod_network: PodNetwork::Routed, ..Config::l3() };
    run_with_diagnostics(&mut start(config, &[web()])?, |triangle| {
        let testbed = &triangle.testbed;
        let (node, pod) = (testbed.machine("node1")?, testbed.pod("pod1_1")?);
        for vip in VIP.both() {
            let like_vip = |address: &IpAddr| address.is_ipv4() == vip.is_ipv4();
            let outside = client_addresses(triangle, vip);
            let own = pod.addresses().into_iter().chain(node.addresses()).filter(like_vip);
            let clients =
                own.map(|client| (client, true)).chain(outside.iter().map(|client| (*client, false)));
            for (client, is_inside) in clients {
                let (client, to) = (socket_address(client, 4242), socket_address(vip, 80));
                let flow = format!("tcp {client} -> {to}");
                let words = ["explain", "--at-node", "node1", &flow];
                let told = testbed.run_trigon_json(node, &words)?;
                let story = told["packets"].get(0).context("no packet")?;
                ensure!(story["endpoint"]["inside"] == is_inside, "{flow}: {story}");
            }
        }
        Ok(())
    })
}
