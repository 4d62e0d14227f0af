//! What a Service means, with EndpointSlices that the real controller makes of Pods.

use std::{
    collections::BTreeSet,
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, ensure};
use lb_testbed::{
    Config, HTTP_PORT, ObjectSource, Protocol, ServiceSpec, TCP_ECHO_PORT, TcpHoldOptions, Triangle,
    UDP_ECHO_PORT, UdpStreamOptions, VIP,
    kubernetes::{PodSpec, Programs},
};
use serde_json::{Value, json};

use super::{
    PATIENCE, PROMISED, check_pods,
    common::{client_addresses, held::HeldConnections, run_with_diagnostics, socket_address, wait_at_most},
    has_services, is_well, turns, wait_for, wait_for_one, web,
};

/// Starts without Pods.
fn with_controllers(services: &[ServiceSpec], test: impl FnOnce(&mut Triangle) -> Result<()>) -> Result<()> {
    let _turn = turns::beside_others();
    let Some(programs) = Programs::find_or_skip()? else { return Ok(()) };
    let config = Config { source: ObjectSource::Controllers(programs), ..Config::l3() };
    run_with_diagnostics(&mut Triangle::start(config, services)?, test)
}

/// Pods of `web`, named like their places.
fn web_pods(places: &[&str]) -> Vec<PodSpec> {
    places.iter().map(|place| PodSpec::new("web", place)).collect()
}

/// Waits until only these answer, and all of them.
fn wait_for_pods(triangle: &Triangle, pods: &[&str]) -> Result<()> {
    let waited = wait_at_most(PATIENCE, &format!("{pods:?}"), || check_pods(triangle, pods).map(|()| true))?;
    println!("answered by {pods:?}: after {waited:?}");
    Ok(())
}

fn delete_pod(triangle: &mut Triangle, name: &str) -> Result<()> {
    triangle.api_server()?.kubectl(&["delete", "pod", name, "-n", "default", "--wait=false"], "").map(drop)
}

fn get(triangle: &mut Triangle, words: &[&str]) -> Result<Value> {
    let words = [&["get", "-n", "default", "-o", "json"], words].concat();
    serde_json::from_str(&triangle.api_server()?.kubectl(&words, "")?).context("what kubectl prints")
}

fn slices(triangle: &mut Triangle, service: &str) -> Result<Vec<Value>> {
    let chosen = format!("kubernetes.io/service-name={service}");
    let list = get(triangle, &["endpointslices", "-l", &chosen])?;
    Ok(list["items"].as_array().cloned().unwrap_or_default())
}

/// What the agent of a node has of a list of `trigon services`, of all ports: `endpoints` or `draining`.
fn addresses_on(triangle: &Triangle, node: &str, list: &str) -> Result<BTreeSet<String>> {
    let services = triangle.testbed.run_trigon_json(triangle.testbed.machine(node)?, &["services"])?;
    let services = services.as_array().into_iter().flatten();
    let addresses = services.flat_map(|service| service[list].as_array().into_iter().flatten());
    Ok(addresses.filter_map(|address| Some(address.as_str()?.to_owned())).collect())
}

/// A port with one name and two numbers makes two slices of each family.
#[test]
fn target_ports_are_numbers_or_names() -> Result<()> {
    const OTHER_TCP: u16 = TCP_ECHO_PORT + 1;
    const OTHER_UDP: u16 = UDP_ECHO_PORT + 1;
    const MANAGED_BY: &str = "endpointslice.kubernetes.io/managed-by";
    const CONTROLLER: &str = "endpointslice-controller.k8s.io";
    let ports = json!([
        {"name": "http", "port": 80, "protocol": "TCP", "targetPort": HTTP_PORT},
        {"name": "tcp", "port": TCP_ECHO_PORT, "protocol": "TCP", "targetPort": "tcp-echo"},
        {"name": "udp", "port": UDP_ECHO_PORT, "protocol": "UDP", "targetPort": "udp-echo"},
    ]);
    with_controllers(&[web().field("ports", ports)], |triangle| {
        triangle.kill_pod("pod2_1")?;
        let moved = triangle.testbed.pod("pod2_1")?;
        let _http = triangle.testbed.start_http(moved)?;
        let _tcp = triangle.testbed.start_tcp_echo(moved, OTHER_TCP)?;
        let _udp = triangle.testbed.start_udp_echo(moved, OTHER_UDP)?;
        let pod = |place, tcp, udp| {
            let pod = PodSpec::new("web", place).port("tcp-echo", Protocol::Tcp, tcp);
            pod.port("udp-echo", Protocol::Udp, udp)
        };
        triangle.apply_pods(&[
            pod("pod1_1", TCP_ECHO_PORT, UDP_ECHO_PORT),
            pod("pod2_1", OTHER_TCP, OTHER_UDP),
        ])?;
        wait_for_pods(triangle, &["pod1_1", "pod2_1"])?;
        let slices = slices(triangle, "web")?;
        let is_made = |slice: &Value| slice["metadata"]["labels"][MANAGED_BY] == CONTROLLER;
        ensure!(slices.iter().all(is_made), "{slices:?}");
        let mut families: Vec<_> = slices.iter().map(|slice| &slice["addressType"]).collect();
        families.sort_by_key(|family| family.to_string());
        ensure!(families == ["IPv4", "IPv4", "IPv6", "IPv6"], "{slices:?}");
        let both = ["pod1_1", "pod2_1"].map(str::to_owned).into();
        for vip in VIP.both() {
            ensure!(pods_by_tcp(triangle, socket_address(vip, TCP_ECHO_PORT))? == both, "TCP, {vip}");
            ensure!(pods_by_udp(triangle, socket_address(vip, UDP_ECHO_PORT))? == both, "UDP, {vip}");
        }
        Ok(())
    })
}

/// Who greets a hundred connections; an error unless all of them are greeted.
fn pods_by_tcp(triangle: &Triangle, target: SocketAddr) -> Result<BTreeSet<String>> {
    let report = triangle
        .testbed
        .start_tcp_hold(&TcpHoldOptions {
            target,
            connections: 100,
            sources: client_addresses(triangle, target.ip()),
            interval: Duration::from_millis(100),
        })?
        .stop()?;
    ensure!(report.opened == 100 && report.broken == 0, "{target}: {report:?}");
    Ok(report.per_pod.into_keys().collect())
}

/// Who answers a few flows; an error unless every datagram is answered.
fn pods_by_udp(triangle: &Triangle, target: SocketAddr) -> Result<BTreeSet<String>> {
    let mut pods = BTreeSet::new();
    // Of 32 flows, one of two Pods gets none once in 2^31 times.
    for source in client_addresses(triangle, target.ip()).repeat(4) {
        let options = UdpStreamOptions {
            target,
            rate: 100,
            length: Duration::from_millis(20),
            source: Some(source),
            source_port: 0,
        };
        let report = triangle.testbed.start_udp_stream(&options)?.finish()?;
        ensure!(report.lost == 0 && report.sent > 0, "{target}: {report:?}");
        pods.extend(report.per_pod.into_keys());
    }
    Ok(pods)
}

/// Beside one that has a network of its own, and on the same node too.
#[test]
fn pods_in_the_network_of_their_node_are_served() -> Result<()> {
    with_controllers(&[web()], |triangle| {
        let hosts = ["node1", "node2"].map(|name| triangle.testbed.machine(name));
        let hosts = hosts.into_iter().map(|host| Ok(triangle.testbed.host_pod(host?)));
        let hosts = hosts.collect::<Result<Vec<_>>>()?;
        let servers = hosts.iter().map(|host| triangle.testbed.start_http(host));
        let _servers = servers.collect::<Result<Vec<_>>>()?;
        triangle.apply_pods(&web_pods(&["node1", "node2", "pod1_1"]))?;
        wait_for_pods(triangle, &["node1", "node2", "pod1_1"])?;
        let pod = get(triangle, &["pod", "node1"])?;
        ensure!(
            pod["spec"]["hostNetwork"] == true && pod["status"]["podIP"] == pod["status"]["hostIP"],
            "{pod}"
        );
        delete_pod(triangle, "node1")?;
        wait_for_pods(triangle, &["node2", "pod1_1"])
    })
}

#[test]
fn only_ready_pods_get_new_connections() -> Result<()> {
    with_controllers(&[web()], |triangle| {
        let pods = |ready| [PodSpec::new("web", "pod1_1"), PodSpec::new("web", "pod2_1").ready(ready)];
        triangle.apply_pods(&pods(true))?;
        wait_for_pods(triangle, &["pod1_1", "pod2_1"])?;
        let mut held = HeldConnections::open_many(triangle, 100)?;
        triangle.apply_pods(&pods(false))?;
        wait_for_pods(triangle, &["pod1_1"])?;
        held.check_all_answer("with a Pod that is not ready")?;

        triangle.write_objects(&[web().field("publishNotReadyAddresses", json!(true))])?;
        wait_for_pods(triangle, &["pod1_1", "pod2_1"])?;
        triangle.write_objects(&[web().field("publishNotReadyAddresses", json!(false))])?;
        wait_for_pods(triangle, &["pod1_1"])?;
        triangle.apply_pods(&pods(true))?;
        wait_for_pods(triangle, &["pod1_1", "pod2_1"])?;
        held.check_all_answer("at the end").map(drop)
    })
}

#[test]
fn a_pod_that_terminates_keeps_its_connections_and_gets_no_new_ones() -> Result<()> {
    with_controllers(&[web()], |triangle| {
        let mut pods = web_pods(&["pod1_1", "pod2_1", "pod3_1"]);
        pods[0] = pods[0].clone().linger(15);
        triangle.apply_pods(&pods)?;
        wait_for_pods(triangle, &["pod1_1", "pod2_1", "pod3_1"])?;
        let mut held = HeldConnections::open_many(triangle, 100)?;
        let deleted = Instant::now();
        delete_pod(triangle, "pod1-1")?;
        wait_for_pods(triangle, &["pod2_1", "pod3_1"])?;
        let draining = addresses_on(triangle, "node1", "draining")?;
        let echo = socket_address(triangle.testbed.pod("pod1_1")?.addresses()[0], TCP_ECHO_PORT);
        ensure!(draining.contains(&echo.to_string()), "{draining:?}");
        held.check_all_answer("while a Pod terminates")?;
        let pod = get(triangle, &["pod", "pod1-1"]).context("it is gone before its time")?;
        ensure!(pod["metadata"]["deletionTimestamp"].is_string(), "it does not terminate: {pod}");

        let gone = |_: &Value| {
            let none = |list| addresses_on(triangle, "node1", list).is_ok_and(|found| found.is_empty());
            none("endpoints") && none("draining")
        };
        wait_for_one(triangle, "node1", PATIENCE, "no Pod on node1", gone)?;
        ensure!(deleted.elapsed() > Duration::from_secs(14), "gone after {:?}", deleted.elapsed());
        check_pods(triangle, &["pod2_1", "pod3_1"])
    })
}

/// As a Deployment has it done, with servers that begin and end with their Pods.
#[test]
fn a_rolling_update_fails_no_new_connection() -> Result<()> {
    let old = ["pod1_1", "pod1_2", "pod2_1", "pod2_2"];
    let new = ["pod3_1", "pod3_2", "pod1_1", "pod1_2"];
    with_controllers(&[web()], |triangle| {
        for unused in ["pod3_1", "pod3_2"] {
            triangle.kill_pod(unused)?;
        }
        let pod = |generation: &str, place: &str| {
            let spec = PodSpec::new("web", place).linger(3);
            let name = format!("{generation}-{}", spec.name);
            spec.named(&name)
        };
        triangle.apply_pods(&old.map(|place| pod("old", place)))?;
        wait_for_pods(triangle, &old)?;
        let knocking = Knocking::start(triangle)?;
        for (old_place, new_place) in old.into_iter().zip(new) {
            let (leaving, coming) = (pod("old", old_place), pod("new", new_place));
            triangle.restart_pod(new_place)?;
            triangle.apply_pods(std::slice::from_ref(&coming))?;
            kubectl_wait(triangle, &coming.name, "condition=Ready")?;
            delete_pod(triangle, &leaving.name)?;
            // As long as a Pod should go on serving: until all have heard that it goes.
            thread::sleep(Duration::from_secs(2));
            triangle.kill_pod(old_place)?;
            kubectl_wait(triangle, &leaving.name, "delete")?;
        }
        let mut all_new = new;
        all_new.sort_unstable();
        wait_for_pods(triangle, &all_new)?;
        let opened = knocking.stop()?;
        println!("{opened} connections during a rolling update");
        ensure!(opened > 100, "only {opened} connections");
        Ok(())
    })
}

fn kubectl_wait(triangle: &mut Triangle, pod: &str, what: &str) -> Result<()> {
    let (pod, what) = (format!("pod/{pod}"), format!("--for={what}"));
    let words = ["wait", &pod, &what, "-n", "default", "--timeout=60s"];
    triangle.api_server()?.kubectl(&words, "").map(drop)
}

/// Twenty new connections a second, by both families in turn.
struct Knocking {
    is_over: Arc<AtomicBool>,
    thread: JoinHandle<Result<u32>>,
}

impl Knocking {
    const PAUSE: Duration = Duration::from_millis(50);

    fn start(triangle: &Triangle) -> Result<Self> {
        let is_over = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&is_over);
        let knock = move || {
            let mut opened = 0;
            for vip in VIP.both().into_iter().cycle() {
                if told.load(Ordering::Relaxed) {
                    break;
                }
                let next = Instant::now() + Self::PAUSE;
                knock(socket_address(vip, TCP_ECHO_PORT))
                    .with_context(|| format!("{vip}, after {opened} connections"))?;
                opened += 1;
                thread::sleep(next.saturating_duration_since(Instant::now()));
            }
            Ok(opened)
        };
        Ok(Self { is_over, thread: triangle.testbed.client().spawn_thread(knock)? })
    }

    /// How many there were; an error if one failed.
    fn stop(self) -> Result<u32> {
        self.is_over.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| anyhow!("the client panicked"))?
    }
}

/// A connection, its greeting, and a line and back.
fn knock(target: SocketAddr) -> Result<()> {
    let mut stream = TcpStream::connect_timeout(&target, PROMISED).context("connecting")?;
    stream.set_read_timeout(Some(PROMISED))?;
    let mut reader = BufReader::new(stream.try_clone()?);
    reader.read_line(&mut String::new()).context("no greeting")?;
    stream.write_all(b"knock\n").context("sending")?;
    let mut line = String::new();
    reader.read_line(&mut line).context("no echo")?;
    ensure!(line.ends_with("knock\n"), "`{line}` came back");
    Ok(())
}

#[test]
fn node_ports_are_not_needed_and_nothing_is_left_of_a_service() -> Result<()> {
    let service = web().field("allocateLoadBalancerNodePorts", json!(false));
    with_controllers(&[service], |triangle| {
        triangle.apply_pods(&web_pods(&["pod1_1", "pod2_1"]))?;
        wait_for_pods(triangle, &["pod1_1", "pod2_1"])?;
        let spec = get(triangle, &["service", "web"])?["spec"].clone();
        ensure!(spec["allocateLoadBalancerNodePorts"] == false, "{spec}");
        ensure!(!spec.to_string().contains("nodePort\""), "{spec}");

        triangle.write_objects(&[])?;
        wait_for(triangle, PROMISED, "no Service", has_services(0))?;
        for machine in triangle.testbed.machines() {
            let left = triangle.testbed.run_trigon_json(machine, &["services"])?;
            ensure!(left == json!([]), "{}: {left}", machine.name);
        }
        wait_for(triangle, PROMISED, "all is well without it", is_well)?;
        for vip in VIP.both() {
            let answers = triangle.testbed.send_requests(socket_address(vip, 80), 1)?;
            ensure!(answers.answered == 0, "{answers:?}");
        }
        wait_at_most(PATIENCE, "no EndpointSlice", || Ok(slices(triangle, "web")?.is_empty())).map(drop)
    })
}

/// Such a one is kube-proxy's: announced, and not in the data path.
#[test]
fn a_service_without_dsr_is_announced_only() -> Result<()> {
    const PLAIN: &str = "192.0.2.11";
    let mut plain = ServiceSpec::with_all_ports("plain").vips([PLAIN.parse()?]);
    plain.annotations.clear();
    with_controllers(&[web(), plain], |triangle| {
        let advertisement = json!({
            "apiVersion": "trigon.dev/v1alpha1",
            "kind": "L2Advertisement",
            "metadata": {"name": "all", "namespace": "trigon-system"},
            "spec": {},
        });
        triangle.api_server()?.apply(&[advertisement])?;
        triangle.apply_pods(&[PodSpec::new("web", "pod1_1"), PodSpec::new("plain", "pod2_1")])?;
        wait_for_pods(triangle, &["pod1_1"])?;
        let is_announced = |_: &Value| owner_of(triangle, PLAIN).is_ok_and(|owner| owner.is_string());
        wait_for_one(triangle, "node1", PATIENCE, "it is announced", is_announced)?;
        for machine in triangle.testbed.machines() {
            let services = triangle.testbed.run_trigon_json(machine, &["services"])?;
            ensure!(!services.to_string().contains("plain"), "{}: {services}", machine.name);
        }
        let answers = triangle.testbed.send_requests(socket_address(PLAIN.parse()?, 80), 1)?;
        ensure!(answers.answered == 0, "{answers:?}");
        Ok(())
    })
}

/// Who answers for a VIP, as node 1 knows.
fn owner_of(triangle: &Triangle, vip: &str) -> Result<Value> {
    let vips = triangle.testbed.run_trigon_json(triangle.testbed.machine("node1")?, &["l2"])?;
    let found = vips.as_array().into_iter().flatten().find(|one| one["vip"] == vip);
    Ok(found.context("the VIP is not announced")?["owner"].clone())
}
