//! `trigon controller`: gives Services the addresses that they ask for, finds out from agents' reports which machines
//! have programmed them, and writes both into their status. Of its replicas one leads, and writes; the others know all
//! that it knows, and wait.
//!
//! ```text
//! watch (Services, Nodes, AgentReports) ──Update──> engine (addresses: who gets what; programmed: who has what;
//!     queue: when to write) ──Write──> status, Event
//! Lease <──> elect (lease: who leads) ──leads until──^
//! ```
//!
//! What was decided is nowhere but in the objects themselves, so that a leader needs nothing of the one before.

mod addresses;
mod elect;
mod engine;
mod lease;
mod object;
mod programmed;
mod queue;
mod refusal;
mod request;
mod run;
mod schedule;
mod target;
#[cfg(test)]
mod testing;
mod write;

pub use run::{ControllerConfig, run};

/// The name of its Lease, of its service account, and of the manager of the fields that it writes.
const NAME: &str = "trigon-controller";
