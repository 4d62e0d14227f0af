//! IPv4 and IPv6 as one type: headers differ, what they say hardly.

use std::net::IpAddr;

use super::{
    Transport,
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
    /// IPv6 only: the flow label.
    pub label: u32,
    pub payload: Payload,
}

/// What a packet carries.
#[derive(Clone, Debug)]
pub enum Payload {
    Transport(Transport),
    Ip(Box<Ip>),
    Other { protocol: u8, bytes: Vec<u8> },
}

impl Ip {
    /// With a TTL of 64, and everything else unremarkable.
    pub fn new(src: IpAddr, dst: IpAddr, payload: Payload) -> Self {
        let (id, fragment, options) = (0, DONT_FRAGMENT, Vec::new());
        Self { src, dst, tos: 0, ttl: 64, id, fragment, options, label: 0, payload }
    }

    pub fn is_v4(&self) -> bool {
        self.dst.is_ipv4()
    }

    /// Length of the header.
    pub fn header_len(&self) -> usize {
        if self.is_v4() { 20 + self.options.len() } else { 40 }
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
        header.extend((payload_len as u16).to_be_bytes());
        header.extend([self.payload.protocol(), self.ttl]);
        header.extend([octets(self.src), octets(self.dst)].concat());
        header
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
            Self::Ip(ip) if ip.is_v4() => 4,
            Self::Ip(_) => 41,
            Self::Other { protocol, .. } => *protocol,
        }
    }

    fn bytes(&self, src: IpAddr, dst: IpAddr) -> Vec<u8> {
        match self {
            Self::Transport(transport) => transport.bytes(src, dst),
            Self::Ip(ip) => ip.bytes(),
            Self::Other { bytes, .. } => bytes.clone(),
        }
    }
}
