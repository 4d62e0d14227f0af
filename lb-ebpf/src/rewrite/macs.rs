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
    renew(cursor, old, swapped)
}

/// The Ethernet header at `old`, at the start of the frame.
#[inline(always)]
pub fn keep(cursor: &Cursor, old: usize) -> Option<()> {
    renew(cursor, old, |macs| macs)
}

#[inline(always)]
fn renew(cursor: &Cursor, old: usize, become_of: impl Fn([u32; 3]) -> [u32; 3]) -> Option<()> {
    let old = cursor.window::<{ eth::LEN }>(old)?;
    let (macs, ethertype) = (old.macs::<{ eth::DST }>(), old.get::<u16, { eth::TYPE }>());
    let new = cursor.window::<{ eth::LEN }>(0)?;
    new.set_macs::<{ eth::DST }>(become_of(macs));
    new.set::<u16, { eth::TYPE }>(ethertype);
    Some(())
}

/// Destination and source, as they stand in a header, the other way round.
#[inline(always)]
pub const fn swapped([a, b, c]: [u32; 3]) -> [u32; 3] {
    [middle(b, c), middle(c, a), middle(a, b)]
}

/// The last two bytes of one word in memory, and the first two of the other.
#[inline(always)]
const fn middle(first: u32, second: u32) -> u32 {
    if cfg!(target_endian = "little") { first >> 16 | second << 16 } else { first << 16 | second >> 16 }
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
