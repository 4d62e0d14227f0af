//! What happens to links and routes while a testbed stands.

use std::fmt::Write;

use anyhow::Result;

use crate::{
    address::{Family, VIP_NETWORKS},
    namespace::Namespace,
    plan::Machine,
};

/// Spreads the VIPs over `machines`, and nobody else; with none, they are unreachable.
pub fn route_vips(router: &Namespace, machines: &[&Machine]) -> Result<()> {
    let mut lines = String::new();
    for network in VIP_NETWORKS {
        let hops = next_hop_arguments(machines, network.family());
        if hops.is_empty() {
            writeln!(lines, "route replace unreachable {network}")?;
        } else {
            writeln!(lines, "route replace {network}{hops}")?;
        }
    }
    router.ip_batch(&lines)
}

fn next_hop_arguments(machines: &[&Machine], family: Family) -> String {
    machines.iter().map(|machine| format!(" nexthop via {}", machine.address.get(family))).collect()
}

/// nftables rules that drop everything, both ways, at the far end of a link.
pub fn cut_rules(port: &str) -> String {
    let chain = |hook: &str| {
        format!("chain {hook} {{\ntype filter hook {hook} device \"{port}\" priority -10\ncounter drop\n}}\n")
    };
    format!("{}table netdev cut_{port} {{\n{}{}}}\n", mend_rules(port), chain("ingress"), chain("egress"))
}

/// Rules that remove the ones that cut a link, if there are any.
pub fn mend_rules(port: &str) -> String {
    format!("table netdev cut_{port} {{ }}\ndelete table netdev cut_{port}\n")
}
