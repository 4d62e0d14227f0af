//! What is done to the bytes of packets: read headers, and change them.
//!
//! No maps, and of the kernel's helpers only those that `context` and the sum of
//! a window need. So all else can be built and tested on the host too; and the
//! maps of the programs are in the objects of the programs that use them, the
//! binaries `trigon` and `bench`.
#![cfg_attr(not(test), no_std)]

pub mod constant;
#[cfg(target_arch = "bpf")]
pub mod context;
pub mod cursor;
pub mod header;
pub mod parse;
pub mod rewrite;
#[cfg(test)]
mod testing;
