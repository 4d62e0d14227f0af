//! Generic UDP Encapsulation (draft-ietf-intarea-gue-09), variant 0.
//!
//! A director sends the base header alone. A node that hands a packet on to
//! another adds private data (section 3.4), so that it cannot loop.

use crate::Addr;

/// UDP port (IANA).
pub const PORT: u16 = 6080;
/// The base header, in bytes.
pub const BASE_LEN: usize = 4;
/// With the private data of a packet that is handed on.
pub const HANDED_LEN: usize = BASE_LEN + 16;
/// UDP and the base header, in bytes.
pub const PLAIN_OVERHEAD: u16 = 8 + BASE_LEN as u16;
/// Header length field of the base header alone, and with our private data:
/// words of 32 bits beyond the first.
pub const BASE_WORDS: u8 = 0;
pub const HANDED_WORDS: u8 = 4;

/// Where the fields lie, in bytes from the start of the base header: length of
/// the header, after the variant; protocol of what is inside; flags.
pub const WORDS: usize = 0;
pub const PROTOCOL: usize = 1;
pub const FLAGS: usize = 2;
/// Our private data: [`MAGIC`], the count of nodes, and their tags of two bytes
/// each.
pub const WHOSE: usize = 4;
pub const HOPS: usize = 5;
pub const FIRST_TAG: usize = 6;

/// The first byte of our private data: what follows is ours. The second one
/// counts the nodes that the packet has been to, whose tags follow.
pub const MAGIC: u8 = b'T';

// Instead of the count, one byte in the header:

/// The search is over: the packet is delivered where it arrives.
pub const OVER: u32 = 0xff;

/// The sender has learned that the receiver has the flow.
pub const DIRECT: u32 = 0xfe;

/// Sent back to the node where the search began, by the node that has the flow.
/// Later packets of the flow can come [`DIRECT`].
pub const FOUND: u32 = 0xfd;

/// How many nodes a packet can have been to.
pub const TAGS: usize = 7;

/// Stands for a node among those that a packet has been to. Never 0.
#[inline(always)]
pub const fn tag(addr: &Addr) -> u16 {
    let w = addr.words();
    let sum = w[0] as u64 + w[1] as u64 + w[2] as u64 + w[3] as u64;
    (sum.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 48) as u16 | 1
}
