//! The agent: it brings what the source says into the kernel, announces VIPs, and
//! answers questions about its state.
//!
//! ```text
//! inputs ──Input──> engine ──Effects──> inputs, speakers
//!                      └──Snapshot──> api, leave, reporting
//! ```

mod aggregate;
mod api;
#[doc(hidden)]
pub mod bench;
mod config;
mod dispatcher;
mod engine;
pub mod explain;
mod fit;
mod inputs;
mod leave;
mod liveness;
mod problem_log;
mod reach;
mod reconcile;
pub mod report;
mod reporting;
mod run;
mod snapshot;
pub mod speakers;
#[cfg(test)]
mod testing;

pub use config::{AgentConfig, AnnounceConfig, HealthConfig};
#[doc(hidden)]
pub use reporting::crowd;
pub use run::run;
