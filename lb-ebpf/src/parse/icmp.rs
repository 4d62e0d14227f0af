//! ICMP (RFC 792) and ICMPv6 (RFC 4443): what a message is, and which flow an
//! error is about.

use lb_common::Addr;

use super::packet::Packet;
use crate::{
    cursor::Cursor,
    header::{
        icmp, ipv4,
        ipv6::{self, fragment},
        ports, protocol,
    },
};

/// Length of the header of a fragment that has no other extension headers.
const V6_FRAGMENT_LEN: usize = ipv6::LEN + fragment::LEN;

/// What a message is to us.
#[derive(Clone, Copy, Debug)]
pub enum Message {
    /// An echo request.
    Echo,
    /// About a packet that it quotes.
    Error,
    /// Of neighbour discovery (RFC 4861): the kernel's.
    Neighbour,
    Other,
}

/// Read the type of a packet that is ICMP.
#[inline(always)]
pub fn message(cursor: &Cursor, packet: &Packet) -> Message {
    let Some(header) = cursor.window::<{ icmp::LEN }>(packet.l4()) else { return Message::Other };
    match (packet.is_v4, header.get::<u8, { icmp::TYPE }>()) {
        (true, icmp::V4_ECHO) | (false, icmp::V6_ECHO) => Message::Echo,
        (true, icmp::V4_UNREACHABLE | icmp::V4_TIME_EXCEEDED | icmp::V4_PARAMETER_PROBLEM) => Message::Error,
        (false, icmp::V6_UNREACHABLE..=icmp::V6_PARAMETER_PROBLEM) => Message::Error,
        (false, icmp::V6_ROUTER_SOLICITATION..=icmp::V6_REDIRECT) => Message::Neighbour,
        _ => Message::Other,
    }
}

/// Of an error, make `packet` one of the flow whose packet it quotes: a reply,
/// which was sent by what the error is addressed to. False if it quotes none.
#[inline(always)]
pub fn quoted(cursor: &Cursor, packet: &mut Packet) -> bool {
    let at = packet.l4() + icmp::LEN;
    let Some((source, client, protocol, header_len)) =
        (if packet.is_v4 { quoted_v4(cursor, at) } else { quoted_v6(cursor, at) })
    else {
        return false;
    };
    let is_flow = protocol == protocol::TCP || protocol == protocol::UDP;
    let l4 = at + header_len;
    // Within the packet: what follows it is padding.
    let is_whole = l4 + ports::LEN <= packet.l3 + packet.len as usize;
    if !is_flow || !is_whole || source != packet.dst.addr {
        return false;
    }
    let Some(header) = cursor.window::<{ ports::LEN }>(l4) else { return false };
    packet.dst.port = header.get::<u16, { ports::SRC }>();
    packet.dst.protocol = protocol;
    packet.src = client;
    packet.src_port = header.get::<u16, { ports::DST }>();
    packet.quote = at as u16;
    true
}

/// Length of a quoted IP header.
#[inline(always)]
pub fn quoted_header_len(cursor: &Cursor, packet: &Packet) -> usize {
    if !packet.is_v4 {
        let next = cursor
            .window::<{ ipv6::LEN }>(packet.quote as usize)
            .map(|header| header.get::<u8, { ipv6::NEXT_HEADER }>());
        return if next == Some(protocol::FRAGMENT) { V6_FRAGMENT_LEN } else { ipv6::LEN };
    }
    // Of a single byte, the compiler turns the comparison round, and old and new verifiers refuse it.
    cursor
        .window::<{ ipv4::LEN }>(packet.quote as usize)
        .map_or(0, |header| ipv4::header_len(header.get::<u8, { ipv4::VERSION_AND_LEN }>()))
}

type Quoted = (Addr, Addr, u8, usize);

#[inline(always)]
fn quoted_v4(cursor: &Cursor, at: usize) -> Option<Quoted> {
    let header = cursor.window::<{ ipv4::LEN }>(at)?;
    let first = header.get::<u8, { ipv4::VERSION_AND_LEN }>();
    // Only the first fragment of a packet has its ports.
    let has_ports = header.get::<u16, { ipv4::FRAGMENT }>() & ipv4::OFFSET.to_be() == 0;
    if ipv4::version(first) != 4 || ipv4::header_len(first) < ipv4::LEN || !has_ports {
        return None;
    }
    let (source, client) = (header.get::<u32, { ipv4::SRC }>(), header.get::<u32, { ipv4::DST }>());
    Some((
        Addr::v4(source),
        Addr::v4(client),
        header.get::<u8, { ipv4::PROTOCOL }>(),
        ipv4::header_len(first),
    ))
}

/// Replies leave without extension headers, but for that of a fragment; quotes
/// with others are not for us.
#[inline(always)]
fn quoted_v6(cursor: &Cursor, at: usize) -> Option<Quoted> {
    let header = cursor.window::<{ ipv6::LEN }>(at)?;
    if header.get::<u8, { ipv6::VERSION_AND_CLASS }>() >> 4 != 6 {
        return None;
    }
    let (source, client) = (header.words::<{ ipv6::SRC }>(), header.words::<{ ipv6::DST }>());
    let (source, client, next) =
        (Addr::from_words(source), Addr::from_words(client), header.get::<u8, { ipv6::NEXT_HEADER }>());
    if next != protocol::FRAGMENT {
        return Some((source, client, next, ipv6::LEN));
    }
    let header = cursor.window::<{ fragment::LEN }>(at + ipv6::LEN)?;
    let is_first = u16::from_be(header.get::<u16, { fragment::PLACE }>()) & fragment::OFFSET == 0;
    is_first.then_some((source, client, header.get::<u8, { fragment::NEXT_HEADER }>(), V6_FRAGMENT_LEN))
}
