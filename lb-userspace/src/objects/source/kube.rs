//! The `kube` source: the objects of a Kubernetes API server.
//!
//! ```text
//! client ──responses──> watch (one of each kind) ──events──> gather ──> Update
//!    └──────────────────answers─────────────────────────────^
//! ```

mod answer;
mod client;
mod follow;
mod gather;
#[cfg(test)]
mod tests;
mod watch;

pub use client::ApiServer;
pub use follow::{follow_api, follow_kinds};
pub use watch::{Event, watch_all, watch_namespace};
