//! BGP over TCP: a task for each peer, and listeners that all peers share.
//!
//! ```text
//! BgpOrders ──> supervisor ──> task ── peering (what to do) ── link (a connection)
//!                 │             └── discovery (which router is on that interface?)
//!                 └── listeners (incoming connections)
//! ```

mod addresses;
mod config;
mod discovery;
mod link;
mod listeners;
mod revival;
mod socket;
mod supervisor;
mod task;

pub use config::{BfdStates, SpeakerConfig};
pub use supervisor::run;

#[cfg(test)]
mod tests;
