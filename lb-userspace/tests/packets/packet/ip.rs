//! IPv4 and IPv6 as one type, with the fields of both.

use std::net::IpAddr;

use super::{
    Icmp, Transport,
    checksum::{octets, sum},
};

/// "Don't fragment", the usual flags of an IPv4 packet.
const DONT_FRAGMENT: u16 = 0x4000;

/// An IP packet.
#[derive(Clone, Debug)]
pub struct Ip {
    pub src: IpAddr,
    pub dst: IpAddr,
    /// Type of service or traffic class.
    pub tos: u8,
    /// Time to live or hop limit.
    pub ttl: u8,
    /// IPv4 only.
    pub id: u16,
    /// IPv4 only: flags and fragment offset.
    pub fragment: u16,
    /// IPv4 only, a multiple of four bytes.
    pub options: Vec<u8>,
    /// IPv6 only, outermost first.
    pub extensions: Vec<Extension>,
    /// IPv6 only: the flow label.
    pub label: u32,
    pub payload: Payload,
}

/// An extension header of IPv6: its type, and all of it but the first byte,
/// which names what follows.
#[derive(Clone, Debug)]
pub struct Extension {
    pub kind: u8,
    pub body: Vec<u8>,
}

/// What a packet carries.
#[derive(Clone, Debug)]
pub enum Payload {
    Transport(Transport),
    Icmp(Icmp),
    Ip(Box<Ip>),
    Other { protocol: u8, bytes: Vec<u8> },
}

impl Ip {
    /// With a TTL of 64, "don't fragment", and neither options nor extension headers.
    pub fn new(src: IpAddr, dst: IpAddr, payload: Payload) -> Self {
        let (id, fragment, options, extensions) = (0, DONT_FRAGMENT, Vec::new(), Vec::new());
        Self { src, dst, tos: 0, ttl: 64, id, fragment, options, extensions, label: 0, payload }
    }

    pub fn is_v4(&self) -> bool {
        self.dst.is_ipv4()
    }

    /// Length of the header, with all that belongs to it.
    pub fn header_len(&self) -> usize {
        if self.is_v4() { 20 + self.options.len() } else { 40 + self.extension_bytes().len() }
    }

    /// The whole packet.
    pub fn bytes(&self) -> Vec<u8> {
        let payload = self.payload.bytes(self.src, self.dst);
        let header = if self.is_v4() { self.v4_header(payload.len()) } else { self.v6_header(payload.len()) };
        [header, payload].concat()
    }

    fn v4_header(&self, payload_len: usize) -> Vec<u8> {
        let len = self.header_len();
        let mut header = vec![0x40 | (len / 4) as u8, self.tos];
        header.extend(((len + payload_len) as u16).to_be_bytes());
        header.extend(self.id.to_be_bytes());
        header.extend(self.fragment.to_be_bytes());
        header.extend([self.ttl, self.payload.protocol(), 0, 0]);
        header.extend([octets(self.src), octets(self.dst), self.options.clone()].concat());
        let check = !sum(&[&header]);
        header[10..12].copy_from_slice(&check.to_be_bytes());
        header
    }

    fn v6_header(&self, payload_len: usize) -> Vec<u8> {
        let first = 6 << 28 | u32::from(self.tos) << 20 | self.label;
        let mut header = first.to_be_bytes().to_vec();
        let extensions = self.extension_bytes();
        header.extend(((extensions.len() + payload_len) as u16).to_be_bytes());
        header.extend([self.next_header(0), self.ttl]);
        header.extend([octets(self.src), octets(self.dst), extensions].concat());
        header
    }

    fn extension_bytes(&self) -> Vec<u8> {
        let numbered = self.extensions.iter().enumerate();
        numbered
            .flat_map(|(n, extension)| [&[self.next_header(n + 1)], &extension.body[..]].concat())
            .collect()
    }

    /// The type of an extension header, or what comes after the last.
    fn next_header(&self, number: usize) -> u8 {
        self.extensions.get(number).map_or(self.payload.protocol(), |extension| extension.kind)
    }

    /// The packet in fragments: with so many bytes in each, and the rest in the
    /// last. Extension headers there are go into all of them.
    pub fn fragments(&self, id: u16, sizes: &[usize]) -> Vec<Ip> {
        let all = self.payload.bytes(self.src, self.dst);
        let mut parts = Vec::new();
        let mut offset = 0;
        for size in sizes.iter().copied().chain([usize::MAX]) {
            let end = all.len().min(offset + size.min(all.len()));
            parts.push(self.fragment_at(id, offset, end < all.len(), all[offset..end].to_vec()));
            offset = end;
        }
        parts
    }

    fn fragment_at(&self, id: u16, offset: usize, more: bool, bytes: Vec<u8>) -> Ip {
        assert_eq!(offset % 8, 0);
        let mut part =
            Ip { payload: Payload::Other { protocol: self.payload.protocol(), bytes }, ..self.clone() };
        if self.is_v4() {
            part.id = id;
            part.fragment = u16::from(more) << 13 | (offset / 8) as u16;
        } else {
            let [id, place] = [id, offset as u16 | u16::from(more)].map(u16::to_be_bytes);
            let body = vec![0, place[0], place[1], 0xab, 0xcd, id[0], id[1]];
            part.extensions.push(Extension { kind: 44, body });
        }
        part
    }

    /// The TCP or UDP header inside.
    pub fn transport(&mut self) -> &mut Transport {
        match &mut self.payload {
            Payload::Transport(transport) => transport,
            other => panic!("neither TCP nor UDP: {other:?}"),
        }
    }
}

impl Payload {
    /// IANA protocol number.
    pub fn protocol(&self) -> u8 {
        match self {
            Self::Transport(transport) => transport.protocol(),
            Self::Icmp(icmp) => icmp.protocol,
            Self::Ip(ip) if ip.is_v4() => 4,
            Self::Ip(_) => 41,
            Self::Other { protocol, .. } => *protocol,
        }
    }

    fn bytes(&self, src: IpAddr, dst: IpAddr) -> Vec<u8> {
        match self {
            Self::Transport(transport) => transport.bytes(src, dst),
            Self::Icmp(icmp) => icmp.bytes(src, dst),
            Self::Ip(ip) => ip.bytes(),
            Self::Other { bytes, .. } => bytes.clone(),
        }
    }
}
