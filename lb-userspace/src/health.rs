//! Who is alive. What looks dead leaves a director's rings at once, and comes
//! back once it has answered for a while; objects say nothing of it.
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
pub use targets::{Question, Targets, Ways, targets};

#[cfg(test)]
mod tests;
