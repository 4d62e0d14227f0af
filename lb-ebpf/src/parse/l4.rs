//! What follows the IP header.

use lb_common::Verdict;
use network_types::ip::IpProto;

use super::{Packet, Parsed};
use crate::cursor::Cursor;

pub const TCP: u8 = IpProto::Tcp as u8;
pub const UDP: u8 = IpProto::Udp as u8;
pub const IPV4: u8 = IpProto::Ipv4 as u8;
pub const IPV6: u8 = IpProto::Ipv6 as u8;
pub const ICMP: u8 = IpProto::Icmp as u8;
pub const ICMPV6: u8 = IpProto::Ipv6Icmp as u8;

/// A UDP or ICMP header, and as much of a TCP header as a director needs.
pub const PORTS_LEN: usize = 8;
/// A TCP header without options.
pub const TCP_LEN: usize = 20;

/// Flags of TCP.
pub const SYN: u8 = 0x02;
pub const ACK: u8 = 0x10;

#[inline(always)]
pub fn read<'a>(cursor: &Cursor, packet: &'a mut Packet) -> Parsed<'a> {
    match packet.dst.protocol {
        TCP | UDP => ports(cursor, packet),
        IPV4 | IPV6 => Parsed::Tunnel(packet),
        ICMP if packet.is_v4 => Parsed::Icmp(packet),
        ICMPV6 if !packet.is_v4 => Parsed::Icmp(packet),
        _ => Parsed::Unfit(packet, Verdict::DropOtherProtocol),
    }
}

/// The flags of a TCP segment (RFC 9293 section 3.1) that has its header here.
#[inline(always)]
pub fn tcp_flags(cursor: &Cursor, packet: &Packet) -> Option<u8> {
    const FLAGS: usize = 13;
    if packet.dst.protocol != TCP || packet.is_later_fragment() || packet.quote != 0 {
        return None;
    }
    Some(cursor.window::<{ FLAGS + 1 }>(packet.l3 + packet.l3_len)?.get::<u8, FLAGS>())
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

#[inline(always)]
fn ports<'a>(cursor: &Cursor, packet: &'a mut Packet) -> Parsed<'a> {
    let at = packet.l3 + packet.l3_len;
    let Some(header) = cursor.window::<PORTS_LEN>(at) else {
        return Parsed::Unfit(packet, Verdict::DropTruncated);
    };
    packet.src_port = header.get::<u16, 0>();
    packet.dst.port = header.get::<u16, 2>();
    Parsed::Flow(packet)
}
