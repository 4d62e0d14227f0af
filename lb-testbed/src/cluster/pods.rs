//! Pods of a cluster, as the API server has them.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use anyhow::Result;
use serde_json::Value;

use super::{Cluster, WORKLOAD};

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClusterPod {
    pub name: String,
    /// Empty as long as it has none.
    pub node: String,
    /// None as long as it has not begun.
    pub addresses: Vec<IpAddr>,
    pub is_ending: bool,
}

impl ClusterPod {
    fn new(object: &Value) -> Self {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let addresses = object["status"]["podIPs"].as_array().into_iter().flatten();
        Self {
            name: text(&object["metadata"]["name"]),
            node: text(&object["spec"]["nodeName"]),
            addresses: addresses.filter_map(|address| address["ip"].as_str()?.parse().ok()).collect(),
            is_ending: !object["metadata"]["deletionTimestamp"].is_null(),
        }
    }
}

impl Cluster {
    /// Those with this label `app`.
    pub fn list_pods(&self, app: &str) -> Result<Vec<ClusterPod>> {
        let list = self.get(&["pods", "--selector", &format!("app={app}")])?;
        Ok(list["items"].as_array().into_iter().flatten().map(ClusterPod::new).collect())
    }

    /// Names of the Deployment's Pods that are not ending.
    pub fn pods(&self) -> Result<BTreeSet<String>> {
        let living = self.list_pods(WORKLOAD)?.into_iter().filter(|pod| !pod.is_ending);
        Ok(living.map(|pod| pod.name).collect())
    }

    /// The addresses that each Pod of the Deployment has seen clients come from, as it logs them.
    pub fn client_sources(&self) -> Result<BTreeMap<String, BTreeSet<IpAddr>>> {
        let selector = format!("app={WORKLOAD}");
        let words = ["logs", "--selector", &selector, "--prefix", "--tail=-1", "--max-log-requests=100"];
        Ok(parse_sources(&self.kubectl(&words)?))
    }
}

/// Of lines as `[pod/NAME/CONTAINER] ADDRESS ...`.
fn parse_sources(logs: &str) -> BTreeMap<String, BTreeSet<IpAddr>> {
    let mut sources: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    for line in logs.lines() {
        let parts = line.strip_prefix("[pod/").and_then(|rest| rest.split_once("] "));
        let Some((from, said)) = parts else { continue };
        if let Some(Ok(address)) = said.split(' ').next().map(str::parse::<IpAddr>) {
            let pod = from.split('/').next().unwrap_or_default();
            sources.entry(pod.to_owned()).or_default().insert(address);
        }
    }
    sources
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn addresses_are_told_by_pod() {
        let logs = "[pod/web-1/servers] listening on 8080\n\
            [pod/web-1/servers] 198.51.100.10 /\n\
            [pod/web-2/servers] 2001:db8:c::10\n\
            [pod/web-1/servers] 198.51.100.10 /echo-addr\n";
        let told = parse_sources(logs);
        let told: Vec<_> = told.iter().map(|(pod, sources)| (pod.as_str(), sources.len())).collect();
        assert_eq!(told, [("web-1", 1), ("web-2", 1)]);
    }

    #[test]
    fn a_pod_that_has_not_begun_has_a_name() {
        let begun = json!({
            "metadata": {"name": "web-1"},
            "spec": {"nodeName": "node1"},
            "status": {"podIPs": [{"ip": "10.244.1.2"}, {"ip": "fd00:244:0:1::2"}]},
        });
        let begun = ClusterPod::new(&begun);
        assert_eq!((begun.name.as_str(), begun.node.as_str()), ("web-1", "node1"));
        assert_eq!(begun.addresses.len(), 2);
        let waiting = ClusterPod::new(&json!({"metadata": {"name": "web-2"}, "spec": {}}));
        assert_eq!(waiting.name, "web-2");
        assert!(waiting.node.is_empty() && waiting.addresses.is_empty());
    }
}
