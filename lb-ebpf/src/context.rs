//! From the kernel's contexts to cursors.

use aya_ebpf::{
    EbpfContext,
    bindings::xdp_md,
    helpers::{bpf_xdp_adjust_head, bpf_xdp_adjust_tail},
    programs::{TcContext, XdpContext},
};

use crate::cursor::Cursor;

impl Cursor {
    /// The packet of an XDP program.
    #[inline(always)]
    pub fn of_xdp(ctx: &XdpContext) -> Self {
        // SAFETY: the context's own.
        unsafe { Self::between(ctx.data(), ctx.data_end()) }
    }

    /// The linear part of the packet of a tc program.
    #[inline(always)]
    pub fn of_tc(ctx: &TcContext) -> Self {
        // SAFETY: the context's own.
        unsafe { Self::between(ctx.data(), ctx.data_end()) }
    }
}

/// Move the start of the packet by so many bytes: forward, or backward if there
/// is room.
#[inline(always)]
pub fn adjust_head(ctx: &XdpContext, by: i32) -> Option<Cursor> {
    // SAFETY: the kernel's own context. It makes all cursors and windows there
    // were invalid: a program that uses one after it is refused by the verifier.
    let moved = unsafe { bpf_xdp_adjust_head(ctx.as_ptr().cast::<xdp_md>(), by) } == 0;
    moved.then(|| Cursor::of_xdp(ctx))
}

/// Move the end of the packet by so many bytes, backward if negative.
#[inline(always)]
pub fn adjust_tail(ctx: &XdpContext, by: i32) -> Option<Cursor> {
    // SAFETY: as in `adjust_head`.
    let moved = unsafe { bpf_xdp_adjust_tail(ctx.as_ptr().cast::<xdp_md>(), by) } == 0;
    moved.then(|| Cursor::of_xdp(ctx))
}
