//! What a controller makes of many agents: it writes each verdict once, however many have to tell. `cargo xtask bench
//! --kube` has five times as many agents, and fifty times as many Services.

use std::{ops::Range, thread, time::Duration};

use anyhow::{Context, Result, ensure};
use lb_userspace::{
    agent::crowd::{Life, Member, crowd},
    objects::crds::AgentRole,
};
use serde_json::{Value, json};

use super::{
    PATIENCE,
    common::wait_at_most,
    controller::{Rig, alone_with_rig},
};

const AGENTS: usize = 200;
/// Of them; all others are nodes.
const DIRECTORS: usize = 5;
/// A controller writes 20 in a second.
const SERVICES: usize = 200;
const LAST: usize = AGENTS - 1;
/// One that is changed, and one that is changed while an agent is dead.
const CHANGED: usize = 7;
const WAITING: usize = 8;
/// Between two looks at all Services.
const PAUSE: Duration = Duration::from_millis(500);
/// For how long nothing more is to be written.
const QUIET: Duration = Duration::from_secs(2);
/// After this time all agents that are alive have told of a change: some have told of another 5 s before.
const TOLD: Duration = Duration::from_secs(8);

fn node_name(number: usize) -> String {
    format!("n{number}")
}

/// In the data path; two with different limits ask for something else.
fn service(number: usize, limit: usize) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {
            "name": format!("s{number}"), "namespace": "default",
            "annotations": {
                "trigon.dev/dsr": "true", "trigon.dev/new-flows-per-second": (100_000 + limit).to_string(),
            },
        },
        "spec": {
            "type": "LoadBalancer", "loadBalancerClass": "trigon.dev/lb", "allocateLoadBalancerNodePorts": false,
            "ports": [{"name": "http", "port": 80, "targetPort": 8080}],
        },
        "status": {"loadBalancer": {"ingress": [{"ip": format!("10.128.0.{number}")}]}},
    })
}

/// The agents of these Nodes, for as long as it is held.
fn start_agents(rig: &Rig, nodes: Range<usize>) -> Result<Life> {
    let role = |number| if number < DIRECTORS { AgentRole::Director } else { AgentRole::Node };
    let members = nodes.map(|number| Member { node: node_name(number), role: role(number) });
    let (crowd, life) = crowd(rig.api_server.agents_kubeconfig(), members.collect());
    rig.testbed
        .router()
        .spawn_thread(move || crowd.run().inspect_err(|error| println!("agents have ended: {error:#}")))?;
    Ok(life)
}

/// Of these Services, how many say that they are programmed?
fn count_programmed(services: &[Value]) -> usize {
    let is_true = |service: &&Value| {
        let conditions = service["status"]["conditions"].as_array().map(Vec::as_slice).unwrap_or_default();
        conditions.iter().any(|one| one["type"] == "trigon.dev/Programmed" && one["status"] == "True")
    };
    services.iter().filter(is_true).count()
}

fn is_programmed(rig: &Rig, number: usize) -> Result<bool> {
    Ok(count_programmed(&[rig.get_service(&format!("s{number}"))?]) == 1)
}

/// Waits until nothing is to follow: so much was written since the controller's start?
fn check_written(rig: &Rig, what: &str, wanted: usize) -> Result<()> {
    thread::sleep(QUIET);
    let writes = rig.api_server.writes()?;
    println!("{what}: {writes:?}");
    ensure!(writes.statuses == wanted as u64, "{what}: {writes:?}, and not {wanted} statuses");
    Ok(())
}

#[test]
fn a_verdict_of_many_agents_is_one_write() -> Result<()> {
    const MACHINE: &str = "director1";
    alone_with_rig(|rig| {
        let nodes = (0..AGENTS).map(
            |number| json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": node_name(number)}}),
        );
        let services = (0..SERVICES).map(|number| service(number, 0));
        rig.api_server.replace_objects(&nodes.chain(services).collect::<Vec<_>>())?;
        let _others = start_agents(rig, 0..LAST)?;
        let last = start_agents(rig, LAST..AGENTS)?;
        wait_at_most(PATIENCE, "all agents have told", || {
            thread::sleep(PAUSE);
            let listed = rig.get(&["agentreports", "--namespace=trigon-system"])?;
            let count = listed["items"].as_array().context("a list")?.len();
            ensure!(count == AGENTS, "{count} of {AGENTS}");
            Ok(true)
        })?;

        rig.start_as(MACHINE, "controller")?;
        let took = wait_at_most(PATIENCE, "all Services are programmed", || {
            thread::sleep(PAUSE);
            let listed = rig.get(&["services", "--namespace=default"])?;
            let count = count_programmed(listed["items"].as_array().context("a list")?);
            ensure!(count == SERVICES, "{count} of {SERVICES}");
            Ok(true)
        })?;
        println!("all Services are programmed: after {took:?}");
        check_written(rig, "the start", SERVICES)?;

        // News of all Services that are none to agents.
        rig.api_server
            .kubectl(&["label", "services", "--namespace=default", "--all", "example.com/note=new"], "")?;
        check_written(rig, "labels", SERVICES)?;

        // Some agents tell of an early one of these changes and, 5 s later, of the last one.
        for limit in 1..=5 {
            rig.api_server.apply(&[service(CHANGED, limit)])?;
        }
        let writes_of = |rig: &Rig, number: usize| {
            anyhow::Ok(rig.log(MACHINE)?.matches(&format!("Service default/s{number}: ")).count())
        };
        wait_at_most(PATIENCE, "it is programmed as it is at last", || {
            Ok(writes_of(rig, CHANGED)? >= 3 && is_programmed(rig, CHANGED)?)
        })?;
        check_written(rig, "five changes", SERVICES + 2)?;

        // A machine that dies keeps a Service waiting until its Node is given up.
        drop(last);
        rig.api_server.apply(&[service(WAITING, 1)])?;
        thread::sleep(TOLD);
        ensure!(!is_programmed(rig, WAITING)?, "one agent has not told of it: {}", rig.log(MACHINE)?);
        let ready = json!({"status": {"conditions": [{
            "type": "Ready", "status": "Unknown", "reason": "NodeStatusUnknown",
        }]}});
        let patch = ["--subresource=status", "--type=merge", "-p", &ready.to_string()];
        rig.api_server.kubectl(&[&["patch", "node", &node_name(LAST)], &patch[..]].concat(), "")?;
        wait_at_most(PATIENCE, "it waits for the dead one no more", || is_programmed(rig, WAITING))?;
        thread::sleep(QUIET);
        // All others get other words, one in a second, once a minute has passed.
        let writes = writes_of(rig, WAITING)?;
        ensure!(writes == 3, "{writes} writes of it: {}", rig.log(MACHINE)?);
        Ok(())
    })
}
