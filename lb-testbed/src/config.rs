//! What a testbed is to look like.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::{address::Family, kubernetes::Programs};

/// How directors and nodes hang together.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Layer {
    /// All on one link, behind a switch.
    L2,
    /// Each on its own link and in its own subnet, with the router between.
    #[default]
    L3,
}

impl std::str::FromStr for Layer {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "l2" => Ok(Self::L2),
            "l3" => Ok(Self::L3),
            _ => Err(format!("`{text}` is neither l2 nor l3")),
        }
    }
}

/// What runs on the nodes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum NodeRole {
    /// The agent as a node.
    #[default]
    Node,
    /// The agent in both roles: nodes are directors too.
    Both,
    /// No agent: they are bare servers, which own the VIPs themselves.
    Bare,
}

/// What Pods' packets have as their source outside their node.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum PodNetwork {
    /// The node's address: nobody else knows a route to a Pod.
    #[default]
    Masqueraded,
    /// The Pod's own: the router knows the way to each.
    Routed,
}

/// Where agents get the objects from.
#[derive(Clone, Debug, Default)]
pub enum ObjectSource {
    /// A directory of files.
    #[default]
    Directory,
    /// A Kubernetes API server, in the router's namespace.
    Kubernetes(Programs),
    /// The same, with controllers: EndpointSlices are not written but made, of Pods
    /// ([`PodSpec`](crate::kubernetes::PodSpec)) that have the Service's name as their label `app`.
    Controllers(Programs),
}

/// A testbed's measures.
#[derive(Clone, Debug)]
pub struct Config {
    pub layer: Layer,
    pub directors: usize,
    pub nodes: usize,
    pub node_role: NodeRole,
    /// The only family of addresses that Node objects tell of, and so of outer
    /// headers. Without: both.
    pub node_family: Option<Family>,
    pub pods_per_node: usize,
    pub pod_network: PodNetwork,
    /// Addresses of the client, of each family.
    pub clients: usize,
    /// Processes outlive their handles, for [`Testbed::keep`](crate::Testbed::keep).
    pub keep: bool,
    /// MTU of the links between router (or switch), directors and nodes: room
    /// for what encapsulation adds to 1500 bytes.
    pub mtu: u32,
    /// Pods send with TX checksum and segmentation offload, as they do in a
    /// cluster: the node's egress then sees large packets with partial checksums.
    pub pod_offload: bool,
    /// Of a [`Triangle`](crate::Triangle).
    pub source: ObjectSource,
    /// For every agent, beside the arguments that all need.
    pub agent_args: Vec<String>,
    /// Of root's, those that agents have ([`capabilities`](crate::capabilities)). Without: all.
    pub agent_capabilities: Option<Vec<String>>,
    /// The program under test. Without: `TRIGON_BIN`, else beside this program.
    pub trigon: Option<PathBuf>,
    /// The clients and servers. Without: `TESTBED_TOOL_BIN`, else beside this program.
    pub tool: Option<PathBuf>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            layer: Layer::L3,
            directors: 2,
            nodes: 3,
            node_role: NodeRole::default(),
            node_family: None,
            pods_per_node: 2,
            pod_network: PodNetwork::default(),
            clients: 8,
            keep: false,
            mtu: 1600,
            pod_offload: false,
            source: ObjectSource::default(),
            agent_args: Vec::new(),
            agent_capabilities: None,
            trigon: None,
            tool: None,
        }
    }
}

impl Config {
    pub fn l2() -> Self {
        Self { layer: Layer::L2, ..Self::default() }
    }

    pub fn l3() -> Self {
        Self::default()
    }
}
