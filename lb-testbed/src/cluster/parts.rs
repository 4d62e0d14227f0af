//! What has to be there for a cluster.

use std::{
    env,
    path::{Path, PathBuf},
};

use anyhow::{Result, bail};

use super::images::{self, ClusterImage};
use crate::kubernetes::Programs;

/// Of containers, wherever the path finds them. Also what they and kube-proxy run.
const PROGRAMS: [&str; 5] = ["containerd", "ctr", "runc", "nft", "unshare"];
/// Where Debian's package has them.
pub const CNI_PLUGINS: &str = "/usr/lib/cni";
/// Those that [`super::node`] uses; and what containerd uses itself.
const PLUGINS: [&str; 3] = ["ptp", "host-local", "loopback"];
/// Not every root's path has those of system administration.
const SYSTEM: [&str; 4] = ["/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/// Programs of Kubernetes, and images; all else is there.
#[derive(Clone, Debug)]
pub struct Parts {
    pub programs: Programs,
    /// Those that nodes have as they start.
    pub images: Vec<ClusterImage>,
}

impl Parts {
    /// An error that names what is missing, and what to run.
    pub fn find() -> Result<Self> {
        let programs = Programs::find()?;
        programs.ensure_has(&["kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy"])?;
        let is_missing = |program: &&&str| !search_path().any(|dir| dir.join(program).is_file());
        let mut missing: Vec<_> = PROGRAMS.iter().filter(is_missing).map(PathBuf::from).collect();
        let files = PLUGINS.iter().map(|plugin| Path::new(CNI_PLUGINS).join(plugin));
        let files = files.chain(images::ALL.map(ClusterImage::archive));
        missing.extend(files.filter(|path| !path.is_file()));
        if !missing.is_empty() {
            let missing: Vec<_> = missing.iter().map(|path| path.display().to_string()).collect();
            bail!(
                "not there: {}; run `cargo xtask cluster`, which installs and makes them",
                missing.join(", ")
            );
        }
        Ok(Self { programs, images: images::ALL.into() })
    }

    /// None: something is missing. That is said; in CI it is an error.
    pub fn find_or_skip() -> Result<Option<Self>> {
        match Self::find() {
            Err(error) if env::var_os("CI").is_none() => {
                println!("skipped: {error:#}");
                Ok(None)
            }
            found => found.map(Some),
        }
    }
}

/// The path for what runs on a node.
pub fn search_path() -> impl Iterator<Item = PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let own: Vec<_> = env::split_paths(&path).collect();
    own.into_iter().chain(SYSTEM.map(PathBuf::from))
}
