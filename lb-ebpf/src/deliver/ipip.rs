//! Delivery in an outer IP header: IPv4 in IPv4 (RFC 2003), IPv6 in IPv4
//! (RFC 4213), anything in IPv6 (RFC 2473).
//!
//! The outer header copies DSCP and ECN from the inner one (RFC 6040 section
//! 4.1, normal mode), forbids fragmentation, and starts with a TTL of its own.

use aya_ebpf::{EbpfContext, bindings::xdp_md, helpers::bpf_xdp_adjust_head, programs::XdpContext};
use lb_common::{
    Verdict, checksum,
    maps::{Backend, OUTER_DONT_FRAGMENT},
};
use network_types::{eth::EtherType, ip::IpProto};

use super::{leave, set_macs};
use crate::{
    cursor::Cursor,
    parse::{ETH_LEN, Packet, ip},
};

const TTL: u8 = 64;

/// In an outer IPv4 header.
#[inline(always)]
pub fn v4(ctx: &XdpContext, packet: &Packet, backend: &Backend) -> Verdict {
    const LEN: usize = ip::V4_LEN;
    let cursor = match grow::<LEN>(ctx, packet, backend) {
        Ok(cursor) => cursor,
        Err(verdict) => return verdict,
    };
    let Some(frame) = cursor.window::<{ ETH_LEN + LEN }>(0) else { return Verdict::DropNoRoom };
    set_macs(&frame, backend);
    frame.set::<u16, 12>(EtherType::Ipv4 as u16);

    let protocol = inner_protocol(packet);
    let len = (packet.len + LEN as u16).to_be();
    // All other words of the header are constant; their sum came with the backend.
    let first = u16::from_ne_bytes([0x45, packet.tos]);
    let fourth = u16::from_ne_bytes([TTL, protocol]);
    let sum = backend.outer_sum as u64 + first as u64 + len as u64 + fourth as u64;
    frame.set::<u16, 14>(first);
    frame.set::<u16, 16>(len);
    frame.set::<u16, 18>(0);
    frame.set::<u16, 20>(OUTER_DONT_FRAGMENT);
    frame.set::<u16, 22>(fourth);
    frame.set::<u16, 24>(!checksum::fold(sum));
    frame.set::<u32, 26>(backend.outer_src.words()[3]);
    frame.set::<u32, 30>(backend.outer_dst.words()[3]);
    leave(ctx, backend, Verdict::ForwardIpip, Verdict::RedirectIpip)
}

/// In an outer IPv6 header; its flow label is from the flow hash (RFC 6438).
#[inline(always)]
pub fn v6(ctx: &XdpContext, packet: &Packet, backend: &Backend, hash: u64) -> Verdict {
    const LEN: usize = ip::V6_LEN;
    let cursor = match grow::<LEN>(ctx, packet, backend) {
        Ok(cursor) => cursor,
        Err(verdict) => return verdict,
    };
    let Some(frame) = cursor.window::<{ ETH_LEN + LEN }>(0) else { return Verdict::DropNoRoom };
    set_macs(&frame, backend);
    frame.set::<u16, 12>(EtherType::Ipv6 as u16);

    let label = hash as u32 & 0xf_ffff;
    frame.set::<u32, 14>((0x6000_0000 | (packet.tos as u32) << 20 | label).to_be());
    frame.set::<u16, 18>(packet.len.to_be());
    frame.set::<u16, 20>(u16::from_ne_bytes([inner_protocol(packet), TTL]));
    frame.set_words::<22>(backend.outer_src.words());
    frame.set_words::<38>(backend.outer_dst.words());
    leave(ctx, backend, Verdict::ForwardIpip, Verdict::RedirectIpip)
}

/// Make room for `LEN` bytes in front, if the packet still fits the path.
#[inline(always)]
fn grow<const LEN: usize>(ctx: &XdpContext, packet: &Packet, backend: &Backend) -> Result<Cursor, Verdict> {
    if packet.len as u32 + LEN as u32 > backend.mtu as u32 {
        return Err(Verdict::DropTooBig);
    }
    // SAFETY: a plain helper call; all packet pointers are taken anew below.
    if unsafe { bpf_xdp_adjust_head(ctx.as_ptr().cast::<xdp_md>(), -(LEN as i32)) } != 0 {
        return Err(Verdict::DropNoRoom);
    }
    Ok(Cursor::new(ctx.data(), ctx.data_end()))
}

#[inline(always)]
fn inner_protocol(packet: &Packet) -> u8 {
    if packet.is_v4 { IpProto::Ipv4 as u8 } else { IpProto::Ipv6 as u8 }
}
