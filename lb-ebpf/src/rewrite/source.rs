//! A new source address for a packet, with its checksums brought up to date (RFC 1624).

use lb_common::{Addr, checksum};

use super::address::{update_udp, v4, v6};
use crate::{
    cursor::Cursor,
    header::{ipv4, ipv6, protocol, tcp, udp},
    parse::Packet,
};

/// Rewrite the source address; false if the packet is too short.
#[inline(always)]
pub fn rewrite(cursor: &Cursor, packet: &Packet, source: &Addr) -> bool {
    let difference = checksum::difference(&packet.src.words(), &source.words());
    // The transport header first: if it is cut short, nothing has changed yet.
    if !packet.is_later_fragment() && !transport(cursor, packet, difference) {
        return false;
    }
    if packet.is_v4 {
        v4::<{ ipv4::SRC }>(cursor, packet, source, difference)
    } else {
        v6::<{ ipv6::SRC }>(cursor, packet, source)
    }
}

#[inline(always)]
fn transport(cursor: &Cursor, packet: &Packet, difference: u64) -> bool {
    if packet.dst.protocol == protocol::TCP {
        let Some(header) = cursor.window::<{ tcp::LEN }>(packet.l4()) else { return false };
        let check = header.get::<u16, { tcp::CHECK }>();
        header.set::<u16, { tcp::CHECK }>(checksum::update(check, difference));
    } else {
        let Some(header) = cursor.window::<{ udp::LEN }>(packet.l4()) else { return false };
        update_udp(&header, difference);
    }
    true
}
