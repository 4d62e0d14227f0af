//! The real maps and programs.
//!
//! Everything that has to outlive the agent is pinned in one directory:
//! `maps/NAME`, `links/xdp-MODE@INTERFACE` and `links/egress@INTERFACE`, or
//! `links/egress-filter@INTERFACE` on kernels before 6.6.

mod attach;
pub mod drops;
mod dry_run;
mod environment;
mod load;
mod lock;
mod ranges;
mod slab;
mod stats;
mod sweep;
mod tables;

pub use attach::{Attachment, XdpMode, indices};
pub use dry_run::{DryRun, Told};
pub use environment::{EnvironmentError, check};
pub use load::{LoadError, Loaded, Options, load, unload};
pub use stats::Stats;
pub use tables::KernelTables;

use std::path::{Path, PathBuf};

fn map_pin(pin_dir: &Path, name: &str) -> PathBuf {
    pin_dir.join("maps").join(name)
}

fn links_dir(pin_dir: &Path) -> PathBuf {
    pin_dir.join("links")
}
