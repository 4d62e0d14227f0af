//! What is read of a packet.

use core::mem::MaybeUninit;

use lb_common::{
    Addr, Verdict, hash,
    maps::{FlowKey, Service, ServiceKey, service_flags},
};

/// A TCP or UDP packet, up to its ports; or an ICMP error about one, which
/// goes where packets of that flow go.
#[derive(Debug)]
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

impl Packet {
    /// Where the header behind the IP header begins.
    #[inline(always)]
    pub fn l4(&self) -> usize {
        self.l3 + self.l3_len
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

    /// The flow that it belongs to.
    #[inline(always)]
    pub fn flow_key(&self, service: &Service) -> FlowKey {
        FlowKey {
            client: self.src,
            service: service.id,
            client_port: self.src_port,
            incarnation: service.incarnation(),
        }
    }
}

/// Which part of a packet this is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fragment {
    /// The whole, also if it says that it might be less (RFC 6946).
    None,
    First,
    Later,
}

impl Fragment {
    #[inline(always)]
    pub fn of(offset: u16, more: u16) -> Self {
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
#[derive(Debug)]
pub enum Parsed<'a> {
    /// Neither IPv4 nor IPv6, or not even a whole header of it.
    NotIp,
    /// TCP or UDP: all of [`Packet`] is there.
    Flow(&'a mut Packet),
    /// A fragment of the same. The first has ports, later ones have none, and
    /// in IPv6 perhaps not even the right protocol.
    Fragment(&'a mut Packet),
    /// ICMP or ICMPv6: a [`Packet`] without ports; see `parse::icmp`.
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
