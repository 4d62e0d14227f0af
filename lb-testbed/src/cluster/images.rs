//! The images of a cluster, which come from no registry: `cargo xtask cluster` makes them, each an archive.

use std::path::{Path, PathBuf};

/// Name without tag, and archive.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ClusterImage {
    pub name: &'static str,
    file: &'static str,
}

/// The program under test, as `cargo xtask image` makes it.
pub const TRIGON: ClusterImage = ClusterImage { name: "localhost/trigon", file: "trigon.tar" };
/// Servers of Pods: `testbed-tool`.
pub const SERVER: ClusterImage = ClusterImage { name: "localhost/testbed-tool", file: "server.tar" };
/// Holds a Pod's network while its containers come and go: `testbed-tool pause`.
pub const PAUSE: ClusterImage = ClusterImage { name: "localhost/pause", file: "pause.tar" };

pub const ALL: [ClusterImage; 3] = [TRIGON, SERVER, PAUSE];
/// The tag of all of them.
pub const TAG: &str = env!("CARGO_PKG_VERSION");

impl ClusterImage {
    /// Name and tag.
    pub fn reference(self) -> String {
        format!("{}:{TAG}", self.name)
    }

    pub fn archive(self) -> PathBuf {
        Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../target/cluster")).join(self.file)
    }
}
