//! The inner packet without the tunnel.

use aya_ebpf::{EbpfContext, bindings::xdp_md, helpers::bpf_xdp_adjust_head, programs::XdpContext};
use network_types::eth::EtherType;

use crate::{
    cursor::Cursor,
    parse::{ETH_LEN, Packet},
};

/// Take all that is around the inner packet away from under the Ethernet header.
#[inline(always)]
pub fn decapsulate(ctx: &XdpContext, cursor: &Cursor, inner: &Packet) -> bool {
    // At most an IPv6 header, UDP and GUE: the mask tells the verifier so.
    let len = (inner.l3 - ETH_LEN) & 0x7f;
    let Some(frame) = cursor.window::<ETH_LEN>(0) else { return false };
    let Some(moved) = cursor.window::<ETH_LEN>(len) else { return false };
    moved.set_macs::<0>(frame.macs::<0>());
    moved.set::<u16, 12>(if inner.is_v4 { EtherType::Ipv4 as u16 } else { EtherType::Ipv6 as u16 });
    // SAFETY: a plain helper call; no packet pointer is used after it.
    unsafe { bpf_xdp_adjust_head(ctx.as_ptr().cast::<xdp_md>(), len as i32) == 0 }
}
