//! Errors of loading.

use std::{io, path::PathBuf};

use aya::{maps::MapError, programs::ProgramError};
use lb_common::maps::names::MAPS_DIR;
use thiserror::Error;

use super::{attach::AttachError, map_specs::Shape};
use crate::datapath::TableError;

/// The BPF file system, unless somebody has mounted another one.
pub const BPFFS: &str = "/sys/fs/bpf";

#[derive(Debug, Error)]
pub enum EnvironmentError {
    #[error(
        "kernel: release {0}.{1} is too old: XDP links need 5.10 or later; boot a newer kernel \
         (Debian 12's 6.1 will do)"
    )]
    OldKernel(u8, u8),
    #[error("kernel: its release cannot be read: {0}")]
    UnknownKernel(String),
    #[error(
        "process: not permitted to use BPF: run as root, or give {0}; in a container, its seccomp profile has to \
         allow bpf(2)"
    )]
    Privilege(String),
    #[error(
        "process: not permitted to lock as much memory as maps take, which count as such before Linux 5.11: give \
         CAP_SYS_RESOURCE, or no limit (`ulimit -l unlimited`): {0}"
    )]
    LockedMemory(String),
    #[error(
        "--pin-dir {path}: not on a BPF file system; use a directory below {BPFFS}, and if nothing is mounted there, \
         `mount -t bpf bpf {BPFFS}`"
    )]
    NotBpffs { path: PathBuf },
    #[error("--pin-dir {path}: an agent is at work there; stop it first, or use another directory")]
    InUse { path: PathBuf },
    #[error("--pin-dir {path}: {source}")]
    PinDir { path: PathBuf, source: io::Error },
    #[error(
        "{path}: maps of another layout are pinned there, and those of this release are called {MAPS_DIR}; \
         `trigon unload` and a start begin anew, the release that made them goes on with them"
    )]
    OtherLayout { path: PathBuf },
}

#[derive(Debug, Error)]
pub enum LoadError {
    #[error(
        "this program was built without the eBPF object: run `cargo xtask build-ebpf`, then build it again"
    )]
    NoObject,
    #[error(transparent)]
    Environment(#[from] EnvironmentError),
    #[error(transparent)]
    Attach(#[from] AttachError),
    #[error("eBPF object: {0}")]
    Object(#[from] aya::EbpfError),
    #[error("eBPF program {0}: {1}")]
    Program(&'static str, #[source] ProgramError),
    #[error("eBPF object: no program {0}; rebuild with `cargo xtask build-ebpf`")]
    Missing(&'static str),
    #[error("pinned map {path}: {source}; `trigon unload` removes what an incompatible release left")]
    Pinned { path: PathBuf, source: MapError },
    #[error(
        "pinned map {path}: it is a {found}, and this release needs a {wanted}; \
         `trigon unload` and a start begin anew, the release that made it goes on with it"
    )]
    OtherShape { path: PathBuf, found: Shape, wanted: Shape },
    #[error(
        "maps cannot be made anew: {0}; the maps before go on: free memory, or start with the sizes that they have"
    )]
    Growth(#[source] Box<Self>),
    #[error("{from}: cannot be copied to {to}: {source}")]
    Copy { from: PathBuf, to: PathBuf, source: io::Error },
    #[error("a change of pinned maps before the start: {0}")]
    Table(#[from] TableError),
    #[error("pinned map {path}: cannot be mapped into memory: {source}")]
    Slab { path: PathBuf, source: io::Error },
}

impl LoadError {
    /// Is it the command line that cannot work here, rather than a failure?
    pub fn is_unusable(&self) -> bool {
        matches!(
            self,
            Self::Attach(AttachError::NoInterface(_) | AttachError::NoNativeXdp { .. })
                | Self::Environment(EnvironmentError::NotBpffs { .. })
        )
    }
}
