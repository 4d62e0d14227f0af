//! What it takes until 10,000 Services say that 1,000 agents have them, and how often anybody writes for that.
//!
//! One controller; the agents are a crowd without machines, which reports as agents do. The controller writes so many
//! Services in a second and no more (`controller/queue.rs`): with 20, its start takes 500 s here, whatever the machine.

use std::{
    collections::HashSet,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use lb_testbed::{
    Config, Process, Testbed,
    kubernetes::{ApiServer, Programs, Writes},
};
use lb_userspace::{
    agent::crowd::{Life, Member, crowd},
    objects::crds::AgentRole,
};
use serde::Serialize;

use crate::{
    Row,
    cluster::{Cluster, node_name, service_name},
    conditions::Conditions,
    memory, percentiles, process,
};

const AGENTS: usize = 1_000;
/// Of them; all others are nodes.
const DIRECTORS: usize = 10;
const SERVICES: usize = 10_000;
/// How many Services are changed, one after the other.
const CHANGES: usize = 10;
/// From what has changed to the next change: an agent that has just told does not tell more for 5 s.
const APART: Duration = Duration::from_secs(8);
/// For how long writes are counted after a Node has died: what only changes the words of conditions comes after a minute.
const AFTERMATH: Duration = Duration::from_secs(120);
/// For something to happen where nothing has a limit.
const PATIENCE: Duration = Duration::from_secs(120);

/// What was written, for each change.
#[derive(Clone, Copy, Serialize)]
pub struct Written {
    /// By the controller: statuses and Events. Its Lease comes to one more in 2 s, always.
    pub writes: f64,
    /// By agents.
    pub reports: f64,
}

pub fn cases() -> [String; 3] {
    ["", "_one_change", "_node_death"]
        .map(|what| format!("controller_{AGENTS}_agents_{SERVICES}_services{what}"))
}

pub fn measure() -> Result<[Row; 3]> {
    let testbed = Testbed::new(Config { directors: 1, nodes: 0, ..Config::l3() })?;
    let api_server = ApiServer::start(&testbed, Programs::find()?)?;
    let kubeconfig = api_server.admin_kubeconfig().to_owned();
    let cluster = Cluster::new(testbed.router().clone(), kubeconfig.clone(), SERVICES, AGENTS);
    eprintln!("making {SERVICES} Services and {AGENTS} Nodes");
    cluster.create()?;
    let conditions = Conditions::watch(testbed.router(), kubeconfig)?;

    eprintln!("having {AGENTS} agents report");
    let last = AGENTS - 1;
    let _others = start_agents(&testbed, &api_server, 0..last)?;
    let doomed = start_agents(&testbed, &api_server, last..AGENTS)?;
    wait_reported(&api_server)?;

    let [start_case, change_case, death_case] = cases();
    let machine = testbed.machine("director1")?;
    let before = api_server.writes()?;
    let began = Instant::now();
    let controller = testbed.start_controller(machine, "controller", &api_server.controllers_kubeconfig())?;
    let meter =
        Meter { api_server: &api_server, controller: &controller, cpu: Duration::ZERO, writes: before };
    let mut times = wait_all_true(&conditions, began).with_context(|| controller.log())?;
    let start = meter.row(start_case, &mut times, 1)?;

    let meter = Meter::start(&api_server, &controller)?;
    let mut times = Vec::new();
    for number in 0..CHANGES {
        thread::sleep(APART);
        let service = number * 37;
        let sent = cluster.change_service(service, number)?;
        let name = service_name(service);
        conditions.wait(&name, "Unknown", PATIENCE)?;
        times.push(conditions.wait(&name, "True", PATIENCE)?.saturating_duration_since(sent));
    }
    let change = meter.row(change_case, &mut times, CHANGES)?;

    thread::sleep(APART);
    let meter = Meter::start(&api_server, &controller)?;
    drop(doomed);
    let service = service_name(CHANGES * 37);
    cluster.change_service(CHANGES * 37, CHANGES)?;
    conditions.wait(&service, "Unknown", PATIENCE)?;
    // Until all others have told.
    thread::sleep(APART);
    let sent = cluster.give_up_node(last)?;
    let mut times = vec![conditions.wait(&service, "True", PATIENCE)?.saturating_duration_since(sent)];
    thread::sleep(AFTERMATH);
    let death = meter.row(death_case, &mut times, 1)?;
    Ok([start, change, death])
}

/// The agents of these Nodes, for as long as it is held.
fn start_agents(
    testbed: &Testbed,
    api_server: &ApiServer,
    nodes: impl Iterator<Item = usize>,
) -> Result<Life> {
    let role = |number| if number < DIRECTORS { AgentRole::Director } else { AgentRole::Node };
    let members = nodes.map(|number| Member { node: node_name(number), role: role(number) });
    let (crowd, life) = crowd(api_server.agents_kubeconfig(), members.collect());
    testbed
        .router()
        .spawn_thread(move || crowd.run().inspect_err(|error| eprintln!("agents have ended: {error:#}")))?;
    Ok(life)
}

fn wait_reported(api_server: &ApiServer) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let listed =
            api_server.kubectl(&["get", "agentreports", "--namespace=trigon-system", "--output=name"], "")?;
        let reported = listed.lines().count();
        if reported == AGENTS {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "{reported} of {AGENTS} agents have reported in {PATIENCE:?}");
        thread::sleep(Duration::from_millis(500));
    }
}

/// How long it took each Service to be told to be programmed, for the first time.
fn wait_all_true(conditions: &Conditions, began: Instant) -> Result<Vec<Duration>> {
    let (mut seen, mut times) = (HashSet::new(), Vec::new());
    while times.len() < SERVICES {
        let told = conditions
            .next(PATIENCE)
            .with_context(|| format!("{} of {SERVICES} Services are told to be programmed", times.len()))?;
        if told.status == "True" && seen.insert(told.service) {
            times.push(told.at.saturating_duration_since(began));
            if times.len() % 1_000 == 0 {
                eprintln!("{} Services are told to be programmed after {:?}", times.len(), began.elapsed());
            }
        }
    }
    Ok(times)
}

/// What was used up when a case began.
struct Meter<'a> {
    api_server: &'a ApiServer,
    controller: &'a Process,
    cpu: Duration,
    writes: Writes,
}

impl<'a> Meter<'a> {
    fn start(api_server: &'a ApiServer, controller: &'a Process) -> Result<Self> {
        let cpu = process::cpu_time(controller.id())?;
        Ok(Self { api_server, controller, cpu, writes: api_server.writes()? })
    }

    /// What the case has cost; `changes`: in so many parts.
    fn row(&self, case: String, times: &mut [Duration], changes: usize) -> Result<Row> {
        let cpu = process::cpu_time(self.controller.id())?.saturating_sub(self.cpu);
        let Writes { statuses, events, reports } = self.api_server.writes()? - self.writes;
        let each = |number: u64| number as f64 / changes as f64;
        let [p50_ms, p99_ms] = percentiles(times);
        Ok(Row {
            case,
            p50_ms,
            p99_ms,
            cpu_ms: crate::millis(cpu) / changes as f64,
            memory_mib: memory::own_memory_mib(self.controller.id())?,
            writes: Some(Written { writes: each(statuses + events), reports: each(reports) }),
        })
    }
}
