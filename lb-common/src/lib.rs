//! What Trigon's kernel side (`lb-ebpf`) and user side share: the layout of
//! every map's key and value, the flow hash, the arithmetic of checksums and
//! the names of all verdicts.
//!
//! Everything here is `no_std` and `repr(C)` without hidden padding, so that
//! the bytes which user space writes are the bytes which the programs read.
//! Ports and addresses are in network byte order unless a field says other.
#![cfg_attr(not(test), no_std)]

pub mod addr;
pub mod check;
pub mod checksum;
pub mod gue;
pub mod hash;
pub mod maps;
pub mod mtu;
pub mod ring;
pub mod roles;
pub mod verdict;

pub use addr::Addr;
pub use verdict::Verdict;
