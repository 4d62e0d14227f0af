//! An echo request becomes its own reply.

use crate::{
    cursor::{Cursor, Window},
    header::{TTL, icmp, ipv4, ipv6},
    parse::Packet,
};

/// None if it has options: they would need answers of their own (RFC 1122
/// section 3.2.2.6).
#[inline(always)]
pub fn reply(cursor: &Cursor, packet: &Packet) -> Option<()> {
    if packet.is_v4 { v4(cursor, packet) } else { v6(cursor, packet) }
}

/// The checksum of the message covers the type alone of what changes; that of
/// the header is indifferent to the order of addresses.
#[inline(always)]
fn v4(cursor: &Cursor, packet: &Packet) -> Option<()> {
    const TYPE: usize = ipv4::LEN + icmp::TYPE;
    let header = whole::<{ ipv4::LEN + icmp::LEN }>(cursor, packet, ipv4::LEN)?;
    let (client, vip) = (header.get::<u32, { ipv4::SRC }>(), header.get::<u32, { ipv4::DST }>());
    header.set::<u32, { ipv4::SRC }>(vip);
    header.set::<u32, { ipv4::DST }>(client);
    let old = header.get::<u16, { ipv4::TTL }>();
    header.set::<u8, { ipv4::TTL }>(TTL);
    header.replace::<{ ipv4::TTL }, { ipv4::CHECK }>(old);
    let old = header.get::<u16, TYPE>();
    header.set::<u8, TYPE>(icmp::V4_ECHO_REPLY);
    header.replace::<TYPE, { ipv4::LEN + icmp::CHECK }>(old);
    Some(())
}

#[inline(always)]
fn v6(cursor: &Cursor, packet: &Packet) -> Option<()> {
    const TYPE: usize = ipv6::LEN + icmp::TYPE;
    let header = whole::<{ ipv6::LEN + icmp::LEN }>(cursor, packet, ipv6::LEN)?;
    let (client, vip) = (header.words::<{ ipv6::SRC }>(), header.words::<{ ipv6::DST }>());
    header.set_words::<{ ipv6::SRC }>(vip);
    header.set_words::<{ ipv6::DST }>(client);
    header.set::<u8, { ipv6::HOP_LIMIT }>(TTL);
    let old = header.get::<u16, TYPE>();
    header.set::<u8, TYPE>(icmp::V6_ECHO_REPLY);
    header.replace::<TYPE, { ipv6::LEN + icmp::CHECK }>(old);
    Some(())
}

/// The headers of a packet whose IP header is as short as can be.
#[inline(always)]
fn whole<const N: usize>(cursor: &Cursor, packet: &Packet, header_len: usize) -> Option<Window<N>> {
    if packet.l3_len == header_len { cursor.window::<N>(packet.l3) } else { None }
}
