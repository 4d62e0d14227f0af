//! Where the fields of headers lie, in bytes from their start, and what they
//! may say.

pub mod eth;
pub mod icmp;
pub mod ipv4;
pub mod ipv6;
pub mod ports;
pub mod protocol;
pub mod tcp;
pub mod udp;

/// The TTL or hop limit of what begins here.
pub const TTL: u8 = 64;

/// Congestion experienced, in the lowest two bits of an IPv4 type of service and
/// of an IPv6 traffic class (RFC 3168).
pub const CONGESTION_EXPERIENCED: u8 = 3;
