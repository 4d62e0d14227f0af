//! The maps behind a trait, so that all above it can be tested without a
//! kernel, and the shell that carries changes there and reads the proof back.

mod adopt;
mod apply;
pub mod kernel;
#[cfg(test)]
pub mod memory;
mod proof;
mod tables;

pub use adopt::adopt;
pub use apply::apply;
pub use proof::prove;
pub use tables::{TableError, Tables};
