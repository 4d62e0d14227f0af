//! IPv6 (RFC 8200), and its extension headers.

/// Length without extension headers.
pub const LEN: usize = 40;

/// Version, traffic class and flow label: a word.
pub const VERSION_AND_CLASS: usize = 0;
pub const PAYLOAD_LEN: usize = 4;
pub const NEXT_HEADER: usize = 6;
pub const HOP_LIMIT: usize = 7;
pub const SRC: usize = 8;
pub const DST: usize = 24;

/// The first word of a header, in network byte order.
#[inline(always)]
pub const fn first_word(class: u8, label: u32) -> u32 {
    (0x6000_0000 | (class as u32) << 20 | label).to_be()
}

/// Extension headers: how all of them begin.
pub mod extension {
    /// The shortest.
    pub const LEN: usize = 8;
    pub const NEXT_HEADER: usize = 0;
    /// Words of eight bytes beyond the first.
    pub const WORDS: usize = 1;
}

/// The routing header (section 4.4).
pub mod routing {
    pub const SEGMENTS_LEFT: usize = 3;
}

/// The fragment header (section 4.5).
pub mod fragment {
    pub const LEN: usize = 8;
    pub const NEXT_HEADER: usize = 0;
    pub const PLACE: usize = 2;
    pub const ID: usize = 4;

    /// Of [`PLACE`], in host byte order: there are more fragments, and the
    /// offset of this one.
    pub const MORE: u16 = 1;
    pub const OFFSET: u16 = 0xfff8;
}
