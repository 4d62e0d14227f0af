//! From bytes to one family-neutral [`Packet`].

pub mod icmp;
mod ip;
pub mod l4;
mod odd;
mod packet;

use lb_common::Verdict;

use crate::{
    cursor::Cursor,
    header::{eth, ports},
};
pub use odd::L3_MAX;
pub use packet::{Fragment, Packet, Parsed, Room};

/// The type of an Ethernet frame, in network byte order.
#[inline(always)]
pub fn ethertype(cursor: &Cursor) -> Option<u16> {
    Some(cursor.window::<{ eth::LEN }>(0)?.get::<u16, { eth::TYPE }>())
}

/// Read an IP packet that begins at `l3` of a frame that came in; `ethertype`
/// in network byte order.
#[inline(always)]
pub fn network<'a>(cursor: &Cursor, ethertype: u16, l3: usize, room: &'a mut Room) -> Parsed<'a> {
    match headers(cursor, ethertype, l3, room) {
        Parsed::Flow(packet) | Parsed::Fragment(packet) | Parsed::Icmp(packet)
            if !is_whole(cursor, packet) =>
        {
            Parsed::Unfit(packet, Verdict::DropTruncated)
        }
        parsed => parsed,
    }
}

/// The same, without a look at lengths: of a packet on its way out, the cursor
/// has but the linear part, and the header of a large one may not tell (BIG TCP).
#[inline(always)]
pub fn headers<'a>(cursor: &Cursor, ethertype: u16, l3: usize, room: &'a mut Room) -> Parsed<'a> {
    if ethertype == eth::IPV4 {
        ip::v4(cursor, l3, room)
    } else if ethertype == eth::IPV6 {
        ip::v6(cursor, l3, room)
    } else {
        Parsed::NotIp
    }
}

/// The frame may be padded, but not cut short of what the IP header says.
#[inline(always)]
fn is_whole(cursor: &Cursor, packet: &Packet) -> bool {
    let len = packet.len as usize;
    let least = if packet.is_later_fragment() { 1 } else { ports::LEN };
    len >= packet.l3_len + least && packet.l3 + len <= cursor.len()
}

#[cfg(test)]
mod tests;
