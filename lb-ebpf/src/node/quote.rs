//! A new destination for an ICMP error, and so a new source for the packet in
//! it: to the Pod, which never sent from the VIP, it has to quote what the Pod
//! sent. All checksums are brought up to date (RFC 1624), the message's own by
//! the sum of all that changes in it.

use lb_common::{Verdict, checksum, maps::NodeFlow};

use crate::{
    cursor::{Cursor, Window},
    maps::NODE_FLOWS,
    parse::{Packet, icmp, ip, l4},
    scratch,
};

/// Rewrite destination, and quoted source address and both ports, to the
/// endpoint of the flow that was just looked up.
#[inline(never)]
pub fn destination(cursor: &Cursor, packet: &Packet) -> Verdict {
    let Some(scratch) = scratch::flow() else { return Verdict::DropFlowTable };
    // SAFETY: entries are replaced, never changed in place.
    let Some(to) = (unsafe { NODE_FLOWS.get(&scratch.flow) }) else { return Verdict::DropIcmpFlow };
    if rewrite(cursor, packet, to).is_some() { Verdict::Deliver } else { Verdict::DropTruncated }
}

#[inline(always)]
fn rewrite(cursor: &Cursor, packet: &Packet, to: &NodeFlow) -> Option<()> {
    let address = checksum::difference(&packet.dst.addr.words(), &to.addr.words());
    let header =
        if packet.is_v4 { v4(cursor, packet, to, address)? } else { v6(cursor, packet, to, address)? };
    let transport = transport(cursor, packet, to, address)?;
    // Looked up last, for the sake of the stack.
    let message = cursor.window::<{ icmp::LEN }>(packet.l3 + packet.l3_len)?;
    message.set::<u16, 2>(checksum::update(message.get::<u16, 2>(), header + transport));
    Some(())
}

#[inline(always)]
fn transport(cursor: &Cursor, packet: &Packet, to: &NodeFlow, address: u64) -> Option<u64> {
    let at = packet.quote as usize + icmp::quoted_header_len(cursor, packet);
    let ports = cursor.window::<{ l4::PORTS_LEN }>(at)?;
    ports.set::<u16, 0>(to.port);
    ports.set::<u16, 2>(to.client_port);
    let old = [packet.dst.port as u32, packet.src_port as u32];
    let port = checksum::difference(&old, &[to.port as u32, to.client_port as u32]);
    let check = if packet.dst.protocol == l4::TCP {
        tcp(cursor, packet, at, address + port)
    } else {
        udp(&ports, address + port)
    };
    Some(port + check)
}

/// The IP headers. The sum of the quoted one stays what it was.
#[inline(always)]
fn v4(cursor: &Cursor, packet: &Packet, to: &NodeFlow, address: u64) -> Option<u64> {
    let header = cursor.window::<{ ip::V4_LEN }>(packet.l3)?;
    let quoted = cursor.window::<{ ip::V4_LEN }>(packet.quote as usize)?;
    header.set::<u32, 16>(to.addr.words()[3]);
    header.set::<u16, 10>(checksum::update(header.get::<u16, 10>(), address));
    quoted.set::<u32, 12>(to.addr.words()[3]);
    Some(address + change::<10, 20>(&quoted, address))
}

/// The addresses of both headers: the message's checksum covers its own too.
#[inline(always)]
fn v6(cursor: &Cursor, packet: &Packet, to: &NodeFlow, address: u64) -> Option<u64> {
    let header = cursor.window::<{ ip::V6_LEN }>(packet.l3)?;
    let quoted = cursor.window::<{ ip::V6_LEN }>(packet.quote as usize)?;
    header.set_words::<24>(to.addr.words());
    quoted.set_words::<8>(to.addr.words());
    Some(address + address)
}

/// Not all errors quote as much as the checksum.
#[inline(always)]
fn tcp(cursor: &Cursor, packet: &Packet, at: usize, difference: u64) -> u64 {
    const LEN: usize = 18;
    if at + LEN > packet.l3 + packet.len as usize {
        return 0;
    }
    cursor.window::<LEN>(at).map_or(0, |header| change::<16, LEN>(&header, difference))
}

/// Zero stands for none.
#[inline(always)]
fn udp(header: &Window<{ l4::PORTS_LEN }>, difference: u64) -> u64 {
    if header.get::<u16, 6>() == 0 { 0 } else { change::<6, { l4::PORTS_LEN }>(header, difference) }
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
