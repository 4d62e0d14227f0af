//! A real cluster: what `manifests/base` installs, between clients and real Pods, while Kubernetes does what it does.

#[path = "../common/mod.rs"]
mod common;
mod inside;
mod load;
mod overlays;
mod quick_start;

use std::{
    fs,
    net::SocketAddr,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, ensure};
use common::{socket_address, streams::check_nothing_lost, wait_at_most};
use lb_testbed::{
    DirectorCounters, Family, Machine, UDP_ECHO_PORT, UdpStream, UdpStreamOptions, VIP,
    cluster::{Cluster, LINGER, NAMESPACE, Parts, WORKLOAD},
};
use load::under_load;
use serde_json::{Value, json};

const NODES: usize = 3;
const PODS: usize = 6;
/// From each of the client's addresses: that one of 16 never gets to one of the Pods happens once in a million times.
const REQUESTS: u64 = 100;
/// For what takes some seconds.
const PATIENCE: Duration = Duration::from_secs(120);

/// Pods are served already, by agents that the manifests run.
fn with_cluster(pods: usize, test: impl FnOnce(&mut Cluster) -> Result<()>) -> Result<()> {
    with_agents(|cluster| {
        cluster.serve(pods)?;
        test(cluster)
    })
}

/// The same without Pods.
fn with_agents(test: impl FnOnce(&mut Cluster) -> Result<()>) -> Result<()> {
    with_nodes(|cluster| {
        cluster.install()?;
        test(cluster)
    })
}

/// The same without anything of ours.
fn with_nodes(test: impl FnOnce(&mut Cluster) -> Result<()>) -> Result<()> {
    let Some(parts) = Parts::find_or_skip()? else { return Ok(()) };
    run_with_diagnostics(&mut Cluster::start(&parts, NODES)?, test)
}

/// An error comes with what the cluster and its agents know.
fn run_with_diagnostics(cluster: &mut Cluster, act: impl FnOnce(&mut Cluster) -> Result<()>) -> Result<()> {
    act(cluster).map_err(|error| {
        let story = cluster.describe();
        error.context(story)
    })
}

#[test]
fn pods_of_a_deployment_see_the_clients_and_answer_them_directly() -> Result<()> {
    with_cluster(PODS, |cluster| {
        let counters = DirectorCounters::attach_to(&cluster.directors())?;
        for vip in VIP.both() {
            let answers = cluster.testbed.send_requests(SocketAddr::new(vip, 80), REQUESTS)?;
            ensure!(answers.all_answered() && answers.per_pod.len() == PODS, "{vip}: {answers:?}");
        }
        let (seen, addresses) = (cluster.client_sources()?, cluster.client_addresses());
        ensure!(seen.len() == PODS && seen.values().all(|sources| *sources == addresses), "{seen:?}");
        let count = counters.read()?;
        ensure!(count.packets > 0 && count.reply_packets_in == 0, "{count:?}");
        ensure!(cluster.count_ready_daemonsets()? == 2, "not both DaemonSets are ready");

        let service = cluster.get(&["service", WORKLOAD])?;
        let ingress = &service["status"]["loadBalancer"]["ingress"];
        ensure!(ingress.as_array().is_some_and(|given| given.len() == 2), "{ingress}");
        for pod in cluster.agent_pods()? {
            let status = agent_status(cluster, &pod)?;
            let is_well = status["ready"] == true && status["problems"].as_array().is_some_and(Vec::is_empty);
            ensure!(is_well, "{pod}: {status}");
        }
        Ok(())
    })
}

/// What is pinned on the nodes carries the traffic from one Pod of an agent to the next, and while an agent hangs.
#[test]
fn no_datagram_is_lost_when_agents_are_replaced_or_hang() -> Result<()> {
    /// Each agent may take 6 s to end, 5 s to be ready, and 15 s to stay it; one that hangs is there for 65 s.
    const LENGTH: Duration = Duration::from_secs(150);
    with_cluster(PODS, |cluster| {
        let streams = start_streams(cluster, LENGTH)?;
        let start = Instant::now();
        replace_all_agents(cluster)?;
        println!("all agents replaced after {:?}", start.elapsed());
        have_hung_agent_replaced(cluster)?;
        println!("and one that hung, after {:?}", start.elapsed());
        ensure!(start.elapsed() < LENGTH, "the streams were over after {LENGTH:?}");
        check_nothing_lost(streams)
    })
}

fn replace_all_agents(cluster: &Cluster) -> Result<()> {
    let before = cluster.agent_pods()?;
    let sets = cluster.daemonsets().map(|(name, _)| format!("daemonset/{name}"));
    for set in &sets {
        cluster.kubectl(&["--namespace", NAMESPACE, "rollout", "restart", set])?;
    }
    for set in &sets {
        cluster.kubectl(&["--namespace", NAMESPACE, "rollout", "status", set, "--timeout=180s"])?;
    }
    let after = cluster.agent_pods()?;
    ensure!(after.len() == before.len(), "{after:?}");
    let are_new = after.iter().all(|pod| !before.contains(pod));
    ensure!(are_new, "some were not replaced: {before:?}, {after:?}");
    Ok(())
}

/// By its liveness probe: three fail within 35 s; then it has 30 s to end by itself.
fn have_hung_agent_replaced(cluster: &Cluster) -> Result<()> {
    let director = cluster.directors()[0];
    let hung = agent_process(director)?;
    director.namespace.run(&["kill", "-s", "STOP", &hung])?;
    wait_at_most(PATIENCE, "another agent", || Ok(agent_process(director)? != hung))?;
    cluster.wait_agents_ready()
}

/// The process of a node's agent, as this machine numbers it.
fn agent_process(node: &Machine) -> Result<String> {
    let processes = node.namespace.run(&["ip", "netns", "pids", &node.namespace.name])?;
    let is_agent = |id: &&str| {
        let words = fs::read(format!("/proc/{id}/cmdline"));
        words.is_ok_and(|words| words.starts_with(b"/trigon\0agent\0"))
    };
    let found = processes.split_whitespace().find(is_agent);
    found.map(str::to_owned).with_context(|| format!("no agent on {}", node.name))
}

/// One from each of the client's addresses; a thousand datagrams a second of all together.
fn start_streams(cluster: &Cluster, length: Duration) -> Result<Vec<UdpStream>> {
    let sources = cluster.client_addresses();
    let rate = 1000_u32.div_ceil(u32::try_from(sources.len())?);
    let streams = sources.into_iter().map(|source| {
        let target = socket_address(VIP.get(Family::of(source)), UDP_ECHO_PORT);
        let options = UdpStreamOptions { target, rate, length, source: Some(source), source_port: 0 };
        cluster.testbed.start_udp_stream(&options)
    });
    streams.collect()
}

#[test]
fn scaling_breaks_no_connection_to_a_pod_that_stays() -> Result<()> {
    with_cluster(2, |cluster| {
        under_load(cluster, |lasting| {
            for pods in [20, 3] {
                cluster.change(pods, 1)?;
                let when = format!("on the way to {pods} Pods");
                lasting.watch(cluster, &when, || is_settled(cluster, pods))?;
                cluster.wait_all_answer()?;
            }
            Ok(())
        })
    })
}

#[test]
fn a_rolling_update_fails_no_request() -> Result<()> {
    with_cluster(PODS, |cluster| {
        let before = cluster.pods()?;
        under_load(cluster, |lasting| {
            cluster.change(PODS, 2)?;
            lasting.watch(cluster, "while Pods are replaced", || is_settled(cluster, PODS))?;
            ensure!(cluster.pods()?.is_disjoint(&before), "some Pods are the old ones");
            cluster.wait_all_answer()
        })
    })
}

/// Of a director, which forwards on: its agent stays.
#[test]
fn draining_a_node_fails_no_request() -> Result<()> {
    with_cluster(PODS, |cluster| {
        let cluster = &*cluster;
        let node = cluster.directors()[0].name.clone();
        under_load(cluster, |lasting| {
            lasting.check(cluster, "before the drain")?;
            thread::scope(|scope| {
                let words = ["drain", &node, "--ignore-daemonsets", "--timeout=120s"];
                let drain = scope.spawn(move || cluster.kubectl(&words));
                let avoided = wait_until_avoided(cluster, &node)
                    .and_then(|()| lasting.watch(cluster, "during the drain", || Ok(drain.is_finished())));
                let drained = drain.join().map_err(|_| anyhow!("`kubectl drain` panicked"))?;
                drained.and(avoided)
            })?;
            lasting.watch(cluster, "while others take over", || is_settled(cluster, PODS))?;
            let pods = cluster.list_pods(WORKLOAD)?;
            ensure!(pods.iter().all(|pod| pod.node != node), "some Pods are still on {node}: {pods:?}");
            cluster.wait_all_answer()
        })
    })
}

/// Waits until no new connection goes to the Pods of a node that is drained, which would still answer.
fn wait_until_avoided(cluster: &Cluster, node: &str) -> Result<()> {
    let ending = || -> Result<Vec<String>> {
        let pods = cluster.list_pods(WORKLOAD)?.into_iter();
        Ok(pods.filter(|pod| pod.is_ending && pod.node == node).map(|pod| pod.name).collect())
    };
    wait_at_most(PATIENCE, "Pods end", || Ok(!ending()?.is_empty()))?;
    let took = wait_at_most(LINGER / 2, "new connections go elsewhere", || {
        let (ending, answers) = (ending()?, cluster.send_requests(2)?);
        Ok(!ending.iter().any(|pod| answers.per_pod.contains_key(pod)))
    })?;
    println!("new connections go elsewhere: after {took:?}");
    Ok(())
}

/// Its power fails, and comes back: of what it had, there are only its files.
#[test]
fn a_node_that_dies_is_left_out_until_it_is_back() -> Result<()> {
    with_cluster(PODS, |cluster| {
        let last = cluster.testbed.nodes().last().context("nodes")?.name.clone();
        cluster.node(&last)?.kill()?;
        let answers = || cluster.send_requests(5).map(|answers| answers.all_answered());
        let took = wait_at_most(PATIENCE, "the others answer", answers)?;
        println!("without {last}, all requests are answered: after {took:?}");
        cluster.node(&last)?.restart()?;
        cluster.wait_nodes_ready()?;
        // They may be what the API server has not noticed yet: that all Pods answer tells.
        cluster.wait_agents_ready()?;
        cluster.wait_all_answer()
    })
}

#[test]
fn a_service_that_is_deleted_is_not_answered_until_it_is_back() -> Result<()> {
    with_cluster(PODS, |cluster| {
        cluster.kubectl(&["delete", "service", WORKLOAD])?;
        for client in cluster.testbed.client_addresses()[0].both() {
            let target = socket_address(VIP.get(Family::of(client)), 80);
            wait_at_most(PATIENCE, &format!("nobody answers at {target}"), || {
                Ok(cluster.testbed.send_requests_from(client, target, 1)?.answered == 0)
            })?;
        }
        for pod in cluster.agent_pods()? {
            wait_at_most(PATIENCE, &format!("{pod} has no Service"), || {
                let services = ask_agent(cluster, &pod, &["services"])?;
                Ok(agent_status(cluster, &pod)?["services"]["total"] == 0 && services == json!([]))
            })?;
        }
        cluster.serve(PODS)
    })
}

/// `trigon status` of an agent, by its Pod.
fn agent_status(cluster: &Cluster, pod: &str) -> Result<Value> {
    ask_agent(cluster, pod, &["status"])
}

/// What a command of `trigon` prints for programs.
fn ask_agent(cluster: &Cluster, pod: &str, words: &[&str]) -> Result<Value> {
    let exec = ["exec", "--namespace", NAMESPACE, pod, "--", "/trigon"];
    let told = cluster.kubectl(&[&exec[..], words, &["--output=json"]].concat())?;
    serde_json::from_str(&told).with_context(|| format!("what `trigon {}` prints", words.join(" ")))
}

/// Has the Deployment so many Pods, all ready, and none besides that is ending?
fn is_settled(cluster: &Cluster, pods: usize) -> Result<bool> {
    Ok(cluster.is_rolled_out()? && cluster.list_pods(WORKLOAD)?.len() == pods)
}
