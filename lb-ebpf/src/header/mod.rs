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

/// Two words of 16 bits, as they stand in memory.
#[inline(always)]
pub const fn pair(first: u16, second: u16) -> u32 {
    let (low, high) = if cfg!(target_endian = "little") { (first, second) } else { (second, first) };
    (high as u32) << 16 | low as u32
}

/// The TTL or hop limit of what begins here.
pub const TTL: u8 = 64;

/// Congestion experienced, in the lowest two bits of an IPv4 type of service and
/// of an IPv6 traffic class (RFC 3168).
pub const CONGESTION_EXPERIENCED: u8 = 3;
