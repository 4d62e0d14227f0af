//! A director, a node, and a machine that is both, on one link.

use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use lb_testbed::{
    Config, Machine, PortSpec, Process, Protocol, ServiceSpec, TCP_ECHO_PORT, TcpHold, TcpHoldOptions,
    Testbed, UDP_ECHO_PORT, UdpStreamOptions, VIP, manifest, write_manifest,
};

use crate::attached::Attached;

/// Who is what.
const ROLES: [(&str, &str); 3] = [("director1", "director"), ("node1", "node"), ("node2", "director,node")];
/// The last of them.
const BOTH: usize = ROLES.len() - 1;
/// Each way to a backend, and what its ports are beyond those of the servers.
const DELIVERIES: [(&str, u16); 2] = [("l2", 0), ("ipip", 1000)];
const CONNECTIONS: usize = 4;
/// Between two lines on one: an emulated CPU has more to do than this.
const INTERVAL: Duration = Duration::from_millis(500);

pub struct Triangle {
    // In the order in which they must go.
    agents: Vec<Process>,
    _servers: Vec<Process>,
    source: PathBuf,
    testbed: Testbed,
}

/// Connections to every service.
type Held = Vec<TcpHold>;

impl Triangle {
    /// Returns when all agents are ready.
    pub fn start() -> Result<Self> {
        let config = Config { directors: 1, nodes: 2, pods_per_node: 1, clients: 1, ..Config::l2() };
        let testbed = Testbed::new(config)?;
        testbed.route_vips_via(&[testbed.machine("director1")?, testbed.machine("node2")?])?;
        let mut servers = Vec::new();
        for pod in testbed.pods() {
            servers.push(testbed.start_tcp_echo(pod, TCP_ECHO_PORT)?);
            servers.push(testbed.start_udp_echo(pod, UDP_ECHO_PORT)?);
        }
        let source = testbed.dir().join("source");
        write_manifest(&source, "cluster.yaml", &manifest(&testbed, &DELIVERIES.map(service))?)?;
        let mut triangle = Self { agents: Vec::new(), _servers: servers, source, testbed };
        for index in 0..ROLES.len() {
            let agent = triangle.launch(index, ROLES[index].1)?;
            triangle.agents.push(agent);
        }
        for index in 0..ROLES.len() {
            triangle.wait_ready(index)?;
        }
        Ok(triangle)
    }

    /// TCP and UDP, over both families, by every delivery: all answered. The
    /// TCP connections stay.
    pub fn traffic(&self) -> Result<Held> {
        self.each_is(|egress| Attached { xdp: true, egress })?;
        let held = targets(TCP_ECHO_PORT).map(|target| self.hold(target)).collect::<Result<_>>()?;
        targets(UDP_ECHO_PORT).try_for_each(|target| self.stream(target))?;
        for (index, delivery) in ["forward_l2", "forward_ipip", "deliver", "egress_reply"].iter().enumerate()
        {
            let machine = self.machine(index / 2)?;
            let verdicts = self.testbed.verdicts(machine)?;
            ensure!(verdicts[*delivery] > 0, "{} never did {delivery}: {verdicts:?}", machine.name);
        }
        Ok(held)
    }

    /// Kills every agent, one after the other, and starts it again: connections
    /// go on, and the programs take the places of their predecessors.
    pub fn restart(&mut self, held: Held) -> Result<()> {
        for index in 0..ROLES.len() {
            self.agents[index].kill()?;
            targets(UDP_ECHO_PORT).take(1).try_for_each(|target| self.stream(target))?;
            self.agents[index] = self.launch(index, ROLES[index].1)?;
            self.wait_ready(index)?;
        }
        self.each_is(|egress| Attached { xdp: true, egress })?;
        targets(UDP_ECHO_PORT).try_for_each(|target| self.stream(target))?;
        for hold in held {
            let report = hold.stop()?;
            ensure!(report.broken == 0 && report.alive == CONNECTIONS as u64, "{report:?}");
        }
        Ok(())
    }

    /// A machine that is no node any more has nothing at egress.
    pub fn demote(&mut self) -> Result<()> {
        self.agents[BOTH].kill()?;
        self.agents[BOTH] = self.launch(BOTH, "director")?;
        self.wait_ready(BOTH)?;
        let there = Attached::to(self.machine(BOTH)?)?;
        ensure!(there == Attached { xdp: true, egress: 0 }, "{there:?}");
        Ok(())
    }

    /// Nothing is left on the uplinks.
    pub fn unload(&mut self) -> Result<()> {
        self.agents.iter_mut().try_for_each(Process::kill)?;
        for index in 0..ROLES.len() {
            let machine = self.machine(index)?;
            let pins = self.testbed.pin_dir(machine);
            self.testbed.trigon_json(machine, &["unload", "--pin-dir", &pins.to_string_lossy()])?;
            ensure!(!pins.exists(), "{} still exists", pins.display());
        }
        self.each_is(|_| Attached::NOTHING)
    }

    /// Is what is attached to each as expected, given the programs that its
    /// role has at egress?
    fn each_is(&self, expected: impl Fn(usize) -> Attached) -> Result<()> {
        for (index, (name, roles)) in ROLES.iter().enumerate() {
            let (there, expected) =
                (Attached::to(self.machine(index)?)?, expected(usize::from(roles.contains("node"))));
            ensure!(there == expected, "{name} has {there:?}, not {expected:?}");
        }
        Ok(())
    }

    fn hold(&self, target: SocketAddr) -> Result<TcpHold> {
        let options =
            TcpHoldOptions { target, connections: CONNECTIONS, sources: Vec::new(), interval: INTERVAL };
        let mut hold = self.testbed.tcp_hold(&options)?;
        let report = hold.status()?;
        ensure!(report.opened == CONNECTIONS as u64 && report.broken == 0, "TCP to {target}: {report:?}");
        Ok(hold)
    }

    fn stream(&self, target: SocketAddr) -> Result<()> {
        let length = Duration::from_millis(50);
        let options = UdpStreamOptions { target, rate: 200, length, source: None, source_port: 0 };
        let report = self.testbed.udp_stream(&options)?.finish()?;
        ensure!(report.received > 0 && report.lost == 0, "UDP to {target}: {report:?}");
        Ok(())
    }

    fn launch(&self, index: usize, roles: &str) -> Result<Process> {
        self.testbed.start_agent(self.machine(index)?, roles, &self.source, &[])
    }

    fn wait_ready(&mut self, index: usize) -> Result<()> {
        let machine = self.testbed.machine(ROLES[index].0)?;
        self.testbed.wait_ready(machine, &mut self.agents[index])
    }

    fn machine(&self, index: usize) -> Result<&Machine> {
        self.testbed.machine(ROLES[index].0).context("a machine is missing")
    }
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
