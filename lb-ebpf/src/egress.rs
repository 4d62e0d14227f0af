//! Replies on their way out: the Pod's address becomes the VIP's again.
//!
//! Unlike XDP, this sees packets whose checksum is still to be completed by
//! the device and segments that are still to be cut, so the checksums go
//! through the kernel's helpers, which know.

use aya_ebpf::{
    bindings::{BPF_F_MARK_MANGLED_0, BPF_F_PSEUDO_HDR},
    helpers::bpf_csum_diff,
    programs::TcContext,
};
use lb_common::{
    Verdict,
    maps::{Endpoint, Reply, ReplyKey},
};

use crate::{
    cursor::Cursor,
    maps::NODE_REPLIES,
    parse::{self, ETH_LEN, Packet, Parsed, Room, l4},
};

/// Ethernet, IPv6 and TCP: what has to lie in the linear part.
const HEADERS: u32 = 14 + 40 + 20;

#[inline(always)]
pub fn packet(ctx: &TcContext) -> Verdict {
    // Fails for shorter packets, which then have all they have in place.
    let _ = ctx.pull_data(HEADERS);
    let cursor = Cursor::new(ctx.data(), ctx.data_end());
    let mut room = Room::uninit();
    let Some(eth) = cursor.window::<ETH_LEN>(0) else { return Verdict::EgressPass };
    let Parsed::Flow(packet) = parse::headers(&cursor, eth.get::<u16, 12>(), ETH_LEN, &mut room) else {
        return Verdict::EgressPass;
    };
    // A reply, so the "client" of the parser is the endpoint here.
    let endpoint = Endpoint { addr: packet.client, port: packet.client_port, pad: 0 };
    let key = ReplyKey::new(endpoint, packet.to.addr, packet.to.port, packet.to.protocol);
    // SAFETY: entries are replaced, never changed in place.
    let Some(reply) = (unsafe { NODE_REPLIES.get(&key) }) else { return Verdict::EgressPass };
    match source(ctx, &cursor, packet, reply) {
        Ok(()) => Verdict::EgressReply,
        Err(_) => Verdict::EgressDropRewrite,
    }
}

/// Rewrite source address and port.
#[inline(always)]
fn source(ctx: &TcContext, cursor: &Cursor, packet: &Packet, reply: &Reply) -> Result<(), i64> {
    const UDP_CHECK: usize = 6;
    const TCP_CHECK: usize = 16;
    let l4 = packet.l3 + packet.l3_len;
    // Only a UDP checksum of zero, "none", has to stay what it is.
    let check = if packet.to.protocol == l4::TCP {
        Some((l4 + TCP_CHECK, 0u64))
    } else {
        let none = cursor.window::<8>(l4).is_none_or(|udp| udp.get::<u16, UDP_CHECK>() == 0);
        (!none).then_some((l4 + UDP_CHECK, BPF_F_MARK_MANGLED_0 as u64))
    };
    let (mut old, mut new) = (packet.client.words(), reply.vip.words());
    // The upper words of mapped addresses are alike: they add nothing.
    // SAFETY: both are arrays of 16 bytes on this program's stack.
    let difference = unsafe { bpf_csum_diff(old.as_mut_ptr(), 16, new.as_mut_ptr(), 16, 0) } as u64;
    if let Some((at, flags)) = check {
        ctx.l4_csum_replace(at, 0, difference, flags | BPF_F_PSEUDO_HDR as u64)?;
        ctx.l4_csum_replace(at, packet.client_port as u64, reply.port as u64, flags | 2)?;
    }
    if packet.is_v4 {
        ctx.l3_csum_replace(packet.l3 + 10, 0, difference, 0)?;
        ctx.store(packet.l3 + 12, &new[3], 0)?;
    } else {
        ctx.store(packet.l3 + 8, &new, 0)?;
    }
    ctx.store(l4, &reply.port, 0)
}
