//! What `testbed-tool kubernetes-node` reads: how a node is to be inside of its namespaces.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::cgroups::Hierarchy;

/// A node, from its mounts to its programs.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct NodeSetup {
    /// Also its host name.
    pub name: String,
    pub hierarchies: Vec<Hierarchy>,
    /// Directories of the node that are kept, and where each is in the node.
    pub directories: Vec<(PathBuf, PathBuf)>,
    /// Parameters of the kernel that programs are to believe are set, below `/proc/sys`: they are the whole machine's.
    pub pretended: Vec<(String, String)>,
    /// For an empty file or two.
    pub scratch: PathBuf,
    /// `PATH`
    pub search_path: String,
    /// containerd's, which is to answer before [`Self::images`] are imported.
    pub runtime: Program,
    pub socket: PathBuf,
    /// Archives.
    pub images: Vec<PathBuf>,
    /// Started last.
    pub services: Vec<Program>,
}

/// One that goes on as long as the node does.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Program {
    /// For both of its outputs.
    pub log: PathBuf,
    /// The program, and its arguments.
    pub words: Vec<String>,
}
