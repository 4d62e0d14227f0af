//! What to try in a cluster that is left standing.

use anyhow::Result;
use lb_testbed::{
    VIP,
    cluster::{Cluster, NAMESPACE},
    locate_program,
};

/// Commands that work as they are printed.
pub fn text(cluster: &Cluster) -> Result<String> {
    let tool = locate_program("testbed-tool", "TESTBED_TOOL_BIN")?;
    let kubectl = cluster.kubectl_hint();
    let client = cluster.testbed.client().enter_hint();
    let director = cluster.directors().first().map_or_else(String::new, |node| node.name.clone());
    Ok(format!(
        "
It is left standing. Its API server is reached in the router's network namespace; to have a short name for that:

  alias k='{kubectl}'

Then, as root:

  k get nodes,pods -A -o wide
  k get services
  k -n {NAMESPACE} get agentreports
  k -n {NAMESPACE} exec ds/trigon-director -- /trigon status
  k -n {NAMESPACE} exec ds/trigon-node -- /trigon drops --all
  k scale deployment web --replicas=20
  k rollout restart deployment web
  k -n {NAMESPACE} rollout restart ds trigon-director
  k drain {director} --ignore-daemonsets

  {client} curl http://{v4}/
  {client} curl 'http://[{v6}]/echo-addr'

Its kubeconfig: {kubeconfig}
What its nodes log: {dir}/node*/log
To tear it down:

  {tool} down {pid}
",
        v4 = VIP.v4,
        v6 = VIP.v6,
        kubeconfig = cluster.kubeconfig().display(),
        dir = cluster.testbed.dir().display(),
        tool = tool.display(),
        pid = std::process::id(),
    ))
}
