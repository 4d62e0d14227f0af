//! The real maps and programs.
//!
//! Everything that has to outlive the agent is pinned in one directory:
//! `maps-2/NAME` (new ones below `next` or `switch` while they take the place of others),
//! `links/xdp-MODE@INTERFACE` and `links/egress@INTERFACE`, or
//! `links/egress-filter@INTERFACE` on kernels before 6.6.

mod array;
mod attach;
mod copy;
pub mod drops;
mod dry_run;
mod environment;
mod error;
mod flow_table;
mod growth;
mod hash_map;
mod held;
mod interrupted;
mod load;
mod lock;
mod map_specs;
mod pinned;
mod ranges;
mod slab;
mod stats;
mod sweep;
mod syscall;
mod tables;
mod takeover;
mod upgrade;
mod uplinks;

pub use attach::{Attachment, XdpMode, attached_interfaces, interfaces_by_index};
pub use dry_run::{DryRun, DryRunResult};
pub use environment::check_environment;
pub use error::{EnvironmentError, LoadError};
pub use interrupted::load_program;
pub use load::{Datapath, DatapathConfig, ebpf_object, load, unload};
pub use lock::PinLock;
#[cfg(test)]
pub use map_specs::map_specs;
pub use stats::Stats;
pub use tables::KernelTables;
pub use uplinks::Uplinks;
