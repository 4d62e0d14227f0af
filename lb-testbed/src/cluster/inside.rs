//! Clients inside of a cluster: a Pod on each node, and each node by itself.

use std::net::{IpAddr, SocketAddr};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::{Cluster, TIMEOUT, WORKLOAD, images::SERVER, pods::ClusterPod};
use crate::{namespace::Namespace, plan::Machine, report::HttpReport};

/// DaemonSet, and the label `app` of its Pods.
const NAME: &str = "client";
/// What is in their image.
const PROGRAM: &str = "/testbed-tool";

/// Who connects.
#[derive(Clone, Debug)]
pub struct InsideClient {
    pub name: String,
    /// Where it is; of a node, the same as its name.
    pub node: String,
    pub addresses: Vec<IpAddr>,
    /// Of a node by itself. None: a Pod.
    host: Option<Namespace>,
}

impl InsideClient {
    fn of_pod(pod: ClusterPod) -> Self {
        Self { name: pod.name, node: pod.node, addresses: pod.addresses, host: None }
    }

    fn of_node(node: &Machine) -> Self {
        Self {
            name: node.name.clone(),
            node: node.name.clone(),
            addresses: node.addresses().into(),
            host: Some(node.namespace.clone()),
        }
    }

    pub const fn is_pod(&self) -> bool {
        self.host.is_none()
    }
}

impl Cluster {
    /// A Pod on each node, each node by itself, and a Pod that is an endpoint too.
    pub fn start_inside_clients(&self) -> Result<Vec<InsideClient>> {
        self.api_server.apply(&[daemonset()])?;
        self.kubectl(&["rollout", "status", TIMEOUT, &format!("daemonset/{NAME}")])?;
        let (pods, nodes) = (self.list_pods(NAME)?, self.testbed.nodes());
        let is_everywhere = nodes.iter().all(|node| pods.iter().any(|pod| pod.node == node.name));
        ensure!(is_everywhere, "not on each node: {pods:?}");
        let endpoint = self.list_pods(WORKLOAD)?.into_iter().find(|pod| !pod.is_ending);
        let endpoint = endpoint.context("no Pod is served")?;
        let pods = pods.into_iter().chain([endpoint]).map(InsideClient::of_pod);
        Ok(pods.chain(nodes.into_iter().map(InsideClient::of_node)).collect())
    }

    /// So many requests, each on a connection of its own, to a port of a Service for HTTP.
    pub fn send_requests_inside(
        &self,
        client: &InsideClient,
        target: SocketAddr,
        count: u64,
    ) -> Result<HttpReport> {
        let (target, count) = (target.to_string(), count.to_string());
        let words = ["http-get", "--target", &target, "--count", &count];
        let told = match &client.host {
            Some(namespace) => {
                let program = self.testbed.tool_path()?.display().to_string();
                namespace.run(&[&[program.as_str()], &words[..]].concat())?
            }
            None => self.kubectl(&[&["exec", client.name.as_str(), "--", PROGRAM], &words[..]].concat())?,
        };
        serde_json::from_str(&told).with_context(|| format!("{} reported `{told}`", client.name))
    }
}

fn daemonset() -> Value {
    json!({
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": NAME, "namespace": "default"},
        "spec": {
            "selector": {"matchLabels": {"app": NAME}},
            "template": {
                "metadata": {"labels": {"app": NAME}},
                "spec": {
                    "automountServiceAccountToken": false,
                    "enableServiceLinks": false,
                    "containers": [{
                        "name": "client",
                        "image": SERVER.reference(),
                        "imagePullPolicy": "Never",
                        "args": ["pause"],
                    }],
                },
            },
        },
    })
}
