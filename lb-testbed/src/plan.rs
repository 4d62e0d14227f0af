//! Who is in a testbed, where, and with which addresses: pure data.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::Arc,
};

use anyhow::{Result, ensure};

use crate::{
    address::{Dual, decimal_as_hex_group},
    config::{Config, Layer, NodeRole},
    namespace::Namespace,
    site::Site,
};

/// The interface to the outside of the client, of machines and of Pods.
pub const INTERFACE: &str = "eth0";

/// What a machine is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MachineKind {
    Director,
    Node,
}

/// A director or a node.
#[derive(Clone, Debug)]
pub struct Machine {
    /// As in Kubernetes: `director1`, `node1`; also the name of the interface
    /// at the far end of its link.
    pub name: String,
    pub kind: MachineKind,
    /// Of its agent, as on the command line; `None`: it runs none.
    pub roles: Option<&'static str>,
    pub namespace: Namespace,
    /// [`INTERFACE`]
    pub interface: &'static str,
    pub address: Dual,
    /// The router, on the same link.
    pub gateway: Dual,
    /// Who has the far end of its link: the router, or the switch.
    pub upstream: Namespace,
}

/// A Pod, in a namespace of its own on a node.
#[derive(Clone, Debug)]
pub struct Pod {
    /// `pod1_2`: the second one on `node1`.
    pub name: String,
    /// The name of its node.
    pub node: String,
    pub namespace: Namespace,
    pub address: Dual,
    /// Its link's name on the node.
    pub port: String,
}

/// Everything in a testbed.
#[derive(Clone, Debug)]
pub struct Plan {
    pub layer: Layer,
    pub client: Namespace,
    /// The client's addresses.
    pub client_addresses: Vec<Dual>,
    pub router: Namespace,
    pub switch: Option<Namespace>,
    /// Directors, then nodes.
    pub machines: Vec<Machine>,
    pub pods: Vec<Pod>,
}

impl Plan {
    pub fn new(config: &Config, site: &Arc<Site>) -> Result<Self> {
        check_limits(config)?;
        let named = |name: &str| Namespace::new(site, name);
        let switch = (config.layer == Layer::L2).then(|| named("switch"));
        let router = named("router");
        let upstream = switch.as_ref().unwrap_or(&router);
        let directors = numbers_up_to(config.directors).map(|i| (MachineKind::Director, i));
        let nodes = numbers_up_to(config.nodes).map(|i| (MachineKind::Node, i));
        let machines: Vec<_> = directors
            .chain(nodes)
            .zip(1..)
            .map(|((kind, number), link)| plan_machine(site, config, kind, number, link, upstream))
            .collect();
        let pods = numbers_up_to(config.nodes)
            .flat_map(|node| {
                numbers_up_to(config.pods_per_node).map(move |index| plan_pod(site, node, index))
            })
            .collect();
        let client_addresses = numbers_up_to(config.clients).map(|i| client_network_address(9 + i)).collect();
        Ok(Self {
            layer: config.layer,
            client: named("client"),
            client_addresses,
            router,
            switch,
            machines,
            pods,
        })
    }

    /// All namespaces there are to be.
    pub fn namespaces(&self) -> impl Iterator<Item = &Namespace> {
        let machines = self.machines.iter().map(|machine| &machine.namespace);
        let pods = self.pods.iter().map(|pod| &pod.namespace);
        [&self.client, &self.router].into_iter().chain(&self.switch).chain(machines).chain(pods)
    }

    pub fn pods_of<'a>(&'a self, machine: &'a Machine) -> impl Iterator<Item = &'a Pod> {
        self.pods.iter().filter(|pod| pod.node == machine.name)
    }
}

/// Numbers must fit the octets that they become.
fn check_limits(config: &Config) -> Result<()> {
    ensure!(config.directors <= 10, "at most 10 directors, not {}", config.directors);
    ensure!(config.nodes <= 200, "at most 200 nodes, not {}", config.nodes);
    ensure!(config.pods_per_node <= 200, "at most 200 Pods on a node, not {}", config.pods_per_node);
    ensure!((1..=200).contains(&config.clients), "1 to 200 client addresses, not {}", config.clients);
    Ok(())
}

fn numbers_up_to(count: usize) -> impl Iterator<Item = u8> {
    (1..=u8::MAX).take(count)
}

fn plan_machine(
    site: &Arc<Site>,
    config: &Config,
    kind: MachineKind,
    number: u8,
    link: u8,
    upstream: &Namespace,
) -> Machine {
    let (name, host) = match kind {
        MachineKind::Director => (format!("director{number}"), 10 + number),
        MachineKind::Node => (format!("node{number}"), 20 + number),
    };
    let (subnet, host) = match config.layer {
        Layer::L2 => (0, host),
        Layer::L3 => (link, 2),
    };
    Machine {
        namespace: Namespace::new(site, &name),
        name,
        kind,
        roles: agent_roles(kind, config.node_role),
        interface: INTERFACE,
        address: fabric_address(subnet, host),
        gateway: fabric_address(subnet, 1),
        upstream: upstream.clone(),
    }
}

fn agent_roles(kind: MachineKind, nodes: NodeRole) -> Option<&'static str> {
    match (kind, nodes) {
        (MachineKind::Director, _) => Some("director"),
        (MachineKind::Node, NodeRole::Node) => Some("node"),
        (MachineKind::Node, NodeRole::Both) => Some("director,node"),
        (MachineKind::Node, NodeRole::Bare) => None,
    }
}

fn plan_pod(site: &Arc<Site>, node: u8, index: u8) -> Pod {
    let name = format!("pod{node}_{index}");
    let host = 10 + index;
    Pod {
        namespace: Namespace::new(site, &name),
        node: format!("node{node}"),
        address: Dual {
            v4: Ipv4Addr::new(10, 88, node, host),
            v6: Ipv6Addr::new(0xfd88, decimal_as_hex_group(node), 0, 0, 0, 0, 0, decimal_as_hex_group(host)),
        },
        port: name.clone(),
        name,
    }
}

/// 10.77.SUBNET.HOST/24 and fd77:SUBNET::HOST/64: router, directors and nodes.
pub fn fabric_address(subnet: u8, host: u8) -> Dual {
    Dual {
        v4: Ipv4Addr::new(10, 77, subnet, host),
        v6: Ipv6Addr::new(0xfd77, decimal_as_hex_group(subnet), 0, 0, 0, 0, 0, decimal_as_hex_group(host)),
    }
}

/// 198.51.100.HOST/24 and 2001:db8:c::HOST/64: the client and the router's side to it.
pub fn client_network_address(host: u8) -> Dual {
    Dual {
        v4: Ipv4Addr::new(198, 51, 100, host),
        v6: Ipv6Addr::new(0x2001, 0xdb8, 0xc, 0, 0, 0, 0, decimal_as_hex_group(host)),
    }
}

impl Machine {
    pub fn is_director(&self) -> bool {
        self.roles.is_some_and(|roles| roles.contains("director"))
    }

    /// IPv4, then IPv6.
    pub fn addresses(&self) -> [IpAddr; 2] {
        self.address.both()
    }
}

impl Pod {
    /// IPv4, then IPv6.
    pub fn addresses(&self) -> [IpAddr; 2] {
        self.address.both()
    }
}
