//! Which nodes and bare servers are alive. One that loses some probes in a row leaves
//! a director's rings, and comes back after some answers in a row. What objects say
//! does not count here.
//!
//! ```text
//! plan ──> targets ──> follow ──> prober (when is who alive?) ──> Healths ──> plan
//!            │           └──> sockets ──> wire (what a probe looks like)
//!            └───────> check ──> prober
//!                        └──> ask ──> http, echo (what a check looks like)
//! ```

mod check;
mod follow;
mod prober;
mod record;
mod sockets;
mod targets;
mod wire;

pub use check::follow as follow_checks;
pub use follow::follow as follow_probes;
pub use record::{Health, Healths, Limits, Probing};
pub use targets::{CheckQuestion, PathsToBackends, Targets, TargetsBasis, choose_targets};

#[cfg(test)]
mod tests;
