//! From bytes to one family-neutral [`Packet`].

pub mod icmp;
pub mod ip;
pub mod l4;
mod odd;

use core::mem::MaybeUninit;

use lb_common::{
    Addr, Verdict, gue, hash,
    maps::{Service, ServiceKey, service_flags},
};
use network_types::eth::EtherType;

use crate::cursor::Cursor;

/// Length of an Ethernet header without tags.
pub const ETH_LEN: usize = 14;

/// The longest IP header that is read, extension headers included.
pub const L3_MAX: usize = ip::V6_LEN + odd::MAX_EXTENSIONS_LEN;

/// A TCP or UDP packet, up to its ports; or an ICMP error about one, which
/// goes where packets of that flow go.
pub struct Packet {
    /// What it is addressed to: destination, port, protocol. In the form of a
    /// service's key, since most packets are looked up by it.
    pub dst: ServiceKey,
    pub src: Addr,
    /// Network byte order.
    pub src_port: u16,
    pub is_v4: bool,
    /// Type of service or traffic class.
    pub tos: u8,
    /// Where the IP header begins, in bytes from the start of the frame.
    pub l3: usize,
    /// Length of the IP header, options and extension headers included.
    pub l3_len: usize,
    /// Length of the IP packet, header included; the frame has as much.
    pub len: u16,
    /// Of the headers behind the IP header, a later fragment has none.
    pub fragment: Fragment,
    /// Of a fragment: its identification, as it stands in the header.
    pub id: u32,
    /// Of an ICMP error: where the IP header that it quotes begins, in bytes
    /// from the start of the frame. `src` and `dst` are those of requests of the
    /// flow. 0 of all other packets.
    pub quote: u16,
}

/// Which part of a packet this is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Fragment {
    /// The whole, also if it says that it might be less (RFC 6946).
    None,
    First,
    Later,
}

impl Fragment {
    #[inline(always)]
    fn of(offset: u16, more: u16) -> Self {
        match (offset, more) {
            (0, 0) => Self::None,
            (0, _) => Self::First,
            _ => Self::Later,
        }
    }
}

/// Room for a [`Packet`]. It is written once, whole, when all is known: zeros
/// to begin with would cost more than all the rest of parsing.
pub type Room = MaybeUninit<Packet>;

/// What a frame turned out to be.
pub enum Parsed<'a> {
    /// Neither IPv4 nor IPv6, or not even a whole header of it.
    NotIp,
    /// TCP or UDP: all of [`Packet`] is there.
    Flow(&'a mut Packet),
    /// A fragment of the same. The first has ports, later ones have none, and
    /// in IPv6 perhaps not even the right protocol.
    Fragment(&'a mut Packet),
    /// ICMP or ICMPv6: a [`Packet`] without ports; see [`icmp`].
    Icmp(&'a mut Packet),
    /// An IP packet in an IP packet; `src` and `dst.addr` are the outer ones.
    Tunnel(&'a Packet),
    /// IP, but nothing that a service can take, and why; `dst.addr` is there.
    Unfit(&'a Packet, Verdict),
}

impl Parsed<'_> {
    /// What was read of an IP packet, whatever it is.
    #[inline(always)]
    pub fn packet(&self) -> Option<&Packet> {
        match self {
            Self::NotIp => None,
            Self::Flow(packet) | Self::Fragment(packet) | Self::Icmp(packet) => Some(packet),
            Self::Tunnel(packet) | Self::Unfit(packet, _) => Some(packet),
        }
    }
}

/// The type of an Ethernet frame, in network byte order.
#[inline(always)]
pub fn ethertype(cursor: &Cursor) -> Option<u16> {
    Some(cursor.window::<ETH_LEN>(0)?.get::<u16, 12>())
}

/// Read an IP packet that begins at `l3` of a frame that came in; `ethertype`
/// in network byte order.
#[inline(always)]
pub fn network<'a>(cursor: &Cursor, ethertype: u16, l3: usize, room: &'a mut Room) -> Parsed<'a> {
    match headers(cursor, ethertype, l3, room) {
        Parsed::Flow(packet) | Parsed::Fragment(packet) | Parsed::Icmp(packet)
            if !packet.is_whole(cursor) =>
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
    if ethertype == EtherType::Ipv4 as u16 {
        ip::v4(cursor, l3, room)
    } else if ethertype == EtherType::Ipv6 as u16 {
        ip::v6(cursor, l3, room)
    } else {
        Parsed::NotIp
    }
}

impl Packet {
    /// Is it to the port of Generic UDP Encapsulation?
    #[inline(always)]
    pub fn is_gue(&self) -> bool {
        self.dst.port == gue::PORT.to_be() && self.dst.protocol == l4::UDP && self.quote == 0
    }

    /// Then there are no ports to be read or written.
    #[inline(always)]
    pub fn is_later_fragment(&self) -> bool {
        self.fragment == Fragment::Later
    }

    /// The flow hash, by which slot and endpoint are chosen.
    #[inline(always)]
    pub fn own_hash(&self) -> u64 {
        hash::flow(&self.src, self.src_port)
    }

    /// The same; of a service that keeps clients with their endpoints, it is one
    /// for all flows of a client.
    #[inline(always)]
    pub fn hash(&self, service: &Service) -> u64 {
        let port = if service.flags & service_flags::AFFINITY == 0 { self.src_port } else { 0 };
        hash::flow(&self.src, port)
    }

    /// The frame may be padded, but not cut short of what the IP header says.
    #[inline(always)]
    fn is_whole(&self, cursor: &Cursor) -> bool {
        let len = self.len as usize;
        let least = if self.is_later_fragment() { 1 } else { l4::PORTS_LEN };
        len >= self.l3_len + least && self.l3 + len <= cursor.len()
    }
}
