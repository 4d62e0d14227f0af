//! One hop less to live.

use crate::{
    cursor::Cursor,
    header::{eth, ipv4, ipv6},
};

/// Take one hop from the packet behind an Ethernet header; false if none is
/// left.
#[inline(always)]
pub fn take(cursor: &Cursor, is_v4: bool) -> bool {
    if is_v4 { v4(cursor) } else { v6(cursor) }
}

#[inline(always)]
fn v4(cursor: &Cursor) -> bool {
    let Some(header) = cursor.window::<{ ipv4::LEN }>(eth::LEN) else { return false };
    // TTL and protocol share a 16-bit word of the checksum.
    let old = header.get::<u16, { ipv4::TTL }>();
    let ttl = header.get::<u8, { ipv4::TTL }>();
    if ttl <= 1 {
        return false;
    }
    header.set::<u8, { ipv4::TTL }>(ttl - 1);
    header.replace::<{ ipv4::TTL }, { ipv4::CHECK }>(old);
    true
}

#[inline(always)]
fn v6(cursor: &Cursor) -> bool {
    let Some(header) = cursor.window::<{ ipv6::LEN }>(eth::LEN) else { return false };
    let limit = header.get::<u8, { ipv6::HOP_LIMIT }>();
    if limit <= 1 {
        return false;
    }
    header.set::<u8, { ipv6::HOP_LIMIT }>(limit - 1);
    true
}
