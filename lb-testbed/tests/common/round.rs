//! Requests of all kinds go round the triangle.

use std::{
    collections::BTreeSet,
    io::{BufRead, BufReader, Read, Write},
    net::{IpAddr, SocketAddr, TcpStream},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, anyhow, ensure};
use lb_testbed::{
    Answers, DirectorCounters, Pod, TCP_ECHO_PORT, Triangle, UDP_ECHO_PORT, UdpStreamOptions, VIP,
};

use super::{client_addresses, socket_address};

/// HTTP requests of each family: 25 from each of 8 addresses.
pub const REQUESTS: u64 = 200;
/// What goes there and back in packets as large as they get.
const BULK: usize = 2 << 20;

/// What is asked for.
pub struct Round {
    /// The Service's port of the HTTP servers.
    pub http: u16,
    /// Who has to answer.
    pub pods: Vec<Pod>,
    /// Replies leave by the link that requests come in by, if nodes are directors.
    pub returns_directly: bool,
}

impl Round {
    /// All Pods have to answer.
    pub fn of_all_pods(triangle: &Triangle) -> Self {
        Self { http: 80, pods: triangle.testbed.pods().to_vec(), returns_directly: true }
    }

    /// HTTP, UDP and large packets, of both families: all answered, with the
    /// client's address, and not by the directors.
    pub fn run(&self, triangle: &Triangle) -> Result<()> {
        let counters = DirectorCounters::attach(&triangle.testbed)?;
        for vip in VIP.both() {
            let answers = self.check_http(triangle, vip)?;
            println!("{vip}: {} of {} answered: {:?}", answers.answered, answers.requests, answers.per_pod);
            self.check_udp(triangle, socket_address(vip, UDP_ECHO_PORT))?;
            triangle.testbed.client().within(|| {
                let stream = TcpStream::connect(socket_address(vip, TCP_ECHO_PORT))?;
                exchange_bulk(stream, BULK, Duration::from_secs(5))
            })?;
        }
        check_cni_counters_are_zero(triangle)?;
        let count = counters.read()?;
        println!("directors' links: {} packets, {} of them replies", count.packets, count.reply_packets);
        ensure!(count.packets >= REQUESTS, "only {} packets came by the directors", count.packets);
        ensure!(
            count.reply_packets == 0 || !self.returns_directly,
            "{} replies came by the directors",
            count.reply_packets
        );
        Ok(())
    }

    fn check_http(&self, triangle: &Triangle, vip: IpAddr) -> Result<Answers> {
        let testbed = &triangle.testbed;
        let target = socket_address(vip, self.http);
        let sources = client_addresses(triangle, vip);
        let answers = testbed.send_requests(target, REQUESTS / sources.len() as u64)?;
        ensure!(answers.all_answered(), "{target}: {answers:?}");
        let names: BTreeSet<_> = self.pods.iter().map(|pod| pod.name.clone()).collect();
        let answering: BTreeSet<_> = answers.per_pod.keys().cloned().collect();
        ensure!(answering == names, "{target}: {answers:?}, not from {names:?}");
        let mut seen = BTreeSet::new();
        for pod in &self.pods {
            seen.extend(testbed.http_sources(pod)?);
        }
        // Of both families, if the other one's turn was before.
        let expected: BTreeSet<_> =
            VIP.both().into_iter().flat_map(|vip| client_addresses(triangle, vip)).collect();
        ensure!(sources.iter().all(|source| seen.contains(source)), "Pods saw only {seen:?}");
        ensure!(seen.is_subset(&expected), "Pods saw {seen:?}, which are not the clients' addresses");
        Ok(answers)
    }

    fn check_udp(&self, triangle: &Triangle, target: SocketAddr) -> Result<()> {
        for source in client_addresses(triangle, target.ip()) {
            let options = UdpStreamOptions {
                target,
                rate: 1000,
                length: Duration::from_millis(50),
                source: Some(source),
                source_port: 0,
            };
            let report = triangle.testbed.start_udp_stream(&options)?.finish()?;
            ensure!(report.lost == 0 && report.per_pod.len() == 1, "UDP to {target}: {report:?}");
            let pod = report.per_pod.keys().next().context("nobody answered")?;
            let pod = self.pods.iter().find(|one| one.name == *pod).context("a stranger answered")?;
            let seen = triangle.testbed.udp_sources(pod)?;
            ensure!(seen.contains(&source), "{} saw {seen:?}, not {source}", pod.name);
        }
        Ok(())
    }
}

/// Large packets on both ways of a connection to an echo, and every byte comes
/// back, none later than `patience` after the one before it.
pub fn exchange_bulk(mut stream: TcpStream, len: usize, patience: Duration) -> Result<()> {
    let target = stream.peer_addr()?;
    stream.set_read_timeout(Some(patience))?;
    let sent: Vec<u8> =
        (0..len as u32).map(|number| (number.wrapping_mul(0x9e37_79b1) >> 24) as u8).collect();
    let mut returned = vec![0; len];
    let mut reader = BufReader::new(stream.try_clone()?);
    reader.read_line(&mut String::new()).context("no greeting")?;
    thread::scope(|scope| {
        let sending = scope.spawn(|| stream.write_all(&sent));
        reader.read_exact(&mut returned).with_context(|| format!("{len} bytes to {target} and back"))?;
        sending.join().map_err(|_| anyhow!("the sender panicked"))?.context("sending")
    })?;
    ensure!(sent == returned, "{target} sends back something else");
    Ok(())
}

/// To a node's conntrack, requests and replies are ordinary connections: the
/// rules that CNIs have never match.
fn check_cni_counters_are_zero(triangle: &Triangle) -> Result<()> {
    check_cni_counters(triangle, &["masqueraded", "invalid"])
}

/// Nor do they find anything invalid where Pods are clients.
pub fn check_cni_drops_nothing(triangle: &Triangle) -> Result<()> {
    check_cni_counters(triangle, &["invalid"])
}

/// These are there, and zero.
fn check_cni_counters(triangle: &Triangle, names: &[&str]) -> Result<()> {
    let testbed = &triangle.testbed;
    for node in
        testbed.nodes().into_iter().filter(|node| testbed.pods().iter().any(|pod| pod.node == node.name))
    {
        let text = node.namespace.run(&["nft", "-j", "list", "counters", "table", "inet", "cni"])?;
        let listing: serde_json::Value = serde_json::from_str(&text)?;
        let counters = listing["nftables"].as_array().into_iter().flatten();
        let counters: Vec<_> = counters.filter_map(|entry| entry.get("counter")).collect();
        let is_zero =
            |name: &&str| counters.iter().any(|counter| counter["name"] == *name && counter["packets"] == 0);
        ensure!(names.iter().all(is_zero), "{}: not zero: {names:?} of {counters:?}", node.name);
    }
    Ok(())
}
