//! BGP over TCP: a task for each peer, and listeners that all of them share.
//!
//! ```text
//! Wanted ──> supervisor ──> task ── peering (what to do) ── link (a connection)
//!               │             └── discovery (who is on that interface?)
//!               └── listeners (who calls?)
//! ```

mod addresses;
mod config;
mod discovery;
mod link;
mod listeners;
mod socket;
mod supervisor;
mod task;

pub use config::{BfdStates, SpeakerConfig};
pub use supervisor::run;

#[cfg(test)]
mod tests;
