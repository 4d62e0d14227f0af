//! What to try in a testbed that is left standing.

use anyhow::Result;
use lb_testbed::{Triangle, VIP, locate_program};

/// Commands that work as they are printed. `has_bird`: directors announce the VIPs to the router's BIRD.
pub fn text(triangle: &mut Triangle, has_bird: bool) -> Result<String> {
    let agent = triangle.agent("director1")?.id();
    let testbed = &triangle.testbed;
    let (trigon, tool) =
        (locate_program("trigon", "TRIGON_BIN")?, locate_program("testbed-tool", "TESTBED_TOOL_BIN")?);
    let (trigon, tool) = (trigon.display(), tool.display());
    let client = testbed.client().enter_hint();
    let (director, node) = (testbed.machine("director1")?, testbed.machine("node1")?);
    let sockets = [director, node].map(|machine| testbed.socket_path(machine));
    let [at_director, at_node] =
        sockets.each_ref().map(|socket| format!("{trigon} --socket {}", socket.display()));
    let maps = testbed.maps_dir(director);
    let objects = triangle.objects_path();
    let without_director1 = if has_bird {
        format!("{at_director} drain")
    } else {
        let left = testbed.machine("director2")?.address.v4;
        format!("ip -n {} route replace {} via {left}", testbed.router().name, VIP.v4)
    };
    Ok(format!(
        "
It is left standing: 2 directors, 3 nodes, 6 Pods. Try, as root:

  {client} curl http://{v4}/
  {client} curl 'http://[{v6}]/echo-addr'
  {client} curl -o /dev/null http://{v4}/download

  {at_director} status
  {at_director} services
  {at_director} backends
  {at_director} bgp
  {at_node} drops --all

  bpftool map dump name SERVICES                 # of all agents
  bpftool map dump pinned {maps}/SERVICES

  {without_director1}     # without director1: traffic goes on
  kill -9 {agent}     # the agent of director1: traffic goes on

Its objects: {objects}; edit them, and all agents follow.
To tear it down:

  {tool} down {pid}
",
        v4 = VIP.v4,
        v6 = VIP.v6,
        maps = maps.display(),
        objects = objects.display(),
        pid = std::process::id(),
    ))
}
