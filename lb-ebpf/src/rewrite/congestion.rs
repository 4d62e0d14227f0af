//! Congestion that was met in a tunnel (RFC 6040 section 4.2).

use crate::{
    cursor::Cursor,
    header::{CONGESTION_EXPERIENCED, ipv4, ipv6},
    parse::Packet,
};

/// Congestion met by the outer header is passed on in the inner one; false if
/// the inner transport does not understand it, and the packet has to be dropped
/// instead.
#[inline(always)]
pub fn mark(cursor: &Cursor, inner: &Packet) -> bool {
    if inner.tos & CONGESTION_EXPERIENCED == 0 {
        return false;
    }
    if inner.is_v4 { v4(cursor, inner) } else { v6(cursor, inner) }.is_some()
}

#[inline(always)]
fn v4(cursor: &Cursor, inner: &Packet) -> Option<()> {
    let header = cursor.window::<{ ipv4::LEN }>(inner.l3)?;
    let old = header.get::<u16, { ipv4::VERSION_AND_LEN }>();
    header.set::<u8, { ipv4::TOS }>(inner.tos | CONGESTION_EXPERIENCED);
    header.replace::<{ ipv4::VERSION_AND_LEN }, { ipv4::CHECK }>(old);
    Some(())
}

/// The traffic class lies across bytes 0 and 1; ECN is bits 4 and 5 of byte 1.
#[inline(always)]
fn v6(cursor: &Cursor, inner: &Packet) -> Option<()> {
    const ECN: usize = ipv6::VERSION_AND_CLASS + 1;
    let header = cursor.window::<{ ECN + 1 }>(inner.l3)?;
    header.set::<u8, ECN>(header.get::<u8, ECN>() | CONGESTION_EXPERIENCED << 4);
    Some(())
}
