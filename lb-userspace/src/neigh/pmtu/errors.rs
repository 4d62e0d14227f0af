//! ICMP errors about tunnel packets that were too big. Pure; takes any bytes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use lb_common::{checksum, gue};

/// A router reports that our packets are too big for the next link.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PathMtuReport {
    /// Source address of the packet.
    pub source: IpAddr,
    /// Destination address of the packet.
    pub target: IpAddr,
    /// Length in bytes of an IP packet that would fit.
    pub mtu: u32,
}

/// IANA protocol numbers.
const ICMP: u8 = 1;
const IPV4: u8 = 4;
const UDP: u8 = 17;
const IPV6: u8 = 41;

/// Length of the ICMP header.
const HEADER: usize = 8;

/// Reads an IPv4 packet, header included. None unless it is a "fragmentation needed"
/// error (RFC 792, RFC 1191) about a tunnel packet.
pub fn parse_v4(packet: &[u8]) -> Option<PathMtuReport> {
    let (protocol, message) = skip_v4_header(packet)?;
    let [3, 4, ..] = message else { return None };
    // The kernel checks the ICMP checksum for raw IPv6 sockets, but not for IPv4 ones.
    if protocol != ICMP || !has_right_checksum(message) {
        return None;
    }
    let mtu = u32::from(u16_at(message, 6)?);
    let quoted = message.get(HEADER..)?;
    let (protocol, inside) = skip_v4_header(quoted)?;
    let address = |at: usize| Some(IpAddr::from(Ipv4Addr::from(*quoted.get(at..)?.first_chunk::<4>()?)));
    is_tunnel(protocol, inside).then_some(PathMtuReport { source: address(12)?, target: address(16)?, mtu })
}

/// Reads an ICMPv6 message. None unless it is a "packet too big" error (RFC 4443,
/// section 3.2) about a tunnel packet.
pub fn parse_v6(message: &[u8]) -> Option<PathMtuReport> {
    let [2, ..] = message else { return None };
    let mtu = u32::from_be_bytes(*message.get(4..)?.first_chunk()?);
    let quoted = message.get(HEADER..)?;
    if quoted.first()? >> 4 != 6 {
        return None;
    }
    let address = |at: usize| Some(IpAddr::from(Ipv6Addr::from(*quoted.get(at..)?.first_chunk::<16>()?)));
    is_tunnel(*quoted.get(6)?, quoted.get(40..)?).then_some(PathMtuReport {
        source: address(8)?,
        target: address(24)?,
        mtu,
    })
}

/// Protocol and payload of an IPv4 packet; None for a fragment other than the first.
fn skip_v4_header(packet: &[u8]) -> Option<(u8, &[u8])> {
    let first = *packet.first()?;
    let header = usize::from(first & 15) * 4;
    let is_first = u16_at(packet, 6)? & 0x1fff == 0;
    if first >> 4 != 4 || header < 20 || !is_first {
        return None;
    }
    Some((*packet.get(9)?, packet.get(header..)?))
}

/// Is it a packet as our programs send it: IPIP or GUE?
fn is_tunnel(protocol: u8, payload: &[u8]) -> bool {
    match protocol {
        IPV4 | IPV6 => true,
        UDP => u16_at(payload, 2) == Some(gue::PORT),
        _ => false,
    }
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// RFC 1071: the sum of a message including its checksum is all ones.
fn has_right_checksum(message: &[u8]) -> bool {
    let word = |pair: &[u8]| u64::from(u16::from_ne_bytes([pair[0], *pair.get(1).unwrap_or(&0)]));
    checksum::fold(message.chunks(2).map(word).sum()) == 0xffff
}

#[cfg(test)]
mod tests;
