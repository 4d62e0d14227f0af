//! From bytes to one family-neutral [`Packet`].

pub mod ip;
pub mod l4;

use core::mem::MaybeUninit;

use lb_common::{Addr, Verdict, maps::ServiceKey};
use network_types::eth::EtherType;

use crate::cursor::Cursor;

/// Length of an Ethernet header without tags.
pub const ETH_LEN: usize = 14;

/// A TCP or UDP packet, up to its ports.
pub struct Packet {
    /// What it is addressed to: destination, port, protocol.
    pub to: ServiceKey,
    pub client: Addr,
    /// Network byte order.
    pub client_port: u16,
    pub is_v4: bool,
    /// Type of service or traffic class.
    pub tos: u8,
    /// Where the IP header begins, in bytes from the start of the frame.
    pub l3: usize,
    /// Length of the IP header.
    pub l3_len: usize,
    /// Length of the IP packet, header included; the frame has as much.
    pub len: u16,
}

/// Room for a [`Packet`]. It is written once, whole, when all is known: zeros
/// to begin with would cost more than all the rest of parsing.
pub type Room = MaybeUninit<Packet>;

/// What a frame turned out to be.
pub enum Parsed<'a> {
    /// Neither IPv4 nor IPv6, or not even a whole header of it.
    NotIp,
    /// TCP or UDP: all of [`Packet`] is there.
    Flow(&'a Packet),
    /// An IP packet in an IP packet; `to.addr` and `client` are the outer ones.
    Tunnel(&'a Packet),
    /// IP, but nothing that a service can take, and why; `to.addr` is there.
    Unfit(&'a Packet, Verdict),
}

/// Read an Ethernet frame that came in.
#[inline(always)]
pub fn frame<'a>(cursor: &Cursor, room: &'a mut Room) -> Parsed<'a> {
    let Some(eth) = cursor.window::<ETH_LEN>(0) else { return Parsed::NotIp };
    network(cursor, eth.get::<u16, 12>(), ETH_LEN, room)
}

/// Read an IP packet that begins at `l3` of a frame that came in; `ethertype`
/// in network byte order.
#[inline(always)]
pub fn network<'a>(cursor: &Cursor, ethertype: u16, l3: usize, room: &'a mut Room) -> Parsed<'a> {
    match headers(cursor, ethertype, l3, room) {
        Parsed::Flow(packet) if !packet.is_whole(cursor) => Parsed::Unfit(packet, Verdict::DropTruncated),
        parsed => parsed,
    }
}

/// The same, without a look at lengths: of a packet on its way out, the cursor
/// has but the linear part, and the header of a large one may not tell (BIG TCP).
#[inline(always)]
pub fn headers<'a>(cursor: &Cursor, ethertype: u16, l3: usize, room: &'a mut Room) -> Parsed<'a> {
    if ethertype == EtherType::Ipv4 as u16 {
        ip::v4(cursor, l3, room)
    } else if ethertype == EtherType::Ipv6 as u16 {
        ip::v6(cursor, l3, room)
    } else {
        Parsed::NotIp
    }
}

impl Packet {
    /// The frame may be padded, but not cut short of what the IP header says.
    #[inline(always)]
    fn is_whole(&self, cursor: &Cursor) -> bool {
        let len = self.len as usize;
        len >= self.l3_len + l4::PORTS_LEN && self.l3 + len <= cursor.len()
    }
}
