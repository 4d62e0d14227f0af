//! A new destination for an ICMP error, and so a new source for the packet in
//! it: to the Pod, which never sent from the VIP, it has to quote what the Pod
//! sent. All checksums are brought up to date (RFC 1624), the message's own by
//! the sum of all that changes in it.

use lb_common::checksum;

use super::{address::update_udp, destination::Target};
use crate::{
    cursor::{Cursor, Window},
    header::{icmp, ipv4, ipv6, ports, protocol, tcp, udp},
    parse::{Packet, icmp::quoted_header_len},
};

/// Rewrite destination, and quoted source address and both ports, to the
/// endpoint.
#[inline(always)]
pub fn rewrite(cursor: &Cursor, packet: &Packet, to: &Target) -> Option<()> {
    let address = checksum::difference(&packet.dst.addr.words(), &to.endpoint.addr.words());
    let header =
        if packet.is_v4 { v4(cursor, packet, to, address)? } else { v6(cursor, packet, to, address)? };
    let transport = transport(cursor, packet, to, address)?;
    update_message(cursor, packet, header + transport)
}

/// Rewrite source and quoted destination to what the message is about: to an endpoint that sees
/// the VIP as its client, which the VIP then has told, about what it has sent to the VIP. After
/// [`rewrite`].
#[inline(always)]
pub fn hide_client(cursor: &Cursor, packet: &Packet) -> Option<()> {
    let vip = packet.dst.addr.words();
    let client = checksum::difference(&packet.src.words(), &vip);
    let (header, at) = (packet.l3, packet.quote as usize);
    let changed = if packet.is_v4 {
        let header = cursor.window::<{ ipv4::LEN }>(header)?;
        let quoted = cursor.window::<{ ipv4::LEN }>(at)?;
        let sender = checksum::difference(&[header.get::<u32, { ipv4::SRC }>()], &[vip[3]]);
        header.set::<u32, { ipv4::SRC }>(vip[3]);
        header.set::<u16, { ipv4::CHECK }>(checksum::update(header.get::<u16, { ipv4::CHECK }>(), sender));
        quoted.set::<u32, { ipv4::DST }>(vip[3]);
        client + change::<{ ipv4::CHECK }, { ipv4::LEN }>(&quoted, client)
    } else {
        let header = cursor.window::<{ ipv6::LEN }>(header)?;
        let quoted = cursor.window::<{ ipv6::LEN }>(at)?;
        let sender = checksum::difference(&header.words::<{ ipv6::SRC }>(), &vip);
        header.set_words::<{ ipv6::SRC }>(vip);
        quoted.set_words::<{ ipv6::DST }>(vip);
        client + sender
    };
    let changed = changed + checks(cursor, packet, at + quoted_header_len(cursor, packet), client)?;
    update_message(cursor, packet, changed)
}

#[inline(always)]
fn transport(cursor: &Cursor, packet: &Packet, to: &Target, address: u64) -> Option<u64> {
    let at = packet.quote as usize + quoted_header_len(cursor, packet);
    let header = cursor.window::<{ ports::LEN }>(at)?;
    header.set::<u16, { ports::SRC }>(to.endpoint.port);
    header.set::<u16, { ports::DST }>(to.client_port);
    let old = [packet.dst.port as u32, packet.src_port as u32];
    let port = checksum::difference(&old, &[to.endpoint.port as u32, to.client_port as u32]);
    Some(port + checks(cursor, packet, at, address + port)?)
}

/// The checksum of what is quoted, which lies at `at`.
#[inline(always)]
fn checks(cursor: &Cursor, packet: &Packet, at: usize, difference: u64) -> Option<u64> {
    if packet.dst.protocol == protocol::TCP {
        return Some(in_tcp(cursor, packet, at, difference));
    }
    Some(in_udp(&cursor.window::<{ udp::LEN }>(at)?, difference))
}

/// The message's own checksum, looked up last for the sake of the stack.
#[inline(always)]
fn update_message(cursor: &Cursor, packet: &Packet, difference: u64) -> Option<()> {
    let message = cursor.window::<{ icmp::LEN }>(packet.l4())?;
    let check = message.get::<u16, { icmp::CHECK }>();
    message.set::<u16, { icmp::CHECK }>(checksum::update(check, difference));
    Some(())
}

/// The IP headers. The sum of the quoted one stays what it was.
#[inline(always)]
fn v4(cursor: &Cursor, packet: &Packet, to: &Target, address: u64) -> Option<u64> {
    let header = cursor.window::<{ ipv4::LEN }>(packet.l3)?;
    let quoted = cursor.window::<{ ipv4::LEN }>(packet.quote as usize)?;
    header.set::<u32, { ipv4::DST }>(to.endpoint.addr.words()[3]);
    header.set::<u16, { ipv4::CHECK }>(checksum::update(header.get::<u16, { ipv4::CHECK }>(), address));
    quoted.set::<u32, { ipv4::SRC }>(to.endpoint.addr.words()[3]);
    Some(address + change::<{ ipv4::CHECK }, { ipv4::LEN }>(&quoted, address))
}

/// The addresses of both headers: the message's checksum covers its own too.
#[inline(always)]
fn v6(cursor: &Cursor, packet: &Packet, to: &Target, address: u64) -> Option<u64> {
    let header = cursor.window::<{ ipv6::LEN }>(packet.l3)?;
    let quoted = cursor.window::<{ ipv6::LEN }>(packet.quote as usize)?;
    header.set_words::<{ ipv6::DST }>(to.endpoint.addr.words());
    quoted.set_words::<{ ipv6::SRC }>(to.endpoint.addr.words());
    Some(address + address)
}

/// Not all errors quote as much as the checksum.
#[inline(always)]
fn in_tcp(cursor: &Cursor, packet: &Packet, at: usize, difference: u64) -> u64 {
    const LEN: usize = tcp::CHECK + 2;
    if at + LEN > packet.l3 + packet.len as usize {
        return 0;
    }
    cursor.window::<LEN>(at).map_or(0, |header| change::<{ tcp::CHECK }, LEN>(&header, difference))
}

#[inline(always)]
fn in_udp(header: &Window<{ udp::LEN }>, difference: u64) -> u64 {
    let old = header.get::<u16, { udp::CHECK }>();
    update_udp(header, difference);
    checksum::difference(&[old as u32], &[header.get::<u16, { udp::CHECK }>() as u32])
}

/// Bring the checksum at byte `AT` up to date; what that changes in the sum of
/// the message.
#[inline(always)]
fn change<const AT: usize, const N: usize>(header: &Window<N>, difference: u64) -> u64 {
    let old = header.get::<u16, AT>();
    let new = checksum::update(old, difference);
    header.set::<u16, AT>(new);
    checksum::difference(&[old as u32], &[new as u32])
}
