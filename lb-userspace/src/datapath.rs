//! The maps behind a trait, so that all above it can be tested without a
//! kernel; writing changes to them, and reading back what was written.

mod adopt;
mod apply;
pub mod kernel;
#[cfg(test)]
pub mod memory;
mod proof;
mod tables;

pub use adopt::{adopt_maps, delete_orphans};
pub use apply::{Applied, apply, restore, write_all};
pub use proof::read_back;
pub use tables::{TableError, Tables};
