//! Directors, nodes and Pods come, go and drain while connections are open; none
//! to a living Pod may break. `cargo xtask churn` at full size, a test at a small one.

mod report;

use std::{
    collections::BTreeMap,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};

use crate::{
    Config, EndpointState, ServiceSpec, TCP_ECHO_PORT, TcpHold, TcpHoldOptions, Triangle, VIP,
    report::TcpReport,
};

pub use report::{ChurnReport, ChurnRow, TABLE_HEADER, broken_connections};

/// How large a churn is to be.
#[derive(Clone, Debug)]
pub struct ChurnSize {
    /// Of both families together.
    pub connections: usize,
    /// From each connection's echo to its next line.
    pub interval: Duration,
    /// How long Pods terminate.
    pub grace: Duration,
    pub nodes: usize,
    pub pods_per_node: usize,
    /// Addresses of the client, of each family.
    pub clients: usize,
    /// For every agent.
    pub agent_args: Vec<String>,
}

impl ChurnSize {
    pub fn small() -> Self {
        Self {
            connections: 600,
            interval: Duration::from_millis(200),
            grace: Duration::from_secs(2),
            nodes: 6,
            pods_per_node: 4,
            clients: 50,
            agent_args: Vec::new(),
        }
    }

    pub fn full() -> Self {
        Self {
            connections: 2000,
            interval: Duration::from_secs(1),
            grace: Duration::from_secs(30),
            clients: 200,
            ..Self::small()
        }
    }
}

/// Machines, and connections that live.
pub struct Churn {
    size: ChurnSize,
    triangle: Triangle,
    holds: Vec<TcpHold>,
    /// Of the Pods that the Service has.
    pods: BTreeMap<String, EndpointState>,
    dead: Vec<String>,
    hops: u64,
}

type Event = fn(&mut Churn) -> Result<()>;

/// How long the agents get to read and program what was written.
const PROGRAMMING_TIME: Duration = Duration::from_millis(700);
/// How long TCP gets to retransmit what was lost.
const RETRANSMISSION_TIME: Duration = Duration::from_millis(1000);

/// Somewhat longer than `tcp-hold` waits for an echo before it counts the connection as broken.
const HANG_TIMEOUT: Duration = Duration::from_secs(12);

const ALL_DIRECTORS: [usize; 3] = [0, 1, 2];

impl Churn {
    /// Three directors; the Pods of all nodes but the last one.
    pub fn start(size: ChurnSize) -> Result<Self> {
        let config = Config {
            directors: 3,
            nodes: size.nodes,
            pods_per_node: size.pods_per_node,
            clients: size.clients,
            agent_args: size.agent_args.clone(),
            ..Config::l3()
        };
        let nobody = ServiceSpec::with_all_ports("web").endpoints(&[]);
        let triangle = Triangle::start(config, &[nobody])?;
        let mut churn =
            Self { size, triangle, holds: Vec::new(), pods: BTreeMap::new(), dead: Vec::new(), hops: 0 };
        churn.set_pod_states(1..=churn.size.nodes - 1, EndpointState::Ready);
        churn.write_objects()?;
        thread::sleep(PROGRAMMING_TIME);
        churn.open_connections()?;
        Ok(churn)
    }

    /// Runs all events, one after the other, and passes on each row as soon as
    /// it is known. Ends at the first connection that breaks.
    pub fn run(&mut self, mut report_row: impl FnMut(&ChurnRow)) -> Result<()> {
        let events: [(&str, Event); 12] = [
            ("nothing", |_| Ok(())),
            ("a director goes", |churn| churn.set_directors(&[0, 1])),
            ("a director comes", |churn| churn.set_directors(&ALL_DIRECTORS)),
            ("a node joins", Self::join_node),
            ("a node drains, and its Pods end", Self::drain_node),
            ("a Pod ends", Self::end_pod),
            ("every agent is killed and restarted", Self::restart_agents),
            ("to 2 endpoints", |churn| churn.scale_endpoints(2)),
            ("to 20 endpoints", |churn| churn.scale_endpoints(20)),
            ("to 3 endpoints", |churn| churn.scale_endpoints(3)),
            ("a director goes while a node joins", Self::join_node_and_replace_director),
            ("some time later", Self::wait_for_hanging_connections),
        ];
        for (event, happen) in events {
            happen(self).with_context(|| event.to_owned())?;
            let row = self.measure_event(event)?;
            report_row(&row);
            ensure!(row.broken == 0, "{event}: {} connections to Pods that live broke", row.broken);
        }
        ensure!(self.hops > 0, "no packet took a second hop: nothing was tested");
        Ok(())
    }

    /// A connection that hangs, and is not reset, counts as broken only after a while.
    #[expect(clippy::unnecessary_wraps, reason = "an event like the others")]
    fn wait_for_hanging_connections(&mut self) -> Result<()> {
        thread::sleep(self.size.interval + HANG_TIMEOUT);
        Ok(())
    }

    /// The state of every agent as text, for the report of a churn that failed.
    pub fn describe_agents(&self) -> String {
        self.triangle.describe_agents()
    }

    fn open_connections(&mut self) -> Result<()> {
        for vip in VIP.both() {
            let clients = self.triangle.testbed.client_addresses().iter().flat_map(|dual| dual.both());
            self.holds.push(self.triangle.testbed.start_tcp_hold(&TcpHoldOptions {
                target: (vip, TCP_ECHO_PORT).into(),
                connections: self.size.connections / 2,
                sources: clients.filter(|client| client.is_ipv4() == vip.is_ipv4()).collect(),
                interval: self.size.interval,
            })?);
        }
        Ok(())
    }

    /// Waits until every connection that is to live has had an answer again.
    fn measure_event(&mut self, event: &str) -> Result<ChurnRow> {
        let before = self.read_report()?;
        let deadline = Instant::now() + self.size.interval * 3 + RETRANSMISSION_TIME * 3;
        let mut now = before.clone();
        while Instant::now() < deadline && now.echoes < before.echoes + 2 * now.alive {
            thread::sleep(self.size.interval / 4);
            now = self.read_report()?;
        }
        let is_dead = |pod: &String| self.dead.contains(pod);
        let of_living = |per_pod: &BTreeMap<String, u64>| -> u64 {
            per_pod.iter().filter(|(pod, _)| !is_dead(pod)).map(|(_, count)| count).sum()
        };
        let opened = self.size.connections as u64;
        ensure!(now.opened == opened, "{event}: only {} of {opened} connections opened: {now:?}", now.opened);
        let hops = self.count_second_hops()?;
        let second_hops = hops - std::mem::replace(&mut self.hops, hops);
        Ok(ChurnRow {
            event: event.to_owned(),
            connections: of_living(&now.per_pod),
            broken: of_living(&now.broken_per_pod),
            second_hops,
            slowest_ms: now.max_echo_ms,
        })
    }

    fn read_report(&mut self) -> Result<TcpReport> {
        let reports = self.holds.iter_mut().map(TcpHold::read_report).collect::<Result<Vec<_>>>()?;
        Ok(reports.into_iter().fold(TcpReport::default(), TcpReport::merge))
    }

    /// Packets that took a second hop since the beginning, over all nodes.
    fn count_second_hops(&self) -> Result<u64> {
        let testbed = &self.triangle.testbed;
        let verdicts = testbed.nodes().into_iter().map(|node| testbed.read_verdicts(node));
        let verdicts = verdicts.collect::<Result<Vec<_>>>()?;
        let hops = verdicts.iter().flatten().filter(|(reason, _)| reason.starts_with("hand_on"));
        Ok(hops.map(|(_, packets)| packets).sum())
    }

    fn set_directors(&mut self, chosen: &[usize]) -> Result<()> {
        self.triangle.testbed.set_directors(chosen)
    }

    fn join_node(&mut self) -> Result<()> {
        let last = self.size.nodes;
        self.set_pod_states(last..=last, EndpointState::Ready);
        self.write_objects_and_wait()
    }

    fn drain_node(&mut self) -> Result<()> {
        self.set_pod_states(1..=1, EndpointState::Terminating);
        self.write_objects_and_wait()?;
        thread::sleep(self.size.grace);
        let row = self.measure_event("while it drains")?;
        ensure!(row.broken == 0, "while it drains: {} connections broke", row.broken);
        self.end_pods(&self.pod_names(1..=1))
    }

    fn end_pod(&mut self) -> Result<()> {
        self.end_pods(&["pod2_1".to_owned()])
    }

    fn restart_agents(&mut self) -> Result<()> {
        let names = self.triangle.agent_names();
        names.iter().try_for_each(|name| self.triangle.restart_agent(name))
    }

    /// So many Pods are ready, one of each node before a second one; the rest
    /// terminates, but lives.
    fn scale_endpoints(&mut self, endpoints: usize) -> Result<()> {
        let mut names: Vec<_> = self.pods.keys().cloned().collect();
        names.sort_by_key(|name| name.split_once('_').map(|(node, pod)| (pod.to_owned(), node.to_owned())));
        for (place, name) in names.into_iter().enumerate() {
            let state = if place < endpoints { EndpointState::Ready } else { EndpointState::Terminating };
            self.pods.insert(name, state);
        }
        self.write_objects_and_wait()
    }

    fn join_node_and_replace_director(&mut self) -> Result<()> {
        let last = self.size.nodes;
        self.set_pod_states(last..=last, EndpointState::Ready);
        self.write_objects()?;
        self.set_directors(&[1, 2])?;
        thread::sleep(PROGRAMMING_TIME);
        Ok(())
    }

    fn pod_names(&self, nodes: std::ops::RangeInclusive<usize>) -> Vec<String> {
        let pods = 1..=self.size.pods_per_node;
        nodes.flat_map(|node| pods.clone().map(move |pod| format!("pod{node}_{pod}"))).collect()
    }

    fn set_pod_states(&mut self, nodes: std::ops::RangeInclusive<usize>, state: EndpointState) {
        for name in self.pod_names(nodes) {
            self.pods.insert(name, state);
        }
    }

    /// Pods are gone, and their connections with them.
    fn end_pods(&mut self, pods: &[String]) -> Result<()> {
        for pod in pods {
            self.pods.remove(pod);
            self.dead.push(pod.clone());
            self.triangle.kill_pod(pod)?;
        }
        self.write_objects_and_wait()
    }

    fn write_objects(&self) -> Result<()> {
        let pods: Vec<_> = self.pods.iter().map(|(name, state)| (name.as_str(), *state)).collect();
        self.triangle.write_objects(&[ServiceSpec::with_all_ports("web").endpoints(&pods)])
    }

    fn write_objects_and_wait(&self) -> Result<()> {
        self.write_objects()?;
        thread::sleep(PROGRAMMING_TIME);
        Ok(())
    }
}
