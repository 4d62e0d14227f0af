//! TCP (RFC 9293). It begins as in [`super::ports`].

/// Length without options.
pub const LEN: usize = 20;

pub const SEQUENCE: usize = 4;
pub const ACKNOWLEDGMENT: usize = 8;
/// Length of the header in words, in the upper half of the byte.
pub const DATA_OFFSET: usize = 12;
pub const FLAGS: usize = 13;
pub const CHECK: usize = 16;

/// Flags.
pub const FIN: u8 = 0x01;
pub const SYN: u8 = 0x02;
pub const RST: u8 = 0x04;
pub const ACK: u8 = 0x10;
