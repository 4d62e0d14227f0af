//! What the demo does in a testbed, and what is seen of it.

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use lb_testbed::{
    Answers, DirectorCounters, Dual, Machine, Testbed, Triangle, UDP_ECHO_PORT, UdpStreamOptions, VIP,
};

use super::router::BgpRoutes;
use crate::shell::say;

const HTTP_PORT: u16 = 80;
/// HTTP requests from each of the client's addresses.
const EACH: u64 = 25;
const DATAGRAMS_A_SECOND: u32 = 500;
const STREAM: Duration = Duration::from_millis(500);

/// What was seen in a testbed.
pub struct Act {
    pub place: &'static str,
    pub delivery: &'static str,
    /// IPv4, then IPv6.
    pub families: Vec<InFamily>,
    /// Every address of the client, and no other, is in the logs of the Pods.
    pub client_address_preserved: bool,
    /// All backends of all directors are reached as they are to be.
    pub delivered_as_asked: bool,
    pub legs: Legs,
    pub download: Option<Download>,
    /// None: the router's routes are static.
    pub bgp_routes: Option<BgpRoutes>,
}

/// What was seen in one family.
pub struct InFamily {
    pub vip: IpAddr,
    pub http: Answers,
    pub datagrams: u64,
    pub datagrams_answered: u64,
}

/// Packets on the sides of the triangle.
#[derive(Default)]
pub struct Legs {
    /// Requests, as the directors count what they send on.
    pub to_nodes: u64,
    /// Requests, as the nodes count what they deliver.
    pub delivered: u64,
    /// Replies at the nodes' links.
    pub to_client: u64,
    /// Replies at the directors' links: there must be none.
    pub by_directors: u64,
}

#[derive(Default)]
pub struct Download {
    pub bytes: u64,
    /// On the directors' links, both ways.
    pub by_directors: u64,
    pub took: Duration,
}

/// Sends requests of both families and all kinds from all of the client's addresses.
pub fn run_act(place: &'static str, delivery: &'static str, triangle: &Triangle) -> Result<Act> {
    let testbed = &triangle.testbed;
    let links = Links::attach_counters(testbed)?;
    let families = VIP.both().into_iter().map(|vip| run_family(testbed, vip)).collect::<Result<_>>()?;
    Ok(Act {
        place,
        delivery,
        families,
        client_address_preserved: is_client_address_preserved(testbed)?,
        delivered_as_asked: is_delivered_as_asked(testbed, delivery)?,
        legs: links.read_legs(testbed)?,
        download: None,
        bgp_routes: None,
    })
}

/// Downloads over both families, while packets on the directors' links are counted.
pub fn run_downloads(triangle: &Triangle, act: &mut Act) -> Result<()> {
    let testbed = &triangle.testbed;
    // Made before the time is taken.
    testbed.download_file()?;
    let counters = DirectorCounters::attach(testbed)?;
    let (mut bytes, start) = (0, Instant::now());
    for vip in VIP.both() {
        say(format!("curl http://{}/download", SocketAddr::new(vip, HTTP_PORT)));
        bytes += testbed.get_download(SocketAddr::new(vip, HTTP_PORT))?;
    }
    let took = start.elapsed();
    let count = counters.read()?;
    act.legs.by_directors += count.reply_packets;
    act.download = Some(Download { bytes, by_directors: count.bytes, took });
    Ok(())
}

fn run_family(testbed: &Testbed, vip: IpAddr) -> Result<InFamily> {
    say(format!("{vip}: HTTP and UDP from {} client addresses", testbed.client_addresses().len()));
    let http = testbed.send_requests(SocketAddr::new(vip, HTTP_PORT), EACH)?;
    let (mut datagrams, mut datagrams_answered) = (0, 0);
    for report in run_udp_streams(testbed, vip)? {
        datagrams += report.sent;
        datagrams_answered += report.received;
    }
    Ok(InFamily { vip, http, datagrams, datagrams_answered })
}

/// From all addresses at the same time.
fn run_udp_streams(testbed: &Testbed, vip: IpAddr) -> Result<Vec<lb_testbed::report::UdpReport>> {
    let stream = |client: &Dual| {
        let source = if vip.is_ipv4() { client.v4.into() } else { client.v6.into() };
        testbed.start_udp_stream(&UdpStreamOptions {
            target: SocketAddr::new(vip, UDP_ECHO_PORT),
            rate: DATAGRAMS_A_SECOND,
            length: STREAM,
            source: Some(source),
            source_port: 0,
        })
    };
    let streams = testbed.client_addresses().iter().map(stream).collect::<Result<Vec<_>>>()?;
    streams.into_iter().map(lb_testbed::UdpStream::finish).collect()
}

fn is_client_address_preserved(testbed: &Testbed) -> Result<bool> {
    let (mut http, mut udp) = (BTreeSet::new(), BTreeSet::new());
    for pod in testbed.pods() {
        http.extend(testbed.http_sources(pod)?);
        udp.extend(testbed.udp_sources(pod)?);
    }
    let clients: BTreeSet<_> = testbed.client_addresses().iter().flat_map(|dual| dual.both()).collect();
    Ok(http == clients && udp == clients)
}

fn is_delivered_as_asked(testbed: &Testbed, delivery: &str) -> Result<bool> {
    for director in testbed.directors() {
        let backends = testbed.run_trigon_json(director, &["backends"])?;
        let backends = backends.as_array().context("`trigon backends` printed no list")?;
        if backends.is_empty() || backends.iter().any(|backend| backend["delivery"] != delivery) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The packets that these machines counted for verdicts whose names begin with
/// `prefix`.
fn count_verdicts(testbed: &Testbed, machines: &[&Machine], prefix: &str) -> Result<u64> {
    let of = |machine: &&Machine| {
        let verdicts = testbed.read_verdicts(machine)?;
        Ok(verdicts
            .iter()
            .filter(|(name, _)| name.starts_with(prefix))
            .map(|(_, packets)| packets)
            .sum::<u64>())
    };
    machines.iter().map(of).sum()
}

/// Counters on the links of directors and of nodes.
struct Links {
    directors: DirectorCounters,
    nodes: DirectorCounters,
}

impl Links {
    fn attach_counters(testbed: &Testbed) -> Result<Self> {
        let nodes = DirectorCounters::attach_to(&testbed.nodes())?;
        Ok(Self { directors: DirectorCounters::attach(testbed)?, nodes })
    }

    fn read_legs(&self, testbed: &Testbed) -> Result<Legs> {
        Ok(Legs {
            to_nodes: count_verdicts(testbed, &testbed.directors(), "forward_")?,
            delivered: count_verdicts(testbed, &testbed.nodes(), "deliver")?,
            to_client: self.nodes.read()?.reply_packets,
            by_directors: self.directors.read()?.reply_packets,
        })
    }
}
