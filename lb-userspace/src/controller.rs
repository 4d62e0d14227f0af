//! `trigon controller`: gives Services the addresses that they ask for, and writes what has become of it into their
//! status. Of its replicas one leads, and writes; the others know all that it knows, and wait.
//!
//! ```text
//! watch (Services, Nodes) ──Update──> engine (addresses: who gets what; queue: when to write) ──Write──> status, Event
//! Lease <──> elect (lease: who leads) ──leads until──^
//! ```
//!
//! What was decided is nowhere but in the objects themselves, so that a leader needs nothing of the one before.

mod addresses;
mod elect;
mod engine;
mod lease;
mod object;
mod queue;
mod refusal;
mod request;
mod run;
#[cfg(test)]
mod testing;
mod write;

pub use run::{ControllerConfig, run};

/// The name of its Lease, of its service account, and of the manager of the fields that it writes.
const NAME: &str = "trigon-controller";
