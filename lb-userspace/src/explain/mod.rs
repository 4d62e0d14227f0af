//! What becomes of a packet, and why: `trigon explain`.
//!
//! ```text
//! FLOW ──flow──> Flow ──frame──> bytes ──datapath::kernel::dry_run──> Told ──story──> report
//! ```
//! Everything here is pure; the program's own code is what decides.

pub mod flow;
pub mod frame;
pub mod story;

pub use flow::{Flow, FlowError, Protocol};
