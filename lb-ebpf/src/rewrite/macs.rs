//! Ethernet headers.

use lb_common::maps::Backend;

use crate::{
    cursor::{Cursor, Window},
    header::eth,
    parse::Packet,
};

/// The addresses of the next hop towards a backend, at the start of the frame.
#[inline(always)]
pub fn set<const N: usize>(frame: &Window<N>, backend: &Backend) {
    // SAFETY: `macs` is the first field of an 8-aligned struct: three words.
    frame.set_macs::<{ eth::DST }>(unsafe { *(&raw const backend.macs).cast::<[u32; 3]>() });
}

/// Back to where it came from: an Ethernet header at the start of the frame,
/// made from the one at `old`.
#[inline(always)]
pub fn swap(cursor: &Cursor, old: usize) -> Option<()> {
    const DST_REST: usize = eth::DST + 4;
    const SRC_REST: usize = eth::SRC + 4;
    let old = cursor.window::<{ eth::LEN }>(old)?;
    let (dst, dst_rest) = (old.get::<u32, { eth::DST }>(), old.get::<u16, DST_REST>());
    let (src, src_rest) = (old.get::<u32, { eth::SRC }>(), old.get::<u16, SRC_REST>());
    let ethertype = old.get::<u16, { eth::TYPE }>();
    let new = cursor.window::<{ eth::LEN }>(0)?;
    new.set::<u32, { eth::DST }>(src);
    new.set::<u16, DST_REST>(src_rest);
    new.set::<u32, { eth::SRC }>(dst);
    new.set::<u16, SRC_REST>(dst_rest);
    new.set::<u16, { eth::TYPE }>(ethertype);
    Some(())
}

/// Bring the Ethernet header of a tunnel packet to where the inner packet needs
/// it; by how many bytes the frame begins too early then.
#[inline(always)]
pub fn move_to(cursor: &Cursor, inner: &Packet) -> Option<usize> {
    // At most an IPv6 header, UDP and GUE: the mask tells the verifier so.
    let by = (inner.l3 - eth::LEN) & 0x7f;
    let frame = cursor.window::<{ eth::LEN }>(0)?;
    let moved = cursor.window::<{ eth::LEN }>(by)?;
    moved.set_macs::<{ eth::DST }>(frame.macs::<{ eth::DST }>());
    moved.set::<u16, { eth::TYPE }>(eth::of_family(inner.is_v4));
    Some(by)
}
