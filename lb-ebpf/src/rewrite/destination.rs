//! A new destination for a packet, and a new source port if need be, with its
//! checksums brought up to date (RFC 1624).

use lb_common::{checksum, maps::Endpoint};

use super::address::{update_udp, v4, v6};
use crate::{
    cursor::Cursor,
    header::{ipv4, ipv6, ports, protocol, tcp, udp},
    parse::Packet,
};

/// Where a packet is to go.
pub struct Target<'a> {
    pub endpoint: &'a Endpoint,
    /// The client's port as the endpoint sees it. Network byte order.
    pub client_port: u16,
}

/// Rewrite the destination address and both ports; false if the packet is too
/// short.
#[inline(always)]
pub fn rewrite(cursor: &Cursor, packet: &Packet, to: &Target) -> bool {
    let address = checksum::difference(&packet.dst.addr.words(), &to.endpoint.addr.words());
    let old = [packet.src_port as u32, packet.dst.port as u32];
    let ports = checksum::difference(&old, &[to.client_port as u32, to.endpoint.port as u32]);
    let at = packet.l4();
    // The transport header first: if it is cut short, nothing has changed yet.
    let done = if packet.is_later_fragment() {
        true
    } else if packet.dst.protocol == protocol::TCP {
        in_tcp(cursor, at, to, address + ports)
    } else {
        in_udp(cursor, at, to, address + ports)
    };
    done && if packet.is_v4 {
        v4::<{ ipv4::DST }>(cursor, packet, &to.endpoint.addr, address)
    } else {
        v6::<{ ipv6::DST }>(cursor, packet, &to.endpoint.addr)
    }
}

#[inline(always)]
fn in_tcp(cursor: &Cursor, at: usize, to: &Target, difference: u64) -> bool {
    let Some(header) = cursor.window::<{ tcp::LEN }>(at) else { return false };
    header.set::<u16, { ports::SRC }>(to.client_port);
    header.set::<u16, { ports::DST }>(to.endpoint.port);
    header.set::<u16, { tcp::CHECK }>(checksum::update(header.get::<u16, { tcp::CHECK }>(), difference));
    true
}

#[inline(always)]
fn in_udp(cursor: &Cursor, at: usize, to: &Target, difference: u64) -> bool {
    let Some(header) = cursor.window::<{ udp::LEN }>(at) else { return false };
    header.set::<u16, { ports::SRC }>(to.client_port);
    header.set::<u16, { ports::DST }>(to.endpoint.port);
    update_udp(&header, difference);
    true
}
