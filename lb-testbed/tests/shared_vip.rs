//! A VIP with Services in the data path and others that kube-proxy carries: the ports of those reach the kernel. A
//! server on the machine that gets the packets stands in for kube-proxy.

mod common;

use std::{collections::BTreeSet, time::Duration};

use anyhow::{Result, ensure};
use common::{
    client_addresses, held::HeldConnections, run_with_diagnostics, socket_address,
    streams::check_all_answered, wait_at_most,
};
use lb_testbed::{
    Config, HTTP_PORT, Machine, PortSpec, Process, Protocol, ServiceSpec, TcpHold, TcpHoldOptions, Triangle,
    UdpStreamOptions, VIP,
};

const PATIENCE: Duration = Duration::from_secs(5);
/// kube-proxy's echoes.
const TCP_PORT: u16 = 7001;
const UDP_PORT: u16 = 5354;
/// Of each family.
const CONNECTIONS: usize = 50;

fn kube_proxy_service() -> ServiceSpec {
    let ports = vec![
        PortSpec::new("http", Protocol::Tcp, HTTP_PORT, HTTP_PORT),
        PortSpec::new("tcp-echo", Protocol::Tcp, TCP_PORT, TCP_PORT),
        PortSpec::new("udp-echo", Protocol::Udp, UDP_PORT, UDP_PORT),
    ];
    ServiceSpec::new("mail", ports).annotation("trigon.dev/dsr", "false")
}

/// Waits until all agents have programmed so many ports.
fn wait_for_ports(triangle: &Triangle, count: usize) -> Result<()> {
    for machine in triangle.testbed.machines() {
        wait_at_most(PATIENCE, &format!("{count} ports on {}", machine.name), || {
            let services = triangle.testbed.run_trigon_json(machine, &["services"])?;
            let services = services.as_array().cloned().unwrap_or_default();
            Ok(services.len() == count && services.iter().all(|service| !service["programmed"].is_null()))
        })?;
    }
    Ok(())
}

/// kube-proxy on a machine, so to say.
fn start_servers(triangle: &Triangle, machine: &Machine) -> Result<Vec<Process>> {
    let host = triangle.testbed.make_bare_server(machine)?;
    Ok(vec![
        triangle.testbed.start_http(&host)?,
        triangle.testbed.start_tcp_echo(&host, TCP_PORT)?,
        triangle.testbed.start_udp_echo(&host, UDP_PORT)?,
    ])
}

/// Who answers requests to a port of both VIPs; an error if any is not answered.
fn answering(triangle: &Triangle, port: u16) -> Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    for vip in VIP.both() {
        let answers = triangle.testbed.send_requests(socket_address(vip, port), 5)?;
        ensure!(answers.all_answered(), "{vip} port {port}: {answers:?}");
        names.extend(answers.per_pod.into_keys());
    }
    Ok(names)
}

/// Connections to kube-proxy's port, of both families.
fn hold_connections(triangle: &Triangle) -> Result<Vec<TcpHold>> {
    let hold = |vip| {
        triangle.testbed.start_tcp_hold(&TcpHoldOptions {
            target: socket_address(vip, TCP_PORT),
            connections: CONNECTIONS,
            sources: client_addresses(triangle, vip),
            interval: Duration::from_millis(100),
        })
    };
    VIP.both().into_iter().map(hold).collect()
}

fn check_holds(holds: &mut [TcpHold], when: &str) -> Result<()> {
    for hold in holds {
        let report = hold.read_report()?;
        println!("{when}: {report:?}");
        ensure!(report.alive == CONNECTIONS as u64 && report.broken == 0, "{when}: {report:?}");
    }
    Ok(())
}

fn check_udp(triangle: &Triangle) -> Result<()> {
    let mut streams = Vec::new();
    for vip in VIP.both() {
        let (target, source) =
            (socket_address(vip, UDP_PORT), client_addresses(triangle, vip).first().copied());
        let length = Duration::from_secs(1);
        let options = UdpStreamOptions { target, rate: 100, length, source, source_port: 0 };
        streams.push(triangle.testbed.start_udp_stream(&options)?);
    }
    check_all_answered(streams)
}

/// What commands say of kube-proxy's port, on a machine that got packets to it.
fn check_what_is_told(triangle: &Triangle, machine: &Machine) -> Result<()> {
    let run = |words: &[&str]| -> Result<String> {
        let output = triangle.testbed.run_trigon(machine, words)?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let flow = format!("tcp 198.51.100.7:4242 -> {}", socket_address(VIP.v4.into(), HTTP_PORT));
    let texts = [
        (run(&["explain", &flow])?, "service default/mail (tcp "),
        (run(&["explain", &flow])?, "carried by kube-proxy"),
        (run(&["explain", &flow])?, "=> pass_kube_proxy: passed to the kernel: kube-proxy carries this port"),
        (run(&["drops", "--all"])?, "passed to the kernel: kube-proxy carries this port"),
        (run(&["services"])?, "kube-proxy's"),
    ];
    for (text, expected) in texts {
        ensure!(text.contains(expected), "no `{expected}` on {} in:\n{text}", machine.name);
    }
    let verdicts = triangle.testbed.read_verdicts(machine)?;
    let (passed, dropped) = (verdicts["pass_kube_proxy"], verdicts["no_such_port"]);
    println!("{}: passed {passed}, dropped {dropped}", machine.name);
    ensure!(passed > 0 && dropped == 0, "{verdicts:?}");
    Ok(())
}

#[test]
fn ports_of_kube_proxy_on_a_vip_of_ours_reach_it() -> Result<()> {
    let (web, mail) = (ServiceSpec::with_all_ports("web"), kube_proxy_service());
    let services = [web.clone(), mail.clone()];
    run_with_diagnostics(&mut Triangle::start(Config::l3(), &services)?, |triangle| {
        wait_for_ports(triangle, 12)?;
        let testbed = &triangle.testbed;
        let mut servers = Vec::new();
        for director in testbed.directors() {
            servers.extend(start_servers(triangle, director)?);
        }
        let pods: BTreeSet<String> = testbed.pods().iter().map(|pod| pod.name.clone()).collect();
        let directors = BTreeSet::from(["director1".to_owned(), "director2".to_owned()]);
        let check_answers = |triangle: &Triangle| -> Result<()> {
            let (ours, kube_proxys) = (answering(triangle, 80)?, answering(triangle, HTTP_PORT)?);
            ensure!(ours == pods && kube_proxys == directors, "{ours:?}, {kube_proxys:?}");
            Ok(())
        };
        check_answers(triangle)?;
        check_udp(triangle)?;
        for director in testbed.directors() {
            check_what_is_told(triangle, director)?;
        }

        // Connections to kube-proxy know nothing of all that follows.
        let mut kube_proxys = hold_connections(triangle)?;
        let mut ours = HeldConnections::open_many(triangle, 100)?;
        check_holds(&mut kube_proxys, "opened")?;
        for name in triangle.agent_names() {
            triangle.restart_agent(&name)?;
        }
        check_answers(triangle)?;
        check_holds(&mut kube_proxys, "agents were killed and started again")?;
        ours.check_all_answer("the same")?;
        drop(ours);
        triangle.write_objects(std::slice::from_ref(&mail))?;
        wait_for_ports(triangle, 0)?;
        ensure!(answering(triangle, HTTP_PORT)? == directors);
        check_holds(&mut kube_proxys, "without a Service in the data path")?;
        triangle.write_objects(&[web.clone(), mail.clone()])?;
        wait_for_ports(triangle, 12)?;
        check_answers(triangle)?;
        check_holds(&mut kube_proxys, "with one again")?;
        for hold in kube_proxys {
            let report = hold.stop()?;
            ensure!(report.broken == 0 && report.max_echo_ms < 1000, "{report:?}");
        }
        Ok(())
    })
}

/// Packets reach a node that is no director by their MAC address.
#[test]
fn a_node_passes_the_ports_of_kube_proxy_too() -> Result<()> {
    let services = [ServiceSpec::with_all_ports("web"), kube_proxy_service()];
    run_with_diagnostics(&mut Triangle::start(Config::l3(), &services)?, |triangle| {
        wait_for_ports(triangle, 12)?;
        let node = triangle.testbed.machine("node1")?;
        let _servers = start_servers(triangle, node)?;
        triangle.testbed.route_vips_via(&[node])?;
        let names = answering(triangle, HTTP_PORT)?;
        ensure!(names == BTreeSet::from(["node1".to_owned()]), "{names:?}");
        check_udp(triangle)?;
        check_what_is_told(triangle, node)
    })
}
