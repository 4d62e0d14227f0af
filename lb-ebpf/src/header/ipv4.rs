//! IPv4 (RFC 791).

/// Length without options.
pub const LEN: usize = 20;

pub const VERSION_AND_LEN: usize = 0;
/// Type of service: DSCP and ECN.
pub const TOS: usize = 1;
pub const TOTAL_LEN: usize = 2;
pub const ID: usize = 4;
/// Flags and fragment offset.
pub const FRAGMENT: usize = 6;
pub const TTL: usize = 8;
pub const PROTOCOL: usize = 9;
pub const CHECK: usize = 10;
pub const SRC: usize = 12;
pub const DST: usize = 16;

/// Version and length of a header without options.
pub const PLAIN: u8 = 0x45;

/// Of [`FRAGMENT`], in host byte order: there are more fragments, and the
/// offset of this one in units of eight bytes.
pub const MORE: u16 = 0x2000;
pub const OFFSET: u16 = 0x1fff;

/// The version that a header's first byte names.
#[inline(always)]
pub const fn version(first: u8) -> u8 {
    first >> 4
}

/// The length, options included, that a header's first byte names.
#[inline(always)]
pub const fn header_len(first: u8) -> usize {
    ((first & 15) * 4) as usize
}
