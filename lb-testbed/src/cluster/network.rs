//! Where the Pods of a cluster are: 10.244.N.0/24 and fd00:244:0:N::/64 on node N.
//!
//! Not where those of other testbeds are: for [`crate::DirectorCounters`], what Pods on directors send is no reply unless
//! it comes from a VIP.

use std::{
    fmt::Write,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use anyhow::Result;

use crate::{
    address::{Cidr, decimal_as_hex_group},
    plan::Machine,
    testbed::Testbed,
};

/// All of them.
pub const POD_NETWORKS: &str = "10.244.0.0/16,fd00:244::/48";

/// Those of a node, IPv4, then IPv6.
pub fn pod_networks(node: &Machine) -> [Cidr; 2] {
    let number = node_number(node);
    [
        Cidr::new(IpAddr::V4(Ipv4Addr::new(10, 244, number, 0)), 24),
        Cidr::new(IpAddr::V6(Ipv6Addr::new(0xfd00, 0x244, 0, decimal_as_hex_group(number), 0, 0, 0, 0)), 64),
    ]
}

/// What the node itself has on its links to Pods, IPv4, then IPv6: of each network the first address.
pub fn pod_gateways(node: &Machine) -> [IpAddr; 2] {
    pod_networks(node).map(|network| match network.address {
        IpAddr::V4(address) => IpAddr::V4(Ipv4Addr::from_bits(address.to_bits() | 1)),
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() | 1)),
    })
}

/// As its name ends: `node3`.
fn node_number(node: &Machine) -> u8 {
    node.name.trim_start_matches(|letter: char| !letter.is_ascii_digit()).parse().unwrap_or_default()
}

/// Has the router send what is for Pods to their nodes.
pub fn route_pods(testbed: &Testbed) -> Result<()> {
    let mut lines = String::new();
    for node in testbed.nodes() {
        for network in pod_networks(node) {
            writeln!(lines, "route replace {network} via {}", node.address.get(network.family()))?;
        }
    }
    testbed.router().ip_batch(&lines)
}
