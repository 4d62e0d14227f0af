//! "Fragmentation needed" (RFC 792, RFC 1191) and "packet too big" (RFC 4443,
//! RFC 8201), from the VIP to a client.

use lb_common::{checksum, maps::OUTER_DONT_FRAGMENT};

use super::macs;
use crate::{
    cursor::Cursor,
    header::{TTL, eth, icmp, ipv4, ipv6, protocol},
    parse::Packet,
};

/// Bytes of the packet that are quoted: as many as a checksum helper takes at
/// once, and fewer than the 576 of an IPv4 error (RFC 1812 section 4.3.2.3).
pub const QUOTE: usize = 512;
const V4_MORE: usize = ipv4::LEN + icmp::LEN;
const V6_MORE: usize = ipv6::LEN + icmp::LEN;

/// Internetwork control (RFC 1812 section 4.3.2.5, RFC 2474).
const TOS: u8 = 0xc0;

/// What a message has in front of the quote.
#[inline(always)]
pub const fn more(is_v4: bool) -> usize {
    if is_v4 { V4_MORE } else { V6_MORE }
}

/// Write the message that says `mtu` in front of `packet`: there are as many
/// bytes more at the start of the frame, and none behind the quote.
///
/// `back`: by the machine that the packet came from. Otherwise the frame is addressed
/// as the packet was.
#[inline(always)]
pub fn write(cursor: &Cursor, packet: &Packet, mtu: u16, back: bool) -> Option<()> {
    let more = more(packet.is_v4);
    if back {
        macs::swap(cursor, more)?;
    } else {
        macs::keep(cursor, more)?;
    }
    if packet.is_v4 { v4(cursor, packet, mtu) } else { v6(cursor, packet, mtu) }
}

#[inline(always)]
fn v4(cursor: &Cursor, packet: &Packet, mtu: u16) -> Option<()> {
    let header = cursor.window::<V4_MORE>(eth::LEN)?;
    let quote = cursor.window::<QUOTE>(eth::LEN + V4_MORE)?;
    let (vip, client) = (packet.dst.addr.words()[3], packet.src.words()[3]);
    let first = u16::from_ne_bytes([ipv4::PLAIN, TOS]);
    let len = ((V4_MORE + QUOTE) as u16).to_be();
    let fourth = u16::from_ne_bytes([TTL, protocol::ICMP]);
    let sum =
        checksum::sum(&[first as u32, len as u32, OUTER_DONT_FRAGMENT as u32, fourth as u32, vip, client]);
    header.set::<u16, { ipv4::VERSION_AND_LEN }>(first);
    header.set::<u16, { ipv4::TOTAL_LEN }>(len);
    header.set::<u16, { ipv4::ID }>(0);
    header.set::<u16, { ipv4::FRAGMENT }>(OUTER_DONT_FRAGMENT);
    header.set::<u16, { ipv4::TTL }>(fourth);
    header.set::<u16, { ipv4::CHECK }>(!checksum::fold(sum));
    header.set::<u32, { ipv4::SRC }>(vip);
    header.set::<u32, { ipv4::DST }>(client);

    let kind = u16::from_ne_bytes([icmp::V4_UNREACHABLE, icmp::V4_FRAGMENTATION_NEEDED]);
    let check = !checksum::fold(quote.sum() + kind as u64 + mtu.to_be() as u64);
    header.set::<u16, { ipv4::LEN + icmp::TYPE }>(kind);
    header.set::<u16, { ipv4::LEN + icmp::CHECK }>(check);
    header.set::<u16, { ipv4::LEN + icmp::REST }>(0);
    header.set::<u16, { ipv4::LEN + icmp::V4_MTU }>(mtu.to_be());
    Some(())
}

#[inline(always)]
fn v6(cursor: &Cursor, packet: &Packet, mtu: u16) -> Option<()> {
    let header = cursor.window::<V6_MORE>(eth::LEN)?;
    let quote = cursor.window::<QUOTE>(eth::LEN + V6_MORE)?;
    let (vip, client) = (packet.dst.addr.words(), packet.src.words());
    let len = ((icmp::LEN + QUOTE) as u16).to_be();
    header.set::<u32, { ipv6::VERSION_AND_CLASS }>(ipv6::first_word(TOS, 0));
    header.set::<u16, { ipv6::PAYLOAD_LEN }>(len);
    header.set::<u16, { ipv6::NEXT_HEADER }>(u16::from_ne_bytes([protocol::ICMPV6, TTL]));
    header.set_words::<{ ipv6::SRC }>(vip);
    header.set_words::<{ ipv6::DST }>(client);

    // With the pseudo header (RFC 8200 section 8.1).
    let kind = u16::from_ne_bytes([icmp::V6_TOO_BIG, 0]);
    let next = (protocol::ICMPV6 as u16).to_be();
    let sum = checksum::sum(&vip) + checksum::sum(&client) + checksum::sum(&[len as u32, next as u32]);
    let sum = sum + quote.sum() + kind as u64 + mtu.to_be() as u64;
    header.set::<u16, { ipv6::LEN + icmp::TYPE }>(kind);
    header.set::<u16, { ipv6::LEN + icmp::CHECK }>(!checksum::fold(sum));
    header.set::<u32, { ipv6::LEN + icmp::V6_MTU }>((mtu as u32).to_be());
    Some(())
}
