//! A new destination for a packet, and a new source port if need be, with its
//! checksums brought up to date (RFC 1624).

use lb_common::{checksum, maps::Endpoint};

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
    done && if packet.is_v4 { v4(cursor, packet, to, address) } else { v6(cursor, packet, to) }
}

#[inline(always)]
fn in_tcp(cursor: &Cursor, at: usize, to: &Target, difference: u64) -> bool {
    let Some(header) = cursor.window::<{ tcp::LEN }>(at) else { return false };
    header.set::<u16, { ports::SRC }>(to.client_port);
    header.set::<u16, { ports::DST }>(to.endpoint.port);
    header.set::<u16, { tcp::CHECK }>(checksum::update(header.get::<u16, { tcp::CHECK }>(), difference));
    true
}

/// A UDP checksum of zero says that there is none (RFC 768); one that comes
/// out as zero is written as all ones.
#[inline(always)]
fn in_udp(cursor: &Cursor, at: usize, to: &Target, difference: u64) -> bool {
    let Some(header) = cursor.window::<{ udp::LEN }>(at) else { return false };
    header.set::<u16, { ports::SRC }>(to.client_port);
    header.set::<u16, { ports::DST }>(to.endpoint.port);
    let check = header.get::<u16, { udp::CHECK }>();
    if check != 0 {
        let new = checksum::update(check, difference);
        header.set::<u16, { udp::CHECK }>(if new == 0 { 0xffff } else { new });
    }
    true
}

#[inline(always)]
fn v4(cursor: &Cursor, packet: &Packet, to: &Target, difference: u64) -> bool {
    let Some(header) = cursor.window::<{ ipv4::LEN }>(packet.l3) else { return false };
    header.set::<u32, { ipv4::DST }>(to.endpoint.addr.words()[3]);
    // The upper words of mapped addresses are alike: they add nothing.
    header.set::<u16, { ipv4::CHECK }>(checksum::update(header.get::<u16, { ipv4::CHECK }>(), difference));
    true
}

#[inline(always)]
fn v6(cursor: &Cursor, packet: &Packet, to: &Target) -> bool {
    let Some(header) = cursor.window::<{ ipv6::LEN }>(packet.l3) else { return false };
    header.set_words::<{ ipv6::DST }>(to.endpoint.addr.words());
    true
}
