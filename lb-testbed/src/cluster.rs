//! A real Kubernetes cluster: control plane, kubelets and containers, on the nodes of a routed testbed.
//!
//! ```text
//!   client ---- router ---- node1, node2   (directors)
//!               API server \--- node3, ...
//! ```
//!
//! The router sends the VIPs to the directors, and what is for Pods to their nodes. Agents and controllers are those
//! that `manifests/base` has the cluster run.

mod cgroups;
pub mod images;
mod inside;
mod network;
mod node;
mod parts;
mod pods;
mod setup;
mod workload;

use std::{
    collections::BTreeSet,
    fmt::Write,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

pub use self::{
    cgroups::{Hierarchy, ROOT as CGROUPS},
    inside::InsideClient,
    network::pod_gateways,
    parts::Parts,
    pods::ClusterPod,
    setup::{NodeSetup, Program},
    workload::{LINGER, NAME as WORKLOAD},
};
use crate::{
    Answers,
    address::{Dual, VIP},
    config::Config,
    kubernetes::{ApiServer, ControlPlane},
    plan::Machine,
    testbed::Testbed,
};
use node::Node;

/// Of the nodes: the first ones.
const DIRECTORS: usize = 2;
/// For what takes a second or ten.
const PATIENCE: Duration = Duration::from_secs(120);
/// The same for `kubectl wait`.
const TIMEOUT: &str = "--timeout=120s";
const PAUSE: Duration = Duration::from_millis(200);
pub const NAMESPACE: &str = "trigon-system";

/// Nodes that run Pods.
#[derive(Debug)]
pub struct Cluster {
    // In the order in which they must go.
    nodes: Vec<Node>,
    control_plane: ControlPlane,
    api_server: ApiServer,
    pub testbed: Testbed,
}

impl Cluster {
    /// Starts it; all Nodes are ready when this returns. Two of them are to be directors, see [`Self::install`].
    pub fn start(parts: &Parts, nodes: usize) -> Result<Self> {
        ensure!(nodes >= DIRECTORS, "{nodes} nodes: two of them are directors");
        // Pods are made by kubelets, and have the offload that they have in any cluster.
        let config = Config { directors: 0, nodes, pods_per_node: 0, pod_offload: true, ..Config::l3() };
        let testbed = Testbed::new(config)?;
        network::route_pods(&testbed)?;
        let api_server = ApiServer::start_for_kubelets(&testbed, parts.programs.clone())?;
        let control_plane = ControlPlane::start(&testbed, &api_server)?;
        let mut cluster = Self { nodes: Vec::new(), control_plane, api_server, testbed };
        for machine in cluster.testbed.nodes() {
            cluster.nodes.push(Node::start(&cluster.testbed, machine, &cluster.api_server, &parts.images)?);
        }
        cluster.wait_nodes_ready()?;
        cluster.testbed.route_vips_via(&cluster.directors())?;
        Ok(cluster)
    }

    /// Leaves it all standing, until `testbed-tool down`.
    pub fn keep(self) -> Result<()> {
        self.testbed.keep()
    }

    /// The nodes that the router sends the VIPs to.
    pub fn directors(&self) -> Vec<&Machine> {
        self.testbed.nodes().into_iter().take(DIRECTORS).collect()
    }

    /// A node, by its name.
    pub fn node(&mut self, name: &str) -> Result<&mut Node> {
        let found = self.nodes.iter_mut().find(|node| node.name == name);
        found.with_context(|| format!("no node `{name}` in this cluster"))
    }

    /// Runs `kubectl` to its end: its stdout, or an error with its stderr. The namespace is `default`.
    pub fn kubectl(&self, words: &[&str]) -> Result<String> {
        self.api_server.kubectl(words, "")
    }

    /// What `kubectl get` prints of these.
    pub fn get(&self, words: &[&str]) -> Result<Value> {
        let told = self.kubectl(&[&["get", "--output=json"], words].concat())?;
        serde_json::from_str(&told).context("what kubectl prints")
    }

    /// What to type for `kubectl`.
    pub fn kubectl_hint(&self) -> String {
        format!("{} {}", self.testbed.router().enter_hint(), self.kubectl_command())
    }

    /// What to type for it in the router's namespace.
    pub fn kubectl_command(&self) -> String {
        let (program, name) = self.api_server.programs().command("kubectl");
        let words = [program.display().to_string()].into_iter().chain(name.map(str::to_owned));
        let command = words.collect::<Vec<_>>().join(" ");
        format!("{command} --kubeconfig {}", self.kubeconfig().display())
    }

    /// Runs a line of shell on each node, one after the other.
    pub fn run_on_nodes(&self, line: &str) -> Result<()> {
        self.nodes.iter().try_for_each(|node| node.run(line).map(drop))
    }

    /// Of a user who may do all; the API server is reached in the router's namespace.
    pub fn kubeconfig(&self) -> PathBuf {
        self.api_server.admin_kubeconfig().to_owned()
    }

    /// Labels the directors and applies `manifests/base`; all agents are ready when this returns.
    pub fn install(&self) -> Result<()> {
        self.label_directors()?;
        self.api_server.apply_manifests()?;
        self.wait_agents_ready()
    }

    pub fn label_directors(&self) -> Result<()> {
        for director in self.directors() {
            self.kubectl(&["label", "--overwrite", "node", &director.name, "trigon.dev/director=true"])?;
        }
        Ok(())
    }

    /// The DaemonSets, and on how many nodes each is to be.
    pub fn daemonsets(&self) -> [(&'static str, usize); 2] {
        [("trigon-director", DIRECTORS), ("trigon-node", self.nodes.len() - DIRECTORS)]
    }

    /// Waits for all agents, and for the controllers.
    pub fn wait_agents_ready(&self) -> Result<()> {
        for (name, count) in self.daemonsets() {
            self.wait_daemonset(name, count)?;
        }
        self.wait_controllers()
    }

    /// Waits until so many of a DaemonSet's Pods are ready.
    pub fn wait_daemonset(&self, name: &str, count: usize) -> Result<()> {
        let wanted = format!("--for=jsonpath={{.status.numberReady}}={count}");
        self.wait(&["--namespace", NAMESPACE, &wanted, "daemonset", name])
    }

    pub fn wait_controllers(&self) -> Result<()> {
        self.wait(&["--namespace", NAMESPACE, "--for=condition=Available", "deployment/trigon-controller"])
    }

    /// `kubectl wait`
    pub fn wait(&self, words: &[&str]) -> Result<()> {
        self.kubectl(&[&["wait", TIMEOUT], words].concat()).map(drop)
    }

    /// Applies the Deployment with so many Pods, and the Service; clients are answered by all Pods when this returns.
    pub fn serve(&self, replicas: usize) -> Result<()> {
        self.api_server.apply(&[workload::deployment(replicas, 1), workload::service()])?;
        self.wait_rolled_out()?;
        self.wait(&["--for=condition=trigon.dev/Programmed", "service", WORKLOAD])?;
        self.wait_all_answer()
    }

    /// Asks for another number of Pods, or with another `revision` for new ones.
    pub fn change(&self, replicas: usize, revision: u32) -> Result<()> {
        self.api_server.apply(&[workload::deployment(replicas, revision)])
    }

    /// Has the Deployment the Pods that it is to have, all ready?
    pub fn is_rolled_out(&self) -> Result<bool> {
        let words = ["rollout", "status", "--watch=false", &format!("deployment/{WORKLOAD}")];
        let told = self.kubectl(&words)?;
        Ok(told.contains("successfully rolled out"))
    }

    /// Waits until it has.
    pub fn wait_rolled_out(&self) -> Result<()> {
        self.kubectl(&["rollout", "status", TIMEOUT, &format!("deployment/{WORKLOAD}")]).map(drop)
    }

    /// Waits until every request is answered, and by all Pods that there are, at both VIPs.
    pub fn wait_all_answer(&self) -> Result<()> {
        self.wait_all_answer_by(VIP, 80)
    }

    /// Applies a Service that kube-proxy carries to the same Pods; clients are answered by all of them when this returns.
    pub fn serve_by_kube_proxy(&self, name: &str, vip: Dual, port: u16) -> Result<()> {
        self.api_server.apply(&[workload::plain_service(name, vip, port)])?;
        self.wait_all_answer_by(vip, port)
    }

    fn wait_all_answer_by(&self, vip: Dual, port: u16) -> Result<()> {
        vip.both().into_iter().try_for_each(|vip| self.wait_all_answer_at(SocketAddr::new(vip, port)))
    }

    /// Waits until every request to this address is answered, and by all Pods that there are.
    pub fn wait_all_answer_at(&self, target: SocketAddr) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let pods = self.pods()?;
            let answers = self.testbed.send_requests(target, 10)?;
            let answering: BTreeSet<_> = answers.per_pod.keys().cloned().collect();
            if answers.all_answered() && answering == pods {
                return Ok(());
            }
            ensure!(Instant::now() < deadline, "{target}, of {pods:?}: {answers:?}");
            thread::sleep(PAUSE);
        }
    }

    /// `each` requests from each of the client's addresses to each VIP.
    pub fn send_requests(&self, each: u64) -> Result<Answers> {
        let mut sum = Answers::default();
        for vip in VIP.both() {
            sum += self.testbed.send_requests(SocketAddr::new(vip, 80), each)?;
        }
        Ok(sum)
    }

    /// All addresses of the client.
    pub fn client_addresses(&self) -> BTreeSet<IpAddr> {
        self.testbed.client_addresses().iter().flat_map(|address| address.both()).collect()
    }

    /// Waits until all Nodes are ready, and are told so.
    pub fn wait_nodes_ready(&mut self) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let ready = self.count_ready_nodes()?;
            if ready == self.nodes.len() {
                return Ok(());
            }
            if let Some(process) = self.control_plane.find_ended() {
                bail!("{} ended; it wrote:\n{}", process.label(), process.log());
            }
            for node in &mut self.nodes {
                ensure!(node.is_running(), "{} ended; it wrote:\n{}", node.name, node.log());
            }
            if Instant::now() > deadline {
                let logs = self.nodes.iter().map(|node| format!("\n{}: {}", node.name, node.log()));
                let (all, logs) = (self.nodes.len(), logs.collect::<String>());
                bail!("{ready} of {all} Nodes are ready after {PATIENCE:?}:{logs}");
            }
            thread::sleep(PAUSE);
        }
    }

    pub fn count_ready_nodes(&self) -> Result<usize> {
        let list = self.get(&["nodes"])?;
        Ok(list["items"].as_array().into_iter().flatten().filter(|node| is_ready(node)).count())
    }

    /// How many DaemonSets of ours have all of their Pods ready.
    pub fn count_ready_daemonsets(&self) -> Result<usize> {
        let list = self.get(&["daemonsets", "--namespace", NAMESPACE])?;
        let is_ready = |set: &&Value| {
            let (status, wanted) = (&set["status"], self.daemonsets());
            let wanted = wanted.iter().find(|(name, _)| set["metadata"]["name"] == *name);
            wanted.is_some_and(|(_, count)| {
                status["numberReady"] == *count && status["desiredNumberScheduled"] == *count
            })
        };
        Ok(list["items"].as_array().into_iter().flatten().filter(is_ready).count())
    }

    /// Nodes, Pods and events, and what every agent knows, as text: for the report of a test that failed.
    pub fn describe(&self) -> String {
        let mut story = String::new();
        let mut tell = |words: &[&str]| {
            let told = self.kubectl(words).unwrap_or_else(|error| format!("{error:#}"));
            let _ = writeln!(story, "--- kubectl {}\n{told}", words.join(" "));
        };
        tell(&["get", "nodes,pods,daemonsets,services", "--all-namespaces", "--output=wide"]);
        tell(&["get", "events", "--all-namespaces", "--sort-by=.lastTimestamp"]);
        for pod in self.agent_pods().unwrap_or_default() {
            for words in [&["status"][..], &["services"], &["backends"], &["drops", "--all"]] {
                tell(&[&["exec", "--namespace", NAMESPACE, &pod, "--", "/trigon"], words].concat());
            }
            tell(&["logs", "--namespace", NAMESPACE, "--tail=30", &pod]);
        }
        story
    }

    /// Names of the agents' Pods.
    pub fn agent_pods(&self) -> Result<Vec<String>> {
        let selector = "app.kubernetes.io/component in (director,node)";
        let list = self.get(&["pods", "--namespace", NAMESPACE, "--selector", selector])?;
        let pods = list["items"].as_array().into_iter().flatten();
        Ok(pods.filter_map(|pod| Some(pod["metadata"]["name"].as_str()?.to_owned())).collect())
    }
}

fn is_ready(node: &Value) -> bool {
    let mut conditions = node["status"]["conditions"].as_array().into_iter().flatten();
    conditions.any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_node_is_ready_if_its_condition_says_so() {
        let node = |status: &str| {
            json!({"status": {"conditions": [
                {"type": "MemoryPressure", "status": "False"},
                {"type": "Ready", "status": status},
            ]}})
        };
        assert!(is_ready(&node("True")));
        assert!(!is_ready(&node("Unknown")) && !is_ready(&json!({"status": {}})));
    }
}
