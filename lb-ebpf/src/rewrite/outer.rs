//! Outer IP headers, behind the Ethernet header of a frame that has grown.
//!
//! They copy DSCP and ECN from the inner header (RFC 6040 section 4.1, normal
//! mode), forbid fragmentation, and start with a TTL of their own.

use lb_common::{
    checksum,
    maps::{Backend, OUTER_DONT_FRAGMENT},
};

use super::macs;
use crate::{
    cursor::Cursor,
    header::{TTL, eth, ipv4, ipv6},
    parse::Packet,
};

/// An outer IPv4 header for `protocol`, with `EXTRA` bytes behind it, which are
/// left to the caller. `host`: what is to be added to the source address.
#[inline(always)]
pub fn v4<const EXTRA: usize>(
    cursor: &Cursor,
    packet: &Packet,
    backend: &Backend,
    protocol: u8,
    host: u32,
) -> Option<()> {
    let frame = cursor.window::<{ eth::LEN + ipv4::LEN }>(0)?;
    macs::set(&frame, backend);
    frame.set::<u16, { eth::TYPE }>(eth::IPV4);

    let len = (packet.len + (ipv4::LEN + EXTRA) as u16).to_be();
    // All other words of the header are constant; their sum came with the backend.
    let first = u16::from_ne_bytes([ipv4::PLAIN, packet.tos]);
    let fourth = u16::from_ne_bytes([TTL, protocol]);
    let sum = backend.outer_sum as u64 + first as u64 + len as u64 + fourth as u64 + host as u64;
    frame.set::<u16, { eth::LEN + ipv4::VERSION_AND_LEN }>(first);
    frame.set::<u16, { eth::LEN + ipv4::TOTAL_LEN }>(len);
    frame.set::<u16, { eth::LEN + ipv4::ID }>(0);
    frame.set::<u16, { eth::LEN + ipv4::FRAGMENT }>(OUTER_DONT_FRAGMENT);
    frame.set::<u16, { eth::LEN + ipv4::TTL }>(fourth);
    frame.set::<u16, { eth::LEN + ipv4::CHECK }>(!checksum::fold(sum));
    frame.set::<u32, { eth::LEN + ipv4::SRC }>(backend.outer_src.words()[3] | host);
    frame.set::<u32, { eth::LEN + ipv4::DST }>(backend.outer_dst.words()[3]);
    Some(())
}

/// The same in IPv6; its flow label is from the flow hash (RFC 6438).
#[inline(always)]
pub fn v6<const EXTRA: usize>(
    cursor: &Cursor,
    packet: &Packet,
    backend: &Backend,
    protocol: u8,
    hash: u64,
    host: u32,
) -> Option<()> {
    let frame = cursor.window::<{ eth::LEN + ipv6::LEN }>(0)?;
    macs::set(&frame, backend);
    frame.set::<u16, { eth::TYPE }>(eth::IPV6);

    let label = hash as u32 & 0xf_ffff;
    frame.set::<u32, { eth::LEN + ipv6::VERSION_AND_CLASS }>(ipv6::first_word(packet.tos, label));
    frame.set::<u16, { eth::LEN + ipv6::PAYLOAD_LEN }>((packet.len + EXTRA as u16).to_be());
    frame.set::<u16, { eth::LEN + ipv6::NEXT_HEADER }>(u16::from_ne_bytes([protocol, TTL]));
    let [w0, w1, w2, w3] = backend.outer_src.words();
    frame.set_words::<{ eth::LEN + ipv6::SRC }>([w0, w1, w2, w3 | host]);
    frame.set_words::<{ eth::LEN + ipv6::DST }>(backend.outer_dst.words());
    Some(())
}
