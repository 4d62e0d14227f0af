//! The inner packet without the tunnel.

use aya_ebpf::{EbpfContext, bindings::xdp_md, helpers::bpf_xdp_adjust_head, programs::XdpContext};

use crate::{cursor::Cursor, parse::Packet, rewrite::macs};

/// Take all that is around the inner packet away from under the Ethernet header.
#[inline(always)]
pub fn decapsulate(ctx: &XdpContext, cursor: &Cursor, inner: &Packet) -> bool {
    let Some(by) = macs::move_to(cursor, inner) else { return false };
    // SAFETY: a plain helper call; no packet pointer is used after it.
    unsafe { bpf_xdp_adjust_head(ctx.as_ptr().cast::<xdp_md>(), by as i32) == 0 }
}
