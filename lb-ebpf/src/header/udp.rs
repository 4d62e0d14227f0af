//! UDP (RFC 768). It begins as in [`super::ports`].

pub const LEN: usize = 8;

/// Of header and data.
pub const TOTAL_LEN: usize = 4;
/// Zero says that there is none.
pub const CHECK: usize = 6;
