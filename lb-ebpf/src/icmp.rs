//! ICMP to a VIP: errors go where the flow goes that they are about, echo
//! requests are answered.

use lb_common::{Verdict, maps::vip_flags};

use crate::{
    cursor::{Cursor, Window},
    maps::VIPS,
    parse::{
        ETH_LEN, Packet,
        icmp::{self, Message},
        ip,
    },
};

/// `Ok` if the packet is one of a flow from now on: an error about it.
///
/// Takes a cursor and not the context, as in `drops::report`.
#[inline(never)]
pub fn receive(cursor: &Cursor, packet: &mut Packet, is_director: bool) -> Result<(), Verdict> {
    // SAFETY: one aligned word, written whole.
    let Some(vip) = (unsafe { VIPS.get(&packet.dst.addr) }) else { return Err(Verdict::Pass) };
    match icmp::message(cursor, packet) {
        Message::Error if icmp::quoted(cursor, packet) => Ok(()),
        Message::Echo if is_director && vip.flags & vip_flags::ECHO != 0 => Err(echo(cursor, packet)),
        // A solicitation of a neighbour that believes the VIP to be here.
        Message::Neighbour => Err(Verdict::Pass),
        _ => Err(Verdict::DropIcmp),
    }
}

/// Make an echo request its own reply, and send it back.
#[inline(always)]
fn echo(cursor: &Cursor, packet: &Packet) -> Verdict {
    let done = if packet.is_v4 { echo_v4(cursor, packet) } else { echo_v6(cursor, packet) };
    // With options: they would need answers of their own (RFC 1122 section 3.2.2.6).
    if done.is_none() || swap_macs(cursor, 0).is_none() {
        return Verdict::DropIcmp;
    }
    Verdict::EchoReply
}

/// The checksum of the message covers the type alone of what changes; that of
/// the header is indifferent to the order of addresses.
#[inline(always)]
fn echo_v4(cursor: &Cursor, packet: &Packet) -> Option<()> {
    let header = whole::<{ ip::V4_LEN + icmp::LEN }>(cursor, packet, ip::V4_LEN)?;
    let (client, vip) = (header.get::<u32, 12>(), header.get::<u32, 16>());
    header.set::<u32, 12>(vip);
    header.set::<u32, 16>(client);
    let old = header.get::<u16, 8>();
    header.set::<u8, 8>(ip::TTL);
    header.replace::<8, 10>(old);
    let old = header.get::<u16, 20>();
    header.set::<u8, 20>(icmp::V4_ECHO_REPLY);
    header.replace::<20, 22>(old);
    Some(())
}

#[inline(always)]
fn echo_v6(cursor: &Cursor, packet: &Packet) -> Option<()> {
    let header = whole::<{ ip::V6_LEN + icmp::LEN }>(cursor, packet, ip::V6_LEN)?;
    let (client, vip) = (header.words::<8>(), header.words::<24>());
    header.set_words::<8>(vip);
    header.set_words::<24>(client);
    header.set::<u8, 7>(ip::TTL);
    let old = header.get::<u16, 40>();
    header.set::<u8, 40>(icmp::V6_ECHO_REPLY);
    header.replace::<40, 42>(old);
    Some(())
}

/// The headers of a packet whose IP header is as short as can be.
#[inline(always)]
fn whole<const N: usize>(cursor: &Cursor, packet: &Packet, header_len: usize) -> Option<Window<N>> {
    if packet.l3_len == header_len { cursor.window::<N>(packet.l3) } else { None }
}

/// Back to where it came from: an Ethernet header at the start of the frame,
/// made from the one at `old`.
#[inline(always)]
pub fn swap_macs(cursor: &Cursor, old: usize) -> Option<()> {
    let old = cursor.window::<ETH_LEN>(old)?;
    let (to, to_rest) = (old.get::<u32, 0>(), old.get::<u16, 4>());
    let (from, from_rest) = (old.get::<u32, 6>(), old.get::<u16, 10>());
    let ethertype = old.get::<u16, 12>();
    let new = cursor.window::<ETH_LEN>(0)?;
    new.set::<u32, 0>(from);
    new.set::<u16, 4>(from_rest);
    new.set::<u32, 6>(to);
    new.set::<u16, 10>(to_rest);
    new.set::<u16, 12>(ethertype);
    Some(())
}
