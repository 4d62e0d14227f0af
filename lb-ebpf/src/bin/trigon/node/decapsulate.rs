//! The inner packet without the tunnel.

use aya_ebpf::programs::XdpContext;
use lb_ebpf::{context::adjust_head, cursor::Cursor, parse::Packet, rewrite::macs};

/// Take all that is around the inner packet away from under the Ethernet header.
#[inline(always)]
pub fn decapsulate(ctx: &XdpContext, cursor: &Cursor, inner: &Packet) -> Option<Cursor> {
    let by = macs::move_to(cursor, inner)?;
    adjust_head(ctx, by as i32)
}
