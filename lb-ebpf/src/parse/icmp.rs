//! ICMP (RFC 792) and ICMPv6 (RFC 4443): what a message is, and which flow an
//! error is about.

use lb_common::Addr;

use super::{Packet, ip, l4, odd};
use crate::cursor::Cursor;

/// Length of the header, of both families.
pub const LEN: usize = 8;

pub const V4_ECHO_REPLY: u8 = 0;
pub const V4_UNREACHABLE: u8 = 3;
const V4_ECHO: u8 = 8;
const V4_TIME_EXCEEDED: u8 = 11;
const V4_PARAMETER_PROBLEM: u8 = 12;

const V6_UNREACHABLE: u8 = 1;
pub const V6_TOO_BIG: u8 = 2;
const V6_PARAMETER_PROBLEM: u8 = 4;
const V6_ECHO: u8 = 128;
pub const V6_ECHO_REPLY: u8 = 129;
const V6_ROUTER_SOLICITATION: u8 = 133;
const V6_REDIRECT: u8 = 137;

/// Length of the header of a fragment that has no other extension headers.
const V6_FRAGMENT_LEN: usize = ip::V6_LEN + 8;

/// What a message is to us.
#[derive(Clone, Copy)]
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
    let Some(header) = cursor.window::<LEN>(packet.l3 + packet.l3_len) else { return Message::Other };
    match (packet.is_v4, header.get::<u8, 0>()) {
        (true, V4_ECHO) | (false, V6_ECHO) => Message::Echo,
        (true, V4_UNREACHABLE | V4_TIME_EXCEEDED | V4_PARAMETER_PROBLEM) => Message::Error,
        (false, V6_UNREACHABLE..=V6_PARAMETER_PROBLEM) => Message::Error,
        (false, V6_ROUTER_SOLICITATION..=V6_REDIRECT) => Message::Neighbour,
        _ => Message::Other,
    }
}

/// Of an error, make `packet` one of the flow whose packet it quotes: a reply,
/// which was sent by what the error is addressed to. False if it quotes none.
#[inline(always)]
pub fn quoted(cursor: &Cursor, packet: &mut Packet) -> bool {
    let at = packet.l3 + packet.l3_len + LEN;
    let Some((source, client, protocol, header_len)) =
        (if packet.is_v4 { quoted_v4(cursor, at) } else { quoted_v6(cursor, at) })
    else {
        return false;
    };
    let is_flow = protocol == l4::TCP || protocol == l4::UDP;
    let l4 = at + header_len;
    // Within the packet: what follows it is padding.
    let is_whole = l4 + l4::PORTS_LEN <= packet.l3 + packet.len as usize;
    if !is_flow || !is_whole || source != packet.dst.addr {
        return false;
    }
    let Some(ports) = cursor.window::<{ l4::PORTS_LEN }>(l4) else { return false };
    packet.dst.port = ports.get::<u16, 0>();
    packet.dst.protocol = protocol;
    packet.src = client;
    packet.src_port = ports.get::<u16, 2>();
    packet.quote = at as u16;
    true
}

/// Length of a quoted IP header.
#[inline(always)]
pub fn quoted_header_len(cursor: &Cursor, packet: &Packet) -> usize {
    if !packet.is_v4 {
        let next = cursor.window::<{ ip::V6_LEN }>(packet.quote as usize).map(|header| header.get::<u8, 6>());
        return if next == Some(odd::FRAGMENT) { V6_FRAGMENT_LEN } else { ip::V6_LEN };
    }
    cursor.window::<1>(packet.quote as usize).map_or(0, |header| v4_header_len(header.get::<u8, 0>()))
}

type Quoted = (Addr, Addr, u8, usize);

#[inline(always)]
fn quoted_v4(cursor: &Cursor, at: usize) -> Option<Quoted> {
    let header = cursor.window::<{ ip::V4_LEN }>(at)?;
    let first = header.get::<u8, 0>();
    // Only the first fragment of a packet has its ports.
    let has_ports = header.get::<u16, 6>() & ip::OFFSET_BITS == 0;
    if first >> 4 != 4 || v4_header_len(first) < ip::V4_LEN || !has_ports {
        return None;
    }
    let (source, client) = (header.get::<u32, 12>(), header.get::<u32, 16>());
    Some((Addr::v4(source), Addr::v4(client), header.get::<u8, 9>(), v4_header_len(first)))
}

/// Replies leave without extension headers, but for that of a fragment; quotes
/// with others are not for us.
#[inline(always)]
fn quoted_v6(cursor: &Cursor, at: usize) -> Option<Quoted> {
    let header = cursor.window::<{ ip::V6_LEN }>(at)?;
    if header.get::<u8, 0>() >> 4 != 6 {
        return None;
    }
    let (source, client) = (header.words::<8>(), header.words::<24>());
    let (source, client, next) = (Addr::from_words(source), Addr::from_words(client), header.get::<u8, 6>());
    if next != odd::FRAGMENT {
        return Some((source, client, next, ip::V6_LEN));
    }
    let fragment = cursor.window::<{ V6_FRAGMENT_LEN - ip::V6_LEN }>(at + ip::V6_LEN)?;
    let is_first = u16::from_be(fragment.get::<u16, 2>()) & odd::V6_OFFSET == 0;
    is_first.then_some((source, client, fragment.get::<u8, 0>(), V6_FRAGMENT_LEN))
}

#[inline(always)]
fn v4_header_len(first: u8) -> usize {
    ((first & 15) * 4) as usize
}
