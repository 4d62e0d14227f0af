//! How the headers of TCP and UDP begin.

pub const SRC: usize = 0;
pub const DST: usize = 2;

/// A UDP or ICMP header, and as much of a TCP header as a director needs.
pub const LEN: usize = 8;
