//! Hosts, kinds of traffic, and client requests that all tables use.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    ops::RangeInclusive,
};

use lb_common::{Addr, hash, maps::FlowKey};

use crate::{
    packet::{self, ACK, Ip, Macs, Payload, SYN, Transport},
    services,
};

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Family {
    V4,
    V6,
}

pub const FAMILIES: [Family; 2] = [Family::V4, Family::V6];

/// A machine, or a VIP, by its addresses.
#[derive(Clone, Copy)]
pub struct Host {
    v4: Ipv4Addr,
    v6: Ipv6Addr,
}

pub const VIP: Host = host([192, 0, 2, 10], 0x10);
pub const CLIENT: Host = host([198, 51, 100, 7], 0xc7);
/// The director whose packets go to backends, and whose tunnels nodes accept.
pub const DIRECTOR: Host = host([10, 0, 0, 1], 0xd1);
/// The machine under test in the role of a node.
pub const NODE: Host = host([10, 0, 0, 11], 0xa1);
/// Another node, from which tunnels are accepted too.
pub const OTHER_NODE: Host = host([10, 0, 0, 12], 0xa2);
pub const STRANGER: Host = host([203, 0, 113, 9], 0x99);

/// A Pod on the node under test.
pub const fn pod(number: u8) -> Host {
    host([10, 1, 0, number], 0x1000 + number as u16)
}

/// Other nodes, owners or former owners of slots.
pub const fn fellow(number: u8) -> Host {
    host([10, 0, 1, number], 0xf00 + number as u16)
}

pub const FELLOWS: RangeInclusive<u8> = 1..=9;

const fn host(v4: [u8; 4], last: u16) -> Host {
    let [a, b, c, d] = v4;
    let v6 = Ipv6Addr::new(0x2001, 0xdb8, 0, last, 0xffff, 0, 0xfff0, last);
    Host { v4: Ipv4Addr::new(a, b, c, d), v6 }
}

impl Host {
    pub fn ip(self, family: Family) -> IpAddr {
        match family {
            Family::V4 => self.v4.into(),
            Family::V6 => self.v6.into(),
        }
    }

    /// Its address in the form that the maps use.
    pub fn addr(self, family: Family) -> Addr {
        Addr::from(self.ip(family))
    }
}

/// To the machine under test, from its router.
pub const ARRIVING: Macs = [2, 0, 0, 0, 0, 0xd1, 2, 0, 0, 0, 0, 0xee];
/// From the machine under test, to its router.
pub const LEAVING: Macs = [2, 0, 0, 0, 0, 0xee, 2, 0, 0, 0, 0, 0xd1];

/// One of the four kinds of traffic that services take.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Kind {
    pub family: Family,
    pub is_tcp: bool,
}

pub const KINDS: [Kind; 4] = [
    Kind { family: Family::V4, is_tcp: true },
    Kind { family: Family::V4, is_tcp: false },
    Kind { family: Family::V6, is_tcp: true },
    Kind { family: Family::V6, is_tcp: false },
];

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let protocol = if self.is_tcp { "TCP" } else { "UDP" };
        write!(f, "{protocol} over {:?}", self.family)
    }
}

impl Kind {
    pub fn protocol(self) -> u8 {
        if self.is_tcp { 6 } else { 17 }
    }

    pub fn header_len(self) -> usize {
        match self.family {
            Family::V4 => 20,
            Family::V6 => 40,
        }
    }

    /// The first packet of a client to this port of the VIP.
    pub fn request(self, port: u16) -> Request {
        let transport = if self.is_tcp { Transport::tcp(SYN) } else { Transport::udp() };
        let payload = Payload::Transport(transport.with_ports(40_001, port));
        let ip = Ip::new(CLIENT.ip(self.family), VIP.ip(self.family), payload);
        let ip = Ip { tos: 0xb8, id: 0x1c46, label: 0x3_1415, ttl: 57, ..ip };
        Request { kind: self, port, ip }
    }
}

/// What a client sends to a service.
#[derive(Clone, Debug)]
pub struct Request {
    pub kind: Kind,
    pub port: u16,
    pub ip: Ip,
}

impl Request {
    pub fn with_port(mut self, port: u16) -> Self {
        self.ip.transport().dst_port = port;
        Self { port, ..self }
    }

    pub fn with_client_port(mut self, port: u16) -> Self {
        self.ip.transport().src_port = port;
        self
    }

    pub fn with_tcp_flags(mut self, flags: u8) -> Self {
        self.ip.transport().set_tcp_flags(flags);
        self
    }

    /// Of TCP.
    pub fn with_sequence(mut self, sequence: u32) -> Self {
        self.ip.transport().set_tcp_numbers(sequence, 0);
        self
    }

    pub fn without_checksum(mut self) -> Self {
        self.ip.transport().remove_checksum();
        self
    }

    /// A packet later in the same flow.
    pub fn into_later_packet(self) -> Self {
        if self.kind.is_tcp { self.with_tcp_flags(ACK) } else { self }
    }

    /// With as much data as makes an IP packet of `len` bytes.
    pub fn with_len(mut self, len: usize) -> Self {
        self.ip.transport().data.clear();
        let headers = self.ip.bytes().len();
        self.ip.transport().data = (headers..len).map(|n| n as u8).collect();
        self
    }

    /// Length of the IP packet.
    pub fn len(&self) -> usize {
        self.ip.bytes().len()
    }

    /// The frame in which it arrives.
    pub fn frame(&self) -> Vec<u8> {
        packet::frame(ARRIVING, &self.ip)
    }

    /// The same packet, but from the address `distance` after the client's own.
    pub fn with_client_offset(mut self, distance: i8) -> Self {
        self.ip.src = match self.ip.src {
            IpAddr::V4(v4) => Ipv4Addr::from(u32::from(v4).wrapping_add_signed(distance.into())).into(),
            IpAddr::V6(v6) => Ipv6Addr::from(u128::from(v6).wrapping_add_signed(distance.into())).into(),
        };
        self
    }

    /// The same packet, but from another host.
    pub fn with_client(mut self, host: Host) -> Self {
        self.ip.src = host.ip(self.kind.family);
        self
    }

    /// The same packet, but to another address.
    pub fn with_destination(mut self, host: Host) -> Self {
        self.ip.dst = host.ip(self.kind.family);
        self
    }

    /// The id of the service it is for.
    pub fn service(&self) -> u32 {
        services::service_id(self.kind, self.port)
    }

    pub fn client_port(&self) -> u16 {
        self.ip.clone().transport().src_port
    }

    pub fn hash(&self) -> u64 {
        let port = if services::has_affinity(self.port) { 0 } else { self.client_port().to_be() };
        hash::flow(&Addr::from(self.ip.src), port)
    }

    /// As flow tables have it.
    pub fn flow(&self) -> FlowKey {
        let client_port = self.client_port().to_be();
        FlowKey { client: Addr::from(self.ip.src), service: self.service(), client_port, incarnation: 0 }
    }
}
