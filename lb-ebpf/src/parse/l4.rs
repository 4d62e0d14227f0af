//! What follows the IP header.

use lb_common::Verdict;

use super::packet::{Packet, Parsed};
use crate::{
    cursor::Cursor,
    header::{
        ports,
        protocol::{ICMP, ICMPV6, IPV4, IPV6, TCP, UDP},
        tcp::{self, ACK, SYN},
    },
};

#[inline(always)]
pub fn read<'a>(cursor: &Cursor, packet: &'a mut Packet) -> Parsed<'a> {
    match packet.dst.protocol {
        TCP | UDP => flow(cursor, packet),
        IPV4 | IPV6 => Parsed::Tunnel(packet),
        ICMP if packet.is_v4 => Parsed::Icmp(packet),
        ICMPV6 if !packet.is_v4 => Parsed::Icmp(packet),
        _ => Parsed::Unfit(packet, Verdict::DropOtherProtocol),
    }
}

/// The flags of a TCP segment (RFC 9293 section 3.1) that has its header here.
#[inline(always)]
pub fn tcp_flags(cursor: &Cursor, packet: &Packet) -> Option<u8> {
    if packet.dst.protocol != TCP || packet.is_later_fragment() || packet.quote != 0 {
        return None;
    }
    Some(cursor.window::<{ tcp::FLAGS + 1 }>(packet.l4())?.get::<u8, { tcp::FLAGS }>())
}

/// Can a flow begin with this packet: is it a SYN, or of a protocol without?
/// None begins with an error about it.
#[inline(always)]
pub fn opens(cursor: &Cursor, packet: &Packet) -> bool {
    packet.quote == 0 && (packet.dst.protocol != TCP || is_syn(cursor, packet))
}

/// Does the packet open a TCP connection: SYN without ACK?
#[inline(always)]
pub fn is_syn(cursor: &Cursor, packet: &Packet) -> bool {
    tcp_flags(cursor, packet).is_some_and(|flags| flags & (SYN | ACK) == SYN)
}

/// The sequence number of a packet that opens a TCP connection, in host byte order.
#[inline(always)]
pub fn syn_sequence(cursor: &Cursor, packet: &Packet) -> Option<u32> {
    if !is_syn(cursor, packet) {
        return None;
    }
    let header = cursor.window::<{ tcp::SEQUENCE + 4 }>(packet.l4())?;
    Some(u32::from_be(header.get::<u32, { tcp::SEQUENCE }>()))
}

/// Can an acknowledgment number be that of an answer to the SYN with this sequence number, both in host
/// byte order? It is the next one, or beyond as much data as the SYN may have had (RFC 7413).
#[inline(always)]
pub const fn acknowledges(acknowledgment: u32, sequence: u32) -> bool {
    acknowledgment.wrapping_sub(sequence).wrapping_sub(1) <= u16::MAX as u32
}

#[inline(always)]
fn flow<'a>(cursor: &Cursor, packet: &'a mut Packet) -> Parsed<'a> {
    let Some(header) = cursor.window::<{ ports::LEN }>(packet.l4()) else {
        return Parsed::Unfit(packet, Verdict::DropTruncated);
    };
    packet.src_port = header.get::<u16, { ports::SRC }>();
    packet.dst.port = header.get::<u16, { ports::DST }>();
    Parsed::Flow(packet)
}
