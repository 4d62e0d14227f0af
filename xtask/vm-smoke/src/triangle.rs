//! A director, a node, and a machine that is both, on one link.

use std::{
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use lb_testbed::{
    Config, EndpointState, Namespace, PortSpec, Process, Protocol, ServiceSpec, TCP_ECHO_PORT, TcpHold,
    TcpHoldOptions, Testbed, UDP_ECHO_PORT, UdpStreamOptions, VIP, capabilities::agent_capabilities,
    render_manifest, write_manifest,
};

use crate::agent::Agent;

/// Who is what.
const ROLES: [(&str, &str); 3] = [("director1", "director"), ("node1", "node"), ("node2", "director,node")];
/// Each way to a backend, and what its ports are beyond those of the servers.
const DELIVERIES: [(&str, u16); 3] = [("l2", 0), ("ipip", 1000), ("gue", 2000)];
/// What must have happened on the way round.
const WAYS: [(&str, &str); 5] = [
    ("director1", "forward_l2"),
    ("director1", "forward_ipip"),
    ("director1", "forward_gue"),
    ("node1", "deliver"),
    ("node1", "egress_reply"),
];
/// To each service.
const CONNECTIONS: usize = 4;
/// Between two lines on one: an emulated CPU has more to do than this.
const INTERVAL: Duration = Duration::from_millis(500);
/// For something that takes an emulated CPU a second or two.
const PATIENCE: Duration = Duration::from_secs(30);
/// On `node1` and on `node2`.
const PODS: [&str; 2] = ["pod1_1", "pod2_1"];

pub struct Triangle {
    // In the order in which they must go.
    agents: Vec<Agent>,
    _servers: Vec<Process>,
    source: PathBuf,
    testbed: Testbed,
}

/// Connections to every service.
pub type Held = Vec<TcpHold>;

impl Triangle {
    /// Returns when all agents are ready.
    pub fn start() -> Result<Self> {
        let config = Config {
            directors: 1,
            nodes: 2,
            pods_per_node: 1,
            clients: 1,
            agent_capabilities: Some(agent_capabilities()?),
            ..Config::l2()
        };
        let testbed = Testbed::new(config)?;
        testbed.route_vips_via(&[testbed.machine("director1")?, testbed.machine("node2")?])?;
        let mut servers = Vec::new();
        for pod in testbed.pods() {
            servers.push(testbed.start_tcp_echo(pod, TCP_ECHO_PORT)?);
            servers.push(testbed.start_udp_echo(pod, UDP_ECHO_PORT)?);
        }
        let source = testbed.dir().join("source");
        let both_ready = PODS.map(|pod| (pod, EndpointState::Ready));
        describe(&testbed, &source, &both_ready)?;
        let start = |(name, roles)| Agent::start(&testbed, name, roles, &source);
        let mut agents = ROLES.into_iter().map(start).collect::<Result<Vec<_>>>()?;
        agents.iter_mut().try_for_each(|agent| agent.wait_ready(&testbed))?;
        Ok(Self { agents, _servers: servers, source, testbed })
    }

    /// TCP and UDP, over both families, by every delivery: all answered. The
    /// TCP connections stay.
    pub fn traffic(&self) -> Result<Held> {
        self.agents.iter().try_for_each(Agent::is_attached)?;
        let held = targets(TCP_ECHO_PORT).map(|target| hold(&self.testbed, target)).collect::<Result<_>>()?;
        targets(UDP_ECHO_PORT).try_for_each(|target| stream(&self.testbed, target))?;
        for (name, way) in WAYS {
            ensure!(self.verdict(name, way)? > 0, "{name} never came to {way}");
        }
        Ok(held)
    }

    /// A Pod and its node, as clients of a VIP: some of their flows are their own node's.
    pub fn inside(&self) -> Result<()> {
        let pod = self.testbed.pod(PODS[0])?;
        for client in [&pod.namespace, &self.testbed.machine("node1")?.namespace] {
            for target in targets(TCP_ECHO_PORT) {
                let report = open(&self.testbed, client, target)?.stop()?;
                ensure!(report.broken == 0, "{}: {report:?}", client.short_name());
            }
            targets(UDP_ECHO_PORT).try_for_each(|target| stream_from(&self.testbed, client, target))?;
        }
        ensure!(self.verdict("node1", "egress_return")? > 0, "no reply came back to node1");
        Ok(())
    }

    /// A Pod terminates, and has its connections still: directors send them to
    /// the other node now, which hands them on.
    pub fn hand_on(&self, held: &mut Held) -> Result<()> {
        let [stays, goes] = PODS;
        let one_goes = [(stays, EndpointState::Ready), (goes, EndpointState::Terminating)];
        describe(&self.testbed, &self.source, &one_goes)?;
        let start = Instant::now();
        while self.verdict("node1", "hand_on")? == 0 {
            ensure!(start.elapsed() < PATIENCE, "node1 hands nothing on");
            thread::sleep(INTERVAL);
        }
        for hold in held {
            let report = hold.read_report()?;
            ensure!(report.broken == 0 && report.alive == CONNECTIONS as u64, "{report:?}");
        }
        describe(&self.testbed, &self.source, &PODS.map(|pod| (pod, EndpointState::Ready)))
    }

    /// How often a machine came to this verdict.
    fn verdict(&self, machine: &str, name: &str) -> Result<u64> {
        let agent = self.agents.iter().find(|agent| agent.machine.name == machine);
        agent.context("a machine is missing")?.verdict(&self.testbed, name)
    }

    /// Kills every agent, one after the other, and starts it again: connections
    /// go on, new ones come in meanwhile, and the programs take the places of
    /// their predecessors.
    pub fn restart(&mut self, held: Held) -> Result<()> {
        for agent in &mut self.agents {
            agent.kill()?;
            targets(UDP_ECHO_PORT).take(1).try_for_each(|target| stream(&self.testbed, target))?;
            agent.restart(&self.testbed, None, &self.source)?;
            agent.is_attached()?;
        }
        targets(UDP_ECHO_PORT).try_for_each(|target| stream(&self.testbed, target))?;
        for hold in held {
            let report = hold.stop()?;
            ensure!(report.broken == 0 && report.alive == CONNECTIONS as u64, "{report:?}");
        }
        Ok(())
    }

    /// The machine that is both becomes a mere director, with one program each
    /// at ingress and egress as before.
    pub fn demote(&mut self) -> Result<()> {
        let agent = self.agents.last_mut().context("no agents")?;
        agent.restart(&self.testbed, Some("director"), &self.source)?;
        agent.is_attached()
    }

    /// Nothing is left on the uplinks.
    pub fn unload(&mut self) -> Result<()> {
        self.agents.iter_mut().try_for_each(Agent::kill)?;
        self.agents.iter().try_for_each(|agent| agent.unload(&self.testbed))
    }
}

fn hold(testbed: &Testbed, target: SocketAddr) -> Result<TcpHold> {
    open(testbed, testbed.client(), target)
}

fn open(testbed: &Testbed, from: &Namespace, target: SocketAddr) -> Result<TcpHold> {
    let options =
        TcpHoldOptions { target, connections: CONNECTIONS, sources: Vec::new(), interval: INTERVAL };
    let mut hold = testbed.start_tcp_hold_from(from, &options)?;
    let report = hold.read_report()?;
    ensure!(report.opened == CONNECTIONS as u64 && report.broken == 0, "TCP to {target}: {report:?}");
    Ok(hold)
}

fn stream(testbed: &Testbed, target: SocketAddr) -> Result<()> {
    stream_from(testbed, testbed.client(), target)
}

fn stream_from(testbed: &Testbed, from: &Namespace, target: SocketAddr) -> Result<()> {
    let length = Duration::from_millis(50);
    let options = UdpStreamOptions { target, rate: 200, length, source: None, source_port: 0 };
    let report = testbed.start_udp_stream_from(from, &options)?.finish()?;
    ensure!(report.received > 0 && report.lost == 0, "UDP to {target}: {report:?}");
    Ok(())
}

/// Write what the agents read: all services, with these Pods.
fn describe(testbed: &Testbed, source: &Path, pods: &[(&str, EndpointState)]) -> Result<()> {
    let services = DELIVERIES.map(|delivery| service(delivery).endpoints(pods));
    write_manifest(source, "cluster.yaml", &render_manifest(testbed, &services)?)?;
    Ok(())
}

/// Both echoes, by one delivery.
fn service((delivery, beyond): (&str, u16)) -> ServiceSpec {
    let tcp = PortSpec::new("tcp", Protocol::Tcp, TCP_ECHO_PORT + beyond, TCP_ECHO_PORT);
    let udp = PortSpec::new("udp", Protocol::Udp, UDP_ECHO_PORT + beyond, UDP_ECHO_PORT);
    ServiceSpec::new(delivery, vec![tcp, udp]).delivery(delivery)
}

/// A server's port as each delivery has it, on the VIP of each family.
fn targets(port: u16) -> impl Iterator<Item = SocketAddr> {
    let of = move |vip: IpAddr| DELIVERIES.map(|(_, beyond)| SocketAddr::new(vip, port + beyond));
    VIP.both().into_iter().flat_map(of)
}
