//! Functions of the operating system that neither the standard library nor the
//! crates in use offer.

pub mod memory;
pub mod moment;
pub mod panics;
pub mod priority;
pub mod random;
pub mod signals;
pub mod sockopt;
