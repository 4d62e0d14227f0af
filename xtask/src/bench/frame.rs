//! The frame that a case sends.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use lb_common::checksum;

/// The longest frame: GUE over IPv6. The wrapper restores frames in words.
pub const MAX_LEN: usize = 136;
const ETH_LEN: usize = 14;
/// Length of every IP packet that is in no other.
const IP_LEN: usize = 66;
const UDP_AND_GUE: usize = 12;
const GUE_PORT: u16 = lb_common::gue::PORT;

pub const TCP: u8 = 6;
pub const UDP: u8 = 17;
const ACK: u8 = 0x10;
const SYN: u8 = 0x02;

/// The virtual addresses of the benchmark.
pub const VIP4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 10);
pub const VIP6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 10);
/// A Pod's addresses, whose last bytes no other address has.
pub const POD4: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 77);
pub const POD6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xf, 0, 0, 0, 0, 77);
/// Of the tunnel to the node.
pub const DIRECTOR4: Ipv4Addr = Ipv4Addr::new(10, 255, 0, 1);
pub const DIRECTOR6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xd, 0, 0, 0, 0, 1);
pub const NODE4: Ipv4Addr = Ipv4Addr::new(10, 254, 0, 1);
pub const NODE6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xb, 0, 0, 0, 0, 1);
/// Addresses that no service has.
const ELSEWHERE4: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 1);
const ELSEWHERE6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0xe, 0, 0, 0, 0, 1);

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Family {
    V4,
    V6,
}

/// To whom the packets of a case go.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum To {
    Vip,
    Elsewhere,
    /// From a Pod.
    Client,
}

/// What is around a packet that a director sends; of the packet's own family.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Within {
    Nothing,
    Ip,
    Gue,
}

/// The packets of a case.
#[derive(Clone, Copy)]
pub struct Traffic {
    pub to: To,
    pub family: Family,
    pub protocol: u8,
    /// The port that is not the client's.
    pub port: u16,
    /// 0: every packet opens a flow of its own.
    pub flows: u32,
    pub within: Within,
}

/// The address of a client, as far as it is not its flow's own.
pub fn client(family: Family, flow: u32) -> IpAddr {
    match family {
        Family::V4 => Ipv4Addr::from(0x0a00_0000 + flow).into(),
        Family::V6 => {
            let [high, low] = [(0x0a00_0000 + flow) >> 16, flow & 0xffff].map(|word| word as u16);
            Ipv6Addr::new(0x2001, 0xdb8, 0xc, 0, 0, 0, high, low).into()
        }
    }
}

/// The port of the same client.
pub fn client_port(flow: u32) -> u16 {
    1024 + flow as u16 % 60_000
}

impl Traffic {
    fn header_len(&self) -> usize {
        match self.family {
            Family::V4 => 20,
            Family::V6 => 40,
        }
    }

    /// Bytes around the packet.
    pub fn outer_len(&self) -> usize {
        match self.within {
            Within::Nothing => 0,
            Within::Ip => self.header_len(),
            Within::Gue => self.header_len() + UDP_AND_GUE,
        }
    }

    /// Where the packet begins that is in no other.
    fn ip_at(&self) -> usize {
        ETH_LEN + self.outer_len()
    }

    /// Where the last word of its source address is.
    pub fn source_at(&self) -> u32 {
        let within = if self.family == Family::V4 { 12 } else { 20 };
        (self.ip_at() + within) as u32
    }

    /// Where the last word of its destination address is.
    pub fn destination_at(&self) -> u32 {
        let within = if self.family == Family::V4 { 16 } else { 36 };
        (self.ip_at() + within) as u32
    }

    /// Where TTL or hop limit is.
    pub fn ttl_at(&self) -> u32 {
        let within = if self.family == Family::V4 { 8 } else { 7 };
        (self.ip_at() + within) as u32
    }

    /// Where the last word of the client's address is.
    pub fn address_at(&self) -> u32 {
        if self.to == To::Client { self.destination_at() } else { self.source_at() }
    }

    /// Where the client's port is.
    pub fn port_at(&self) -> u32 {
        let within = if self.to == To::Client { 2 } else { 0 };
        (self.ip_at() + self.header_len() + within) as u32
    }

    /// The frame, but for the client's last word and port; padded to words.
    pub fn frame(&self) -> Vec<u8> {
        let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
        let ethertype: u16 = if self.family == Family::V4 { 0x0800 } else { 0x86dd };
        frame.extend(ethertype.to_be_bytes());
        frame.extend(self.outer_headers());
        frame.extend(self.ip_header(self.source_and_destination(), self.protocol, IP_LEN));
        frame.extend(self.transport_header());
        frame.resize(frame.len().next_multiple_of(8), 0);
        frame
    }

    /// Source and destination.
    fn source_and_destination(&self) -> (IpAddr, IpAddr) {
        let of = |v4: Ipv4Addr, v6: Ipv6Addr| match self.family {
            Family::V4 => IpAddr::from(v4),
            Family::V6 => v6.into(),
        };
        let client = client(self.family, 0);
        match self.to {
            To::Vip => (client, of(VIP4, VIP6)),
            To::Elsewhere => (client, of(ELSEWHERE4, ELSEWHERE6)),
            To::Client => (of(POD4, POD6), client),
        }
    }

    fn outer_headers(&self) -> Vec<u8> {
        let ends = match self.family {
            Family::V4 => (DIRECTOR4.into(), NODE4.into()),
            Family::V6 => (DIRECTOR6.into(), NODE6.into()),
        };
        let inside = if self.family == Family::V4 { 4 } else { 41 };
        let len = self.outer_len() + IP_LEN;
        match self.within {
            Within::Nothing => Vec::new(),
            Within::Ip => self.ip_header(ends, inside, len),
            Within::Gue => {
                let mut outer = self.ip_header(ends, UDP, len);
                outer.extend([49_152u16, GUE_PORT].map(u16::to_be_bytes).concat());
                outer.extend(((len - self.header_len()) as u16).to_be_bytes());
                outer.extend([0, 0, 0, inside, 0, 0]);
                outer
            }
        }
    }

    /// Of an IP packet of `len` bytes. Its checksum is that of a client's first address: of inner packets no
    /// program here verifies it.
    fn ip_header(&self, (src, dst): (IpAddr, IpAddr), protocol: u8, len: usize) -> Vec<u8> {
        match (src, dst) {
            (IpAddr::V4(src), IpAddr::V4(dst)) => {
                let [high, low] = (len as u16).to_be_bytes();
                let fixed = [0x45, 0, high, low, 0, 0, 0x40, 0, 64, protocol, 0, 0];
                with_checksum([&fixed[..], &src.octets(), &dst.octets()].concat())
            }
            (src, dst) => {
                let [high, low] = ((len - 40) as u16).to_be_bytes();
                let octets = |ip| match ip {
                    IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
                    IpAddr::V6(ip) => ip.octets(),
                };
                let fixed = [0x60, 0, 0, 0, high, low, protocol, 64];
                [&fixed[..], &octets(src), &octets(dst)].concat()
            }
        }
    }

    fn transport_header(&self) -> Vec<u8> {
        let mut header = vec![0; IP_LEN - self.header_len()];
        let port_at = if self.to == To::Client { 0 } else { 2 };
        header[port_at..port_at + 2].copy_from_slice(&self.port.to_be_bytes());
        if self.protocol == UDP {
            let len = header.len() as u16;
            header[4..6].copy_from_slice(&len.to_be_bytes());
            // Not zero, which would say that there is no checksum.
            header[6] = 1;
        } else {
            header[12] = 5 << 4;
            header[13] = if self.flows == 0 { SYN } else { ACK };
        }
        header
    }
}

/// Of an IPv4 header.
fn with_checksum(mut header: Vec<u8>) -> Vec<u8> {
    let words = header.chunks_exact(2).map(|word| u64::from(u16::from_ne_bytes([word[0], word[1]])));
    let check = !checksum::fold(words.sum());
    header[10..12].copy_from_slice(&check.to_ne_bytes());
    header
}
