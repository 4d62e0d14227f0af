//! What a probe looks like: a tunnel packet as the data path sends it, and in
//! it a UDP datagram from the node back to us, to the port that the answer is
//! expected on. Pure.

use std::net::{IpAddr, SocketAddr};

use lb_common::{checksum, gue};

const TTL: u8 = 64;
const UDP: u8 = 17;
const UDP_LEN: usize = 8;
const V4_LEN: usize = 20;
const DONT_FRAGMENT: u16 = 0x4000;

const MAGIC: [u8; 4] = *b"TRGP";

/// The datagram's contents. On the wire, 32 bytes: `TRGP`, `is_ipip` in 1 byte, 3 bytes
/// of 0, then `secret`, `sequence` and `sent` in 8 bytes each, big-endian.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ProbeQuestion {
    /// The agent's random number: answers with another one are ignored.
    pub secret: u64,
    /// The round's number.
    pub sequence: u64,
    /// When it was sent: nanoseconds of a clock of the sender's.
    pub sent: u64,
    /// IPIP instead of GUE.
    pub is_ipip: bool,
}

impl ProbeQuestion {
    pub const LEN: usize = 32;

    pub fn encode(&self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        bytes[..4].copy_from_slice(&MAGIC);
        bytes[4] = u8::from(self.is_ipip);
        bytes[8..16].copy_from_slice(&self.secret.to_be_bytes());
        bytes[16..24].copy_from_slice(&self.sequence.to_be_bytes());
        bytes[24..].copy_from_slice(&self.sent.to_be_bytes());
        bytes
    }

    /// None if it is another datagram. The 3 bytes that are 0 are not looked at.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; Self::LEN] = bytes.try_into().ok()?;
        let number = |at: usize| bytes[at..at + 8].try_into().map(u64::from_be_bytes).ok();
        let is_ours = bytes[..4] == MAGIC && bytes[4] <= 1;
        let question =
            Self { secret: number(8)?, sequence: number(16)?, sent: number(24)?, is_ipip: bytes[4] == 1 };
        is_ours.then_some(question)
    }
}

/// The packet that the node is to send back: from its `node` address to our
/// socket. Both of one family.
pub fn answer_packet(node: IpAddr, socket: SocketAddr, question: &ProbeQuestion) -> Vec<u8> {
    let contents = question.encode();
    let len = (UDP_LEN + contents.len()) as u16;
    // From the GUE port: to a firewall, it answers the datagram that was sent there.
    let mut datagram = [gue::PORT, socket.port(), len, 0].map(u16::to_be_bytes).concat();
    datagram.extend(contents);
    let sum = pseudo_header_sum(node, socket.ip(), len) + sum_of_words(&datagram);
    let check = match !checksum::fold(sum) {
        0 => 0xffff,
        check => check,
    };
    datagram[6..8].copy_from_slice(&check.to_ne_bytes());
    ip_packet(node, socket.ip(), UDP, &datagram)
}

/// `inner` as the contents of a datagram to the GUE port.
pub fn in_gue(inner: &[u8]) -> Vec<u8> {
    [&[gue::BASE_WORDS, protocol_of(inner), 0, 0], inner].concat()
}

/// `inner` in an outer IP header.
pub fn in_ip(from: IpAddr, to: IpAddr, inner: &[u8]) -> Vec<u8> {
    ip_packet(from, to, protocol_of(inner), inner)
}

/// 4 for an IPv4 packet, 41 for an IPv6 one.
fn protocol_of(packet: &[u8]) -> u8 {
    if packet.first().is_some_and(|first| first >> 4 == 4) { 4 } else { 41 }
}

fn ip_packet(from: IpAddr, to: IpAddr, protocol: u8, payload: &[u8]) -> Vec<u8> {
    let mut packet = match (from, to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            let mut header = vec![0x45, 0];
            header.extend(((V4_LEN + payload.len()) as u16).to_be_bytes());
            header.extend([0, 0]);
            header.extend(DONT_FRAGMENT.to_be_bytes());
            header.extend([TTL, protocol, 0, 0]);
            header.extend([from.octets(), to.octets()].concat());
            let check = !checksum::fold(sum_of_words(&header));
            header[10..12].copy_from_slice(&check.to_ne_bytes());
            header
        }
        (from, to) => {
            let mut header = vec![0x60, 0, 0, 0];
            header.extend((payload.len() as u16).to_be_bytes());
            header.extend([protocol, TTL]);
            header.extend([ipv6_bytes(from), ipv6_bytes(to)].concat());
            header
        }
    };
    packet.extend(payload);
    packet
}

fn ipv6_bytes(address: IpAddr) -> [u8; 16] {
    lb_common::Addr::from(address).bytes
}

fn pseudo_header_sum(from: IpAddr, to: IpAddr, len: u16) -> u64 {
    // IPv4 addresses are mapped ones here: the upper words add up to 0xffff, which counts as 0.
    sum_of_words(&ipv6_bytes(from))
        + sum_of_words(&ipv6_bytes(to))
        + u64::from(len.to_be())
        + u64::from(u16::from(UDP).to_be())
}

/// The sum of 16-bit words in memory order; of an even number of bytes.
fn sum_of_words(bytes: &[u8]) -> u64 {
    bytes.chunks_exact(2).map(|pair| u64::from(u16::from_ne_bytes([pair[0], pair[1]]))).sum()
}

#[cfg(test)]
mod tests;
