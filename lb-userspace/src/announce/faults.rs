//! Interfaces that an L2Advertisement names, but on which VIPs cannot be announced.

use std::collections::BTreeMap;

use super::{carry::Site, choose::Advertisements};
use crate::{
    objects::model::{Cluster, L2Advertisement, Problem},
    plan::Identity,
    protocols::l2::{Fault, FaultReason, VipStatus},
};

/// One problem for each such interface of each advertisement that chooses this node.
pub fn interface_problems(cluster: &Cluster, me: &Identity, vips: &[VipStatus]) -> Vec<Problem> {
    let here = Site::of_this_node(me, cluster);
    let all = Advertisements::new(&cluster.announcing);
    let mut problems = BTreeMap::new();
    for vip in vips.iter().filter(|vip| !vip.faults.is_empty()) {
        for index in &all.for_vip(vip.vip).l2 {
            let one = all.l2[*index];
            let is_named = |fault: &&Fault| one.interfaces.contains(fault.interface.as_str());
            if one.nodes.matches(here.labels) {
                let named = vip.faults.iter().filter(is_named);
                problems.extend(named.map(|fault| ((*index, fault), fault_problem(one, &here, fault))));
            }
        }
    }
    problems.into_values().collect()
}

fn fault_problem(one: &L2Advertisement, here: &Site<'_>, Fault { interface, why }: &Fault) -> Problem {
    let node = here.name;
    let (message, remedy) = match why {
        FaultReason::Missing => (
            format!("node {node} has no interface `{interface}`"),
            "correct the name, or choose nodes that have it by nodeSelectors".to_owned(),
        ),
        FaultReason::NotEthernet => (
            format!("interface `{interface}` of node {node} is not Ethernet"),
            "name one where neighbours are asked for by ARP or neighbour discovery".to_owned(),
        ),
        FaultReason::Down => {
            (format!("interface `{interface}` of node {node} is down"), format!("ip link set {interface} up"))
        }
        FaultReason::NoProgram => (
            format!(
                "interface `{interface}` of node {node} is none of its agent's: VIPs in the data path are not announced there"
            ),
            format!(
                "start the agent with --interface {interface} too, or name one of its interfaces, or a VLAN on one"
            ),
        ),
    };
    Problem {
        object: format!("L2Advertisement {}", one.full_name),
        field: "spec.interfaces".to_owned(),
        message,
        remedy,
        ..Problem::default()
    }
}
