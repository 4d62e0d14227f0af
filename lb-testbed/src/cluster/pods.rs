//! Pods of a cluster, as the API server has them.

use std::net::IpAddr;

use anyhow::Result;
use serde_json::Value;

use super::Cluster;

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClusterPod {
    pub name: String,
    /// Empty as long as it has none.
    pub node: String,
    /// None as long as it has not begun.
    pub addresses: Vec<IpAddr>,
}

impl ClusterPod {
    fn new(object: &Value) -> Self {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let addresses = object["status"]["podIPs"].as_array().into_iter().flatten();
        Self {
            name: text(&object["metadata"]["name"]),
            node: text(&object["spec"]["nodeName"]),
            addresses: addresses.filter_map(|address| address["ip"].as_str()?.parse().ok()).collect(),
        }
    }
}

impl Cluster {
    /// Those with this label `app` that are not ending.
    pub fn list_pods(&self, app: &str) -> Result<Vec<ClusterPod>> {
        let list = self.get(&["pods", "--selector", &format!("app={app}")])?;
        let pods = list["items"].as_array().into_iter().flatten();
        let living = pods.filter(|pod| pod["metadata"]["deletionTimestamp"].is_null());
        Ok(living.map(ClusterPod::new).collect())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

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
