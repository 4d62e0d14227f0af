//! What a testbed is to look like.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

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

/// A testbed's measures.
#[derive(Clone, Debug)]
pub struct Config {
    pub layer: Layer,
    pub directors: usize,
    pub nodes: usize,
    pub pods_per_node: usize,
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
            pods_per_node: 2,
            clients: 8,
            keep: false,
            mtu: 1600,
            pod_offload: false,
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
