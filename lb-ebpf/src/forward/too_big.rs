//! What a client is told whose packet does not fit the path to its backend:
//! "fragmentation needed" (RFC 792, RFC 1191) or "packet too big" (RFC 4443,
//! RFC 8201), from the VIP.
//!
//! An IPv4 packet that may be fragmented is treated alike: XDP has nowhere to
//! put the second fragment.

use aya_ebpf::{
    EbpfContext,
    bindings::xdp_md,
    helpers::{bpf_xdp_adjust_head, bpf_xdp_adjust_tail},
    programs::XdpContext,
};
use lb_common::{
    Verdict, checksum,
    maps::{Backend, OUTER_DONT_FRAGMENT},
};

use crate::{
    clock,
    cursor::Cursor,
    icmp::swap_macs,
    limit,
    maps::TOLD,
    parse::{ETH_LEN, Packet, icmp, ip, l4},
};

/// Bytes of the packet that are quoted: as many as a checksum helper takes at
/// once, and fewer than the 576 of an IPv4 error (RFC 1812 section 4.3.2.3).
const QUOTE: usize = 512;
const V4_MORE: usize = ip::V4_LEN + icmp::LEN;
const V6_MORE: usize = ip::V6_LEN + icmp::LEN;

/// Clients told by each CPU in a second; Linux has the same figure for a host.
const LIMIT: u32 = 1000;

/// Internetwork control (RFC 1812 section 4.3.2.5, RFC 2474).
const TOS: u8 = 0xc0;
/// Fragmentation needed and DF set.
const V4_CODE: u8 = 4;

/// Make the frame the message to the client; `told` if that could be done.
///
/// The packet has just an Ethernet header in front.
#[inline(never)]
pub fn tell(ctx: &XdpContext, packet: &Packet, backend: &Backend, told: Verdict) -> Verdict {
    let mtu = backend.fitting(packet.is_v4);
    // Never about an error or a later fragment (RFC 1122 section 3.2.2), and
    // never in vain.
    if packet.quote != 0 || packet.is_later_fragment() || packet.len <= mtu || !admit() {
        return Verdict::DropTooBig;
    }
    let more = if packet.is_v4 { V4_MORE } else { V6_MORE };
    let Some(cursor) = reshape(ctx, more) else { return Verdict::DropNoRoom };
    let written = swap_macs(&cursor, more)
        .and_then(|()| if packet.is_v4 { v4(&cursor, packet, mtu) } else { v6(&cursor, packet, mtu) });
    if written.is_some() { told } else { Verdict::DropNoRoom }
}

#[inline(always)]
fn admit() -> bool {
    let Some(told) = TOLD.get_ptr_mut(0) else { return false };
    // SAFETY: this CPU's own slot of the map.
    limit::admit(unsafe { &mut *told }, clock::seconds(), LIMIT)
}

/// Room for `more` bytes in front of the quote, and nothing behind it.
#[inline(always)]
fn reshape(ctx: &XdpContext, more: usize) -> Option<Cursor> {
    let md = ctx.as_ptr().cast::<xdp_md>();
    let surplus = (ctx.data_end() - ctx.data()) as i32 - (ETH_LEN + QUOTE) as i32;
    // SAFETY: plain helper calls; all packet pointers are taken anew below.
    let done = surplus >= 0
        && unsafe { bpf_xdp_adjust_tail(md, -surplus) == 0 && bpf_xdp_adjust_head(md, -(more as i32)) == 0 };
    done.then(|| Cursor::new(ctx.data(), ctx.data_end()))
}

#[inline(always)]
fn v4(cursor: &Cursor, packet: &Packet, mtu: u16) -> Option<()> {
    let header = cursor.window::<V4_MORE>(ETH_LEN)?;
    let quote = cursor.window::<QUOTE>(ETH_LEN + V4_MORE)?;
    let (vip, client) = (packet.dst.addr.words()[3], packet.src.words()[3]);
    let first = u16::from_ne_bytes([0x45, TOS]);
    let len = ((V4_MORE + QUOTE) as u16).to_be();
    let fourth = u16::from_ne_bytes([ip::TTL, l4::ICMP]);
    let sum =
        checksum::sum(&[first as u32, len as u32, OUTER_DONT_FRAGMENT as u32, fourth as u32, vip, client]);
    header.set::<u16, 0>(first);
    header.set::<u16, 2>(len);
    header.set::<u16, 4>(0);
    header.set::<u16, 6>(OUTER_DONT_FRAGMENT);
    header.set::<u16, 8>(fourth);
    header.set::<u16, 10>(!checksum::fold(sum));
    header.set::<u32, 12>(vip);
    header.set::<u32, 16>(client);

    let kind = u16::from_ne_bytes([icmp::V4_UNREACHABLE, V4_CODE]);
    header.set::<u16, 20>(kind);
    header.set::<u16, 22>(!checksum::fold(quote.sum() + kind as u64 + mtu.to_be() as u64));
    header.set::<u16, 24>(0);
    header.set::<u16, 26>(mtu.to_be());
    Some(())
}

#[inline(always)]
fn v6(cursor: &Cursor, packet: &Packet, mtu: u16) -> Option<()> {
    let header = cursor.window::<V6_MORE>(ETH_LEN)?;
    let quote = cursor.window::<QUOTE>(ETH_LEN + V6_MORE)?;
    let (vip, client) = (packet.dst.addr.words(), packet.src.words());
    let len = ((icmp::LEN + QUOTE) as u16).to_be();
    header.set::<u32, 0>((0x6000_0000 | (TOS as u32) << 20).to_be());
    header.set::<u16, 4>(len);
    header.set::<u16, 6>(u16::from_ne_bytes([l4::ICMPV6, ip::TTL]));
    header.set_words::<8>(vip);
    header.set_words::<24>(client);

    // With the pseudo header (RFC 8200 section 8.1).
    let kind = u16::from_ne_bytes([icmp::V6_TOO_BIG, 0]);
    let next = (l4::ICMPV6 as u16).to_be();
    let sum = checksum::sum(&vip) + checksum::sum(&client) + checksum::sum(&[len as u32, next as u32]);
    let sum = sum + quote.sum() + kind as u64 + mtu.to_be() as u64;
    header.set::<u16, 40>(kind);
    header.set::<u16, 42>(!checksum::fold(sum));
    header.set::<u32, 44>((mtu as u32).to_be());
    Some(())
}
