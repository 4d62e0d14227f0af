//! From the desired state to what the maps of this machine should hold, and to
//! the changes that lead there. Pure: no kernel, no clock, no IO.
//!
//! ```text
//! Cluster, next hops, the dead, time ──planner──> Plan (no ids, no offsets)
//! Plan, Mirror (what the maps hold)  ──diff────> Ops
//! ```

mod aging;
mod alloc;
mod backend;
pub mod diff;
mod heirs;
pub mod history;
pub mod maglev;
mod members;
pub mod mirror;
mod mss;
pub mod names;
pub mod needs;
pub mod op;
mod pace;
mod planned;
mod planner;
mod policy;
pub mod quarantine;
mod ring;
mod rings;
pub mod shortage;
mod subject;
pub mod uses;

pub use backend::{TunnelOrigin, backend_entry, follow_next_hop};
pub use members::max_overhead;
pub use planned::{BackendKey, Identity, Plan, PlannedService, service_key};
pub use planner::{Planner, has_same_targets, next_hop_targets};
pub use policy::{PlannedPolicy, SourceRange};
pub use ring::Ring;
pub use subject::{Dead, Subject};
