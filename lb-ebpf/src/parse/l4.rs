//! What follows the IP header.

use lb_common::Verdict;
use network_types::ip::IpProto;

use super::{Packet, Parsed};
use crate::cursor::Cursor;

pub const TCP: u8 = IpProto::Tcp as u8;
pub const UDP: u8 = IpProto::Udp as u8;
const IPV4: u8 = IpProto::Ipv4 as u8;
const IPV6: u8 = IpProto::Ipv6 as u8;

/// A UDP header, and as much of a TCP header as a director needs.
pub const PORTS_LEN: usize = 8;

#[inline(always)]
pub fn read<'a>(cursor: &Cursor, packet: &'a mut Packet) -> Parsed<'a> {
    match packet.to.protocol {
        TCP | UDP => ports(cursor, packet),
        IPV4 | IPV6 => Parsed::Tunnel(packet),
        _ => Parsed::Unfit(packet, Verdict::DropOtherProtocol),
    }
}

#[inline(always)]
fn ports<'a>(cursor: &Cursor, packet: &'a mut Packet) -> Parsed<'a> {
    let at = packet.l3 + packet.l3_len;
    let Some(header) = cursor.window::<PORTS_LEN>(at) else {
        return Parsed::Unfit(packet, Verdict::DropTruncated);
    };
    packet.client_port = header.get::<u16, 0>();
    packet.to.port = header.get::<u16, 2>();
    Parsed::Flow(packet)
}
