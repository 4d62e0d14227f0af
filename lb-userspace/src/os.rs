//! What the standard library and the crates in use do not offer of the operating system.

pub mod moment;
pub mod priority;
pub mod sockopt;
