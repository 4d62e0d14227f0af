//! Datagrams in fragments that the test cuts itself, to send them in any order; and with headers that few have.

use std::net::{IpAddr, SocketAddr};

use anyhow::{Context, Result};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

/// Of each fragment but the last; a multiple of eight.
const PIECE: usize = 1200;
const UDP: u8 = 17;
const FRAGMENT: u8 = 44;
const HOP_BY_HOP: u8 = 0;
const DESTINATION: u8 = 60;
/// An IPv4 router alert (RFC 2113) and an end of options.
const OPTIONS: [u8; 8] = [0x94, 4, 0, 0, 0, 0, 0, 0];
/// What fills the rest of an IPv6 header of options (PadN, RFC 8200 section 4.2).
const PADDING: [u8; 6] = [1, 4, 0, 0, 0, 0];

/// A UDP datagram as IP packets, the first fragment first.
pub fn datagram_fragments(from: SocketAddr, to: SocketAddr, id: u16, data: &[u8]) -> Vec<Vec<u8>> {
    let datagram = udp_datagram(from, to, data);
    let count = datagram.len().div_ceil(PIECE);
    let piece =
        |(n, piece): (usize, &[u8])| ip_packet(from.ip(), to.ip(), id, n * PIECE, n + 1 < count, piece);
    datagram.chunks(PIECE).enumerate().map(piece).collect()
}

/// A UDP datagram in one IP packet, behind IPv4 options, or behind hop-by-hop and destination options of IPv6.
pub fn datagram_with_options(from: SocketAddr, to: SocketAddr, data: &[u8]) -> Vec<u8> {
    let datagram = udp_datagram(from, to, data);
    let addresses = [octets(from.ip()), octets(to.ip())].concat();
    let header = if from.is_ipv4() {
        let len = (20 + OPTIONS.len() + datagram.len()) as u16;
        let words = (20 + OPTIONS.len() as u8) / 4;
        [&[0x40 | words, 0][..], &len.to_be_bytes(), &[0, 0, 0, 0, 64, UDP, 0, 0], &addresses, &OPTIONS]
            .concat()
    } else {
        let extensions = [&[DESTINATION, 0][..], &PADDING, &[UDP, 0], &PADDING].concat();
        let len = (extensions.len() + datagram.len()) as u16;
        [&[0x60, 0, 0, 0][..], &len.to_be_bytes(), &[HOP_BY_HOP, 64], &addresses, &extensions].concat()
    };
    [header, datagram].concat()
}

/// Sends whole IP packets, from the namespace of this thread.
pub fn send_packets<'a>(to: IpAddr, packets: impl IntoIterator<Item = &'a Vec<u8>>) -> Result<()> {
    let domain = if to.is_ipv4() { Domain::IPV4 } else { Domain::IPV6 };
    let socket = Socket::new(domain, Type::RAW, Some(Protocol::from(255))).context("a raw socket")?;
    let to = SockAddr::from(SocketAddr::new(to, 0));
    for packet in packets {
        socket.send_to(packet, &to).context("sending a fragment")?;
    }
    Ok(())
}

fn udp_datagram(from: SocketAddr, to: SocketAddr, data: &[u8]) -> Vec<u8> {
    let len = (8 + data.len()) as u16;
    let ports = [from.port(), to.port(), len, 0].map(u16::to_be_bytes).concat();
    let mut datagram = [&ports, data].concat();
    let pseudo = [octets(from.ip()), octets(to.ip()), vec![0, UDP], len.to_be_bytes().to_vec()].concat();
    // 0 would say that there is no checksum (RFC 768).
    let check = match !internet_checksum(&[pseudo, datagram.clone()].concat()) {
        0 => 0xffff,
        check => check,
    };
    datagram[6..8].copy_from_slice(&check.to_be_bytes());
    datagram
}

/// Offset in bytes. The kernel fills in the checksum of an IPv4 header.
fn ip_packet(from: IpAddr, to: IpAddr, id: u16, offset: usize, more: bool, piece: &[u8]) -> Vec<u8> {
    let addresses = [octets(from), octets(to)].concat();
    let (offset, more, id) = (offset as u16, u16::from(more), id.to_be_bytes());
    let header = if from.is_ipv4() {
        let len = (20 + piece.len() as u16).to_be_bytes();
        let place = ((offset / 8) | (more << 13)).to_be_bytes();
        [&[0x45, 0][..], &len, &id, &place, &[64, UDP, 0, 0], &addresses].concat()
    } else {
        let len = (8 + piece.len() as u16).to_be_bytes();
        let place = (offset | more).to_be_bytes();
        let fragment = [&[UDP, 0][..], &place, &[0, 0], &id].concat();
        [&[0x60, 0, 0, 0][..], &len, &[FRAGMENT, 64], &addresses, &fragment].concat()
    };
    [&header, piece].concat()
}

fn octets(ip: IpAddr) -> Vec<u8> {
    match ip {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    }
}

/// RFC 1071.
fn internet_checksum(bytes: &[u8]) -> u16 {
    let words = bytes.chunks(2).map(|pair| u64::from(pair[0]) << 8 | u64::from(*pair.get(1).unwrap_or(&0)));
    let mut total: u64 = words.sum();
    while total > 0xffff {
        total = (total & 0xffff) + (total >> 16);
    }
    total as u16
}
