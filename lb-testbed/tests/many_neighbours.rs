//! A director with 1,000 nodes on its link: it finds them within seconds, hears when one changes its
//! MAC address, and needs next to no CPU time while nothing happens.

mod common;

use std::{
    fmt::Write,
    fs,
    net::Ipv4Addr,
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use common::wait_at_most;
use lb_testbed::{Config, Machine, Process, Testbed, VIP, write_manifest};
use nix::{time::clock_getcpuclockid, unistd::Pid};
use serde_json::{Value, json};

/// A /22 on the director's link, which the router answers for.
const NODES: u16 = 1000;
const DIRECTOR_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 99, 3, 254);
const NEW_MAC: &str = "02:00:00:00:99:01";

const SOON: Duration = Duration::from_secs(2);
const PATIENCE: Duration = Duration::from_secs(20);
/// Every neighbour is nudged three times, found stale and probed again, and everything is read at
/// least once.
const AT_REST: Duration = Duration::from_secs(45);
/// Three times what is measured in a debug build.
const MAX_CPU_PERCENT: f64 = 1.0;

const ROUTE_CHANGES: u32 = 20_000;

fn node_address(number: u16) -> Ipv4Addr {
    let [high, low] = number.to_be_bytes();
    Ipv4Addr::new(10, 99, high, low)
}

/// Of the kernel, for all of its network namespaces: the defaults are too small.
struct TableLimits(Vec<(PathBuf, String)>);

impl TableLimits {
    /// Raises them until this is dropped.
    fn raise() -> Result<Self> {
        let mut before = Self(Vec::new());
        // The larger first: it must not be below the other.
        for (name, entries) in [("gc_thresh3", 16_384), ("gc_thresh2", 8_192)] {
            let path = PathBuf::from("/proc/sys/net/ipv4/neigh/default").join(name);
            let value = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
            if value.trim().parse::<u32>()? < entries {
                fs::write(&path, entries.to_string())?;
                before.0.push((path, value));
            }
        }
        Ok(before)
    }
}

impl Drop for TableLimits {
    fn drop(&mut self) {
        for (path, value) in self.0.iter().rev() {
            if let Err(error) = fs::write(path, value) {
                eprintln!("{} stays raised: {error}", path.display());
            }
        }
    }
}

fn manifest() -> String {
    let node = |number: u16| {
        json!({
            "apiVersion": "v1", "kind": "Node", "metadata": {"name": format!("n{number}")},
            "status": {"addresses": [{"type": "InternalIP", "address": node_address(number)}]},
        })
    };
    let me = json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": {"name": "director1", "labels": {"trigon.dev/director": ""}},
        "status": {"addresses": [{"type": "InternalIP", "address": DIRECTOR_ADDRESS}]},
    });
    let service = json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": "web", "annotations": {"trigon.dev/dsr": "true"}},
        "spec": {
            "type": "LoadBalancer", "loadBalancerClass": "trigon.dev/lb",
            "ports": [{"name": "http", "port": 80}],
        },
        "status": {"loadBalancer": {"ingress": [{"ip": VIP.v4}]}},
    });
    let endpoint = |number: u16| {
        let [high, low] = number.to_be_bytes();
        json!({"addresses": [Ipv4Addr::new(10, 88, high, low)], "nodeName": format!("n{number}")})
    };
    let slice = json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {"name": "web-1", "labels": {"kubernetes.io/service-name": "web"}},
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": 8080}],
        "endpoints": (1..=NODES).map(endpoint).collect::<Vec<_>>(),
    });
    let objects = (1..=NODES).map(node).chain([me, service, slice]);
    objects.map(|object| object.to_string()).collect::<Vec<_>>().join("\n---\n")
}

/// Gives the router's end of the director's link an address for each node.
fn populate_link(director: &Machine) -> Result<()> {
    let mut lines = String::new();
    for number in 1..=NODES {
        writeln!(lines, "addr add {}/22 dev {}", node_address(number), director.name)?;
    }
    director.upstream.ip_batch(&lines)?;
    director.namespace.ip(&format!("addr add {DIRECTOR_ADDRESS}/22 dev {}", director.interface))?;
    Ok(())
}

struct Rig {
    agent: Process,
    testbed: Testbed,
    _limits: TableLimits,
}

impl Rig {
    fn start() -> Result<Self> {
        let limits = TableLimits::raise()?;
        let testbed = Testbed::new(Config { directors: 1, nodes: 1, ..Config::l3() })?;
        let source = testbed.dir().join("source");
        fs::create_dir_all(&source)?;
        write_manifest(&source, "cluster.yaml", &manifest())?;
        let director = testbed.machine("director1")?;
        populate_link(director)?;
        let agent = testbed.start_agent(director, "director", &source, &["--no-probing"])?;
        Ok(Self { agent, testbed, _limits: limits })
    }

    fn director(&self) -> Result<&Machine> {
        self.testbed.machine("director1")
    }

    fn has_resolved_all(&self) -> Result<bool> {
        let status = self.testbed.agent_status(self.director()?)?;
        let backends = &status["backends"];
        Ok(backends["total"] == NODES && backends["good"] == NODES)
    }

    fn next_hop_of(&self, address: Ipv4Addr) -> Result<String> {
        let backends = self.testbed.run_trigon_json(self.director()?, &["backends"])?;
        let is_it = |backend: &&Value| backend["address"] == address.to_string();
        let backend = backends.as_array().and_then(|all| all.iter().find(is_it));
        let next_hop = backend.with_context(|| format!("no backend {address}"))?["next_hop"].as_str();
        Ok(next_hop.unwrap_or_default().to_owned())
    }

    /// CPU time of the agent and all of its threads.
    fn cpu_time(&self) -> Result<Duration> {
        let clock = clock_getcpuclockid(Pid::from_raw(self.agent.id().try_into()?))?;
        Ok(clock.now()?.into())
    }
}

fn check_rest(rig: &Rig) -> Result<()> {
    let before = rig.cpu_time()?;
    thread::sleep(AT_REST);
    let cpu = rig.cpu_time()? - before;
    let percent = 100.0 * cpu.as_secs_f64() / AT_REST.as_secs_f64();
    println!("at rest: {percent:.2} % of a CPU");
    ensure!(percent < MAX_CPU_PERCENT, "{percent:.2} % of a CPU at rest");
    ensure!(rig.has_resolved_all()?, "some neighbours were lost at rest");
    Ok(())
}

fn check_change_of_mac(rig: &Rig) -> Result<()> {
    let address = node_address(500);
    let Machine { namespace, interface, .. } = rig.director()?;
    namespace.ip(&format!("neigh replace {address} lladdr {NEW_MAC} dev {interface} nud reachable"))?;
    let took = wait_at_most(SOON, "a changed MAC", || Ok(rig.next_hop_of(address)?.contains(NEW_MAC)))?;
    println!("a changed MAC: {took:?}");
    Ok(())
}

/// Of a prefix that has nothing to do with the nodes.
fn check_storm_of_routes(rig: &Rig) -> Result<()> {
    let Machine { namespace, gateway, .. } = rig.director()?;
    let mut lines = String::new();
    for number in 0..ROUTE_CHANGES {
        writeln!(lines, "route replace 10.{}.{}.0/24 via {}", 100 + number / 200, number % 200, gateway.v4)?;
    }
    let before = rig.cpu_time()?;
    let started = Instant::now();
    namespace.ip_batch(&lines)?;
    let lasted = started.elapsed();
    // The readings that the last changes bring about are over by then.
    thread::sleep(Duration::from_secs(1));
    let cpu = rig.cpu_time()? - before;
    println!("{ROUTE_CHANGES} changes of routes in {lasted:?}: {cpu:?} of CPU time");
    ensure!(cpu < lasted / 4 + Duration::from_millis(500), "{cpu:?} of CPU time in {lasted:?}");
    Ok(())
}

#[test]
fn a_thousand_neighbours_cost_little() -> Result<()> {
    let rig = Rig::start()?;
    let took = wait_at_most(PATIENCE, "1,000 neighbours", || rig.has_resolved_all())?;
    println!("{NODES} neighbours found in {took:?}, {:?} of CPU time", rig.cpu_time()?);
    let checks = [check_change_of_mac, check_storm_of_routes, check_rest];
    checks.iter().try_for_each(|check| check(&rig)).with_context(|| rig.agent.log())
}
