//! From bytes to one family-neutral [`Packet`].

pub mod ip;
pub mod l4;

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

/// What a frame turned out to be.
pub enum Parsed {
    /// Neither IPv4 nor IPv6, or not even a whole header of it.
    NotIp,
    /// TCP or UDP: all of [`Packet`] is there.
    Flow,
    /// An IP packet in an IP packet; `to.addr` and `client` are the outer ones.
    Tunnel,
    /// IP, but nothing that a service can take, and why; `to.addr` is there.
    Unfit(Verdict),
}

impl Packet {
    #[inline(always)]
    pub fn new() -> Self {
        Self {
            to: ServiceKey { addr: Addr::v4(0), port: 0, protocol: 0, pad: 0 },
            client: Addr::v4(0),
            client_port: 0,
            is_v4: false,
            tos: 0,
            l3: 0,
            l3_len: 0,
            len: 0,
        }
    }
}

/// Read an Ethernet frame.
#[inline(always)]
pub fn frame(cursor: &Cursor, packet: &mut Packet) -> Parsed {
    let Some(eth) = cursor.window::<ETH_LEN>(0) else { return Parsed::NotIp };
    network(cursor, eth.get::<u16, 12>(), ETH_LEN, packet)
}

/// Read an IP packet that begins at `l3`; `ethertype` in network byte order.
#[inline(always)]
pub fn network(cursor: &Cursor, ethertype: u16, l3: usize, packet: &mut Packet) -> Parsed {
    packet.l3 = l3;
    if ethertype == EtherType::Ipv4 as u16 {
        ip::v4(cursor, packet)
    } else if ethertype == EtherType::Ipv6 as u16 {
        ip::v6(cursor, packet)
    } else {
        Parsed::NotIp
    }
}
