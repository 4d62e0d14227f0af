//! ICMP (RFC 792) and ICMPv6 (RFC 4443).

/// Length of the header, of both families.
pub const LEN: usize = 8;

pub const TYPE: usize = 0;
pub const CHECK: usize = 2;
/// What follows depends on the type; of errors it is zero, but for an MTU.
pub const REST: usize = 4;
/// Of "fragmentation needed" (RFC 1191): two bytes.
pub const V4_MTU: usize = 6;
/// Of "packet too big": four bytes.
pub const V6_MTU: usize = 4;

/// Types.
pub const V4_ECHO_REPLY: u8 = 0;
pub const V4_UNREACHABLE: u8 = 3;
pub const V4_ECHO: u8 = 8;
pub const V4_TIME_EXCEEDED: u8 = 11;
pub const V4_PARAMETER_PROBLEM: u8 = 12;

pub const V6_UNREACHABLE: u8 = 1;
pub const V6_TOO_BIG: u8 = 2;
pub const V6_PARAMETER_PROBLEM: u8 = 4;
pub const V6_ECHO: u8 = 128;
pub const V6_ECHO_REPLY: u8 = 129;
pub const V6_ROUTER_SOLICITATION: u8 = 133;
pub const V6_REDIRECT: u8 = 137;

/// Code of [`V4_UNREACHABLE`]: fragmentation needed and DF set.
pub const V4_FRAGMENTATION_NEEDED: u8 = 4;
