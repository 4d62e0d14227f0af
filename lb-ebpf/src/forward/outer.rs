//! Outer IP headers, with room for more behind them.
//!
//! They copy DSCP and ECN from the inner header (RFC 6040 section 4.1, normal
//! mode), forbid fragmentation, and start with a TTL of their own.

use aya_ebpf::{EbpfContext, bindings::xdp_md, helpers::bpf_xdp_adjust_head, programs::XdpContext};
use lb_common::{
    Verdict, checksum,
    maps::{Backend, OUTER_DONT_FRAGMENT},
};
use network_types::{eth::EtherType, ip::IpProto};

use super::next_hop::set_macs;
use crate::{
    cursor::Cursor,
    parse::{ETH_LEN, Packet, ip},
};

/// An outer IPv4 header for `protocol`, and `EXTRA` bytes behind it, which are
/// left to the caller. `host`: what is to be added to the source address.
#[inline(always)]
pub fn v4<const EXTRA: usize>(
    ctx: &XdpContext,
    packet: &Packet,
    backend: &Backend,
    protocol: u8,
    host: u32,
) -> Result<Cursor, Verdict> {
    let more = ip::V4_LEN + EXTRA;
    let cursor = grow(ctx, packet, backend, more)?;
    let Some(frame) = cursor.window::<{ ETH_LEN + ip::V4_LEN }>(0) else { return Err(Verdict::DropNoRoom) };
    set_macs(&frame, backend);
    frame.set::<u16, 12>(EtherType::Ipv4 as u16);

    let len = (packet.len + more as u16).to_be();
    // All other words of the header are constant; their sum came with the backend.
    let first = u16::from_ne_bytes([0x45, packet.tos]);
    let fourth = u16::from_ne_bytes([ip::TTL, protocol]);
    let sum = backend.outer_sum as u64 + first as u64 + len as u64 + fourth as u64 + host as u64;
    frame.set::<u16, 14>(first);
    frame.set::<u16, 16>(len);
    frame.set::<u16, 18>(0);
    frame.set::<u16, 20>(OUTER_DONT_FRAGMENT);
    frame.set::<u16, 22>(fourth);
    frame.set::<u16, 24>(!checksum::fold(sum));
    frame.set::<u32, 26>(backend.outer_src.words()[3] | host);
    frame.set::<u32, 30>(backend.outer_dst.words()[3]);
    Ok(cursor)
}

/// The same in IPv6; its flow label is from the flow hash (RFC 6438).
#[inline(always)]
pub fn v6<const EXTRA: usize>(
    ctx: &XdpContext,
    packet: &Packet,
    backend: &Backend,
    protocol: u8,
    hash: u64,
    host: u32,
) -> Result<Cursor, Verdict> {
    let cursor = grow(ctx, packet, backend, ip::V6_LEN + EXTRA)?;
    let Some(frame) = cursor.window::<{ ETH_LEN + ip::V6_LEN }>(0) else { return Err(Verdict::DropNoRoom) };
    set_macs(&frame, backend);
    frame.set::<u16, 12>(EtherType::Ipv6 as u16);

    let label = hash as u32 & 0xf_ffff;
    frame.set::<u32, 14>((0x6000_0000 | (packet.tos as u32) << 20 | label).to_be());
    frame.set::<u16, 18>((packet.len + EXTRA as u16).to_be());
    frame.set::<u16, 20>(u16::from_ne_bytes([protocol, ip::TTL]));
    let [w0, w1, w2, w3] = backend.outer_src.words();
    frame.set_words::<22>([w0, w1, w2, w3 | host]);
    frame.set_words::<38>(backend.outer_dst.words());
    Ok(cursor)
}

/// What an outer header that needs no other says is inside.
#[inline(always)]
pub fn inner_protocol(packet: &Packet) -> u8 {
    if packet.is_v4 { IpProto::Ipv4 as u8 } else { IpProto::Ipv6 as u8 }
}

/// Make room for `more` bytes in front, if the packet still fits the path.
#[inline(always)]
fn grow(ctx: &XdpContext, packet: &Packet, backend: &Backend, more: usize) -> Result<Cursor, Verdict> {
    if packet.len as u32 + more as u32 > backend.mtu as u32 {
        return Err(Verdict::DropTooBig);
    }
    // SAFETY: a plain helper call; all packet pointers are taken anew below.
    if unsafe { bpf_xdp_adjust_head(ctx.as_ptr().cast::<xdp_md>(), -(more as i32)) } != 0 {
        return Err(Verdict::DropNoRoom);
    }
    Ok(Cursor::new(ctx.data(), ctx.data_end()))
}
