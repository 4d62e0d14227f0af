//! How long it takes from the change of an object until a router (BIRD) has the new VIP: announced by Trigon, and beside
//! that by FRR, whose configuration is reloaded, as other load balancers have it. Run by `cargo xtask bench --announce`,
//! as root: agent, maps, FRR and router are real. Whatever makes FRR's configuration from objects costs nothing here.

use std::{
    fs,
    net::{IpAddr, Ipv4Addr},
    panic,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use clap::{Parser, ValueEnum};
use lb_testbed::{
    Bird, Config, Frr, PortSpec, Process, Protocol, ServiceSpec, Testbed, UDP_ECHO_PORT, render_manifest,
    write_manifest,
};
use serde::Serialize;

/// How many VIPs come, one after the other, by each way. Those before them warm up.
const VIPS: u8 = 50;
const WARM_UP: u8 = 2;
/// Between two of them, so that each is one by itself.
const PAUSE: Duration = Duration::from_millis(50);
const PATIENCE: Duration = Duration::from_secs(30);
/// Trigon's median must not exceed this.
const CEILING_MS: f64 = 50.0;

const BIRD: &str = "\
router id 10.77.1.1;
log stderr all;
protocol device { scan time 1; }
template bgp speaker {
  connect delay time 1;
  error wait time 1, 2;
  ipv4 { import all; export none; };
}
protocol bgp trigon from speaker { local 10.77.1.1 as 64513; neighbor 10.77.1.2 as 64512; }
protocol bgp frr from speaker { local 10.77.2.1 as 64513; neighbor 10.77.2.2 as 64514; }
";
const OBJECTS: &str = "\
apiVersion: trigon.dev/v1alpha1
kind: BgpPeer
metadata: {name: router}
spec: {myASN: 64512, peerASN: 64513, peerAddress: 10.77.1.1}
---
apiVersion: trigon.dev/v1alpha1
kind: BgpAdvertisement
metadata: {name: all}
";

#[derive(Parser)]
struct Args {
    #[arg(long, value_enum, default_value = "text")]
    output: Output,
    /// What `cargo bench` says.
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Output {
    Text,
    Json,
}

#[derive(Serialize)]
struct Row {
    case: &'static str,
    median_ms: f64,
    min_ms: f64,
    max_ms: f64,
}

fn main() -> Result<()> {
    let args = Args::parse();
    let rows = measure()?;
    match args.output {
        Output::Json => println!("{}", serde_json::to_string_pretty(&rows)?),
        Output::Text => rows.iter().for_each(print_row),
    }
    let [trigon, _] = rows;
    ensure!(
        trigon.median_ms <= CEILING_MS,
        "a new Service takes {:.1} ms to the router, more than {CEILING_MS} ms",
        trigon.median_ms
    );
    Ok(())
}

fn print_row(row: &Row) {
    println!(
        "{:<20} median {:>8.1} ms  from {:>8.1} to {:>8.1} ms",
        row.case, row.median_ms, row.min_ms, row.max_ms
    );
}

/// By turns, so that both meet the same machine.
fn measure() -> Result<[Row; 2]> {
    let site = Site::start()?;
    let before = site.count_establishments()?;
    let (mut by_trigon, mut by_frr) = (Vec::new(), Vec::new());
    for number in 1..=WARM_UP + VIPS {
        by_trigon.push(site.announce_by_trigon(number)?);
        thread::sleep(PAUSE);
        by_frr.push(site.announce_by_frr(number)?);
        thread::sleep(PAUSE);
    }
    let after = site.count_establishments()?;
    ensure!(
        after == before,
        "a session has ended: {before:?}, {after:?}; BIRD wrote:\n{}",
        site.router.log()
    );
    Ok([row("trigon", by_trigon), row("frr-reload", by_frr)])
}

fn row(case: &'static str, mut times: Vec<Duration>) -> Row {
    times.drain(..usize::from(WARM_UP));
    times.sort_unstable();
    let millis = |rank: usize| times.get(rank).map_or(f64::NAN, |time| time.as_secs_f64() * 1e3);
    Row { case, median_ms: millis(times.len() / 2), min_ms: millis(0), max_ms: millis(times.len() - 1) }
}

/// The agent is on `director1`, FRR on `node1`, and BIRD on the router.
struct Site {
    // In the order in which they must go.
    router: Bird,
    frr: Frr,
    _agent: Process,
    source: PathBuf,
    hostname: String,
    testbed: Testbed,
}

impl Site {
    /// Both have announced the first VIP when it returns.
    fn start() -> Result<Self> {
        let config = Config { directors: 1, nodes: 1, pods_per_node: 1, clients: 1, ..Config::l3() };
        let testbed = Testbed::new(config)?;
        let router = Bird::start(&testbed, testbed.router(), BIRD)?;
        let source = testbed.dir().join("source");
        write_manifest(&source, "bgp.yaml", OBJECTS)?;
        write_services(&testbed, &source, 0)?;
        let director = testbed.machine("director1")?;
        // On the node there is no agent that would answer.
        let mut agent = testbed.start_agent(director, "director", &source, &["--no-probing"])?;
        testbed.wait_ready(director, &mut agent)?;
        let hostname = fs::read_to_string("/proc/sys/kernel/hostname")?.trim().to_owned();
        let frr = Frr::start(&testbed, &testbed.machine("node1")?.namespace, &frr_config(&hostname, 0))?;
        let site = Self { router, frr, _agent: agent, source, hostname, testbed };
        site.wait_route(vip_of_trigon(0), Instant::now())?;
        site.wait_route(vip_of_frr(0), Instant::now())?;
        Ok(site)
    }

    /// A Service more, in the file that the agent follows.
    fn announce_by_trigon(&self, number: u8) -> Result<Duration> {
        let began = Instant::now();
        write_services(&self.testbed, &self.source, number)?;
        self.wait_route(vip_of_trigon(number), began)
    }

    /// A network more, in the file that FRR reloads. The router may have it before the reload has ended.
    fn announce_by_frr(&self, number: u8) -> Result<Duration> {
        let config = frr_config(&self.hostname, number);
        let began = Instant::now();
        thread::scope(|scope| {
            let reloading = scope.spawn(|| self.frr.reload(&config));
            let took = self.wait_route(vip_of_frr(number), began);
            reloading.join().unwrap_or_else(|panicked| panic::resume_unwind(panicked))?;
            took
        })
    }

    /// How often the session of each was established: Trigon's, FRR's.
    fn count_establishments(&self) -> Result<[u64; 2]> {
        let trigon = self.testbed.run_trigon_json(self.testbed.machine("director1")?, &["bgp"])?;
        let frr = self.frr.run_vtysh_json("show bgp neighbors json")?;
        let trigon = trigon[0]["established"].as_u64().context("no count of Trigon's sessions")?;
        let frr =
            frr["10.77.2.1"]["connectionsEstablished"].as_u64().context("no count of FRR's sessions")?;
        Ok([trigon, frr])
    }

    /// Waits until the router has a route; how long that took since `began`.
    fn wait_route(&self, vip: Ipv4Addr, began: Instant) -> Result<Duration> {
        while self.router.routes(&format!("{vip}/32"))?.is_empty() {
            ensure!(began.elapsed() < PATIENCE, "no route to {vip}; BIRD wrote:\n{}", self.router.log());
        }
        Ok(began.elapsed())
    }
}

fn vip_of_trigon(number: u8) -> Ipv4Addr {
    Ipv4Addr::new(192, 0, 2, 100 + number)
}

fn vip_of_frr(number: u8) -> Ipv4Addr {
    Ipv4Addr::new(203, 0, 113, number)
}

/// Writes all Services up to that one.
fn write_services(testbed: &Testbed, source: &Path, last: u8) -> Result<()> {
    let port = PortSpec::new("udp-echo", Protocol::Udp, UDP_ECHO_PORT, UDP_ECHO_PORT);
    let service = |number| {
        let vip = IpAddr::from(vip_of_trigon(number));
        ServiceSpec::new(&format!("new-{number}"), vec![port.clone()]).vips([vip])
    };
    let services: Vec<_> = (0..=last).map(service).collect();
    write_manifest(source, "cluster.yaml", &render_manifest(testbed, &services)?).map(drop)
}

/// The configuration with all networks up to that one. Without `hostname`, which FRR has by itself, each
/// reload would begin by removing it.
fn frr_config(hostname: &str, last: u8) -> String {
    let networks: Vec<_> =
        (0..=last).map(|number| format!("  network {}/32\n", vip_of_frr(number))).collect();
    format!(
        "hostname {hostname}\n\
         router bgp 64514\n\
         \x20no bgp ebgp-requires-policy\n\
         \x20no bgp network import-check\n\
         \x20neighbor 10.77.2.1 remote-as 64513\n\
         \x20neighbor 10.77.2.1 timers connect 1\n\
         \x20!\n\
         \x20address-family ipv4 unicast\n\
         {}\
         \x20exit-address-family\n\
         exit\n",
        networks.concat()
    )
}
