//! Replies to clients inside (`node::inside`): the endpoint has sent them to the VIP. They become
//! the VIP's to the client, and come in again by the interface that they were about to leave by.

use aya_ebpf::{
    bindings::{BPF_F_INGRESS, BPF_F_PSEUDO_HDR},
    helpers::bpf_redirect,
    programs::TcContext,
};
use lb_common::{Addr, Verdict};
use lb_ebpf::{
    cursor::Cursor,
    header::{eth, ipv4, ipv6},
    parse::Packet,
    rewrite::macs,
};

/// Finishes a reply, whose source is the VIP already, to the client, and as if from the next hop.
///
/// Not inlined: other replies have no use for its stack.
#[inline(never)]
pub fn round(ctx: &TcContext, packet: &Packet, client: &Addr) -> Verdict {
    match rewrite(ctx, packet, client).and_then(|()| frame(ctx)) {
        Ok(()) => Verdict::EgressReturn,
        Err(_) => Verdict::EgressDropRewrite,
    }
}

/// What the verdict stands for; what the program is to return.
///
/// Without the packet's mark, its connection and whatever else the kernel keeps beside it: to the
/// kernel it is one that has just come.
#[inline(always)]
pub fn back(ctx: &TcContext) -> i32 {
    // SAFETY: the context that the kernel gave, a word of it.
    let ifindex = unsafe { (*ctx.skb.skb).ifindex };
    // SAFETY: the helper takes numbers alone, and only notes the target.
    unsafe { bpf_redirect(ifindex, BPF_F_INGRESS as u64) as i32 }
}

#[inline(always)]
fn rewrite(ctx: &TcContext, packet: &Packet, client: &Addr) -> Result<(), i64> {
    let cursor = Cursor::of_tc(ctx);
    let check = super::check(&cursor, packet);
    let difference = super::difference(&packet.dst.addr, client);
    if let Some((at, flags)) = check {
        ctx.l4_csum_replace(at, 0, difference, flags | BPF_F_PSEUDO_HDR as u64)?;
    }
    if packet.is_v4 {
        ctx.l3_csum_replace(packet.l3 + ipv4::CHECK, 0, difference, 0)?;
        ctx.store(packet.l3 + ipv4::DST, &client.words()[3], 0)
    } else {
        ctx.store(packet.l3 + ipv6::DST, client, 0)
    }
}

/// Makes the frame one from the next hop. Else it would be somebody else's to the kernel: its destination is the
/// next hop. That is right for a VLAN device with a MAC address of its own as well.
#[inline(always)]
pub fn frame(ctx: &TcContext) -> Result<(), i64> {
    let macs = Cursor::of_tc(ctx).window::<{ eth::LEN }>(0).ok_or(0)?.macs::<{ eth::DST }>();
    ctx.store(eth::DST, &macs::swapped(macs), 0)
}
