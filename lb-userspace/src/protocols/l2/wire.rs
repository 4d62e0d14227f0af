//! Frames of ARP (RFC 826, RFC 5227) and neighbour discovery (RFC 4861): parses questions,
//! makes answers and announcements.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

pub use crate::neigh::next_hop::Mac;

const BROADCAST: Mac = [0xff; 6];
const ETH_LEN: usize = 14;

pub const ETH_P_ARP: u16 = 0x0806;
pub const ETH_P_IPV6: u16 = 0x86dd;

/// Ethernet, IPv4, and the lengths of their addresses.
const ARP_KIND: [u8; 6] = [0, 1, 8, 0, 6, 4];
pub const ARP_REQUEST: u16 = 1;
const ARP_REPLY: u16 = 2;

const V6_LEN: usize = 40;
pub const ICMPV6: u8 = 58;
pub const SOLICITATION: u8 = 135;
const ADVERTISEMENT: u8 = 136;
/// Shows that the packet has crossed no router.
const HOP_LIMIT: u8 = 255;
/// ICMPv6 header, flags and target.
const ND_LEN: usize = 24;
const SOURCE_LINK_LAYER: u8 = 1;
const TARGET_LINK_LAYER: u8 = 2;
const SOLICITED: u8 = 0x40;
const OVERRIDE: u8 = 0x20;
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

/// An ARP request or a neighbour solicitation: who has this address?
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AddressQuestion {
    pub target: IpAddr,
    /// The address of the asker. Unspecified: a probe, by which the asker finds out whether
    /// it may use the target itself (RFC 5227, section 2.1.1; RFC 4862, section 5.4.2).
    pub asker: IpAddr,
    /// The MAC address that the answer goes to.
    pub mac: Mac,
}

impl AddressQuestion {
    /// Is it not a question but a claim: does the asker say that the target is its own?
    pub fn is_claim(&self) -> bool {
        self.asker == self.target
    }

    /// The frame that answers: the target is at `mac`.
    pub fn answer_frame(&self, mac: Mac) -> Vec<u8> {
        match (self.target, self.asker) {
            (IpAddr::V4(target), IpAddr::V4(asker)) => {
                arp_frame(ARP_REPLY, mac, target, self.mac, asker, self.mac)
            }
            (IpAddr::V6(target), IpAddr::V6(asker)) if !asker.is_unspecified() => {
                advertisement_frame(mac, target, self.mac, asker, SOLICITED | OVERRIDE)
            }
            (IpAddr::V6(target), _) => unsolicited_advertisement(mac, target),
            (IpAddr::V4(target), IpAddr::V6(_)) => gratuitous_arp(ARP_REPLY, mac, target),
        }
    }
}

/// The question in an Ethernet frame; None if it has none.
pub fn parse_question(frame: &[u8]) -> Option<AddressQuestion> {
    let (ethernet, packet) = frame.split_at_checked(ETH_LEN)?;
    match u16::from_be_bytes([ethernet[12], ethernet[13]]) {
        ETH_P_ARP => parse_arp_request(packet),
        ETH_P_IPV6 => parse_solicitation(packet, mac_at(ethernet, 6)?),
        _ => None,
    }
    .filter(|question| question.mac[0] & 1 == 0)
}

/// Frames that tell all hosts on the link that `vip` is at `mac`: an ARP request and a
/// reply, since some hosts heed only one of them, or a neighbour advertisement.
pub fn announcement_frames(vip: IpAddr, mac: Mac) -> Vec<Vec<u8>> {
    match vip {
        IpAddr::V4(vip) => vec![gratuitous_arp(ARP_REQUEST, mac, vip), gratuitous_arp(ARP_REPLY, mac, vip)],
        IpAddr::V6(vip) => vec![unsolicited_advertisement(mac, vip)],
    }
}

/// The multicast group that solicitations for an address are sent to (RFC 4291,
/// section 2.7.1).
pub fn solicited_node_group(address: Ipv6Addr) -> Ipv6Addr {
    let [.., high, low] = address.segments();
    Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00 | high & 0xff, low)
}

fn parse_arp_request(packet: &[u8]) -> Option<AddressQuestion> {
    let is_request = packet.get(..6)? == ARP_KIND && packet.get(6..8)? == ARP_REQUEST.to_be_bytes();
    let target = v4_at(packet, 24)?;
    let is_usual = !target.is_unspecified() && !target.is_broadcast() && !target.is_multicast();
    let question =
        AddressQuestion { target: target.into(), asker: v4_at(packet, 14)?.into(), mac: mac_at(packet, 8)? };
    (is_request && is_usual).then_some(question)
}

/// Validated as RFC 4861, section 7.1.1 demands.
fn parse_solicitation(packet: &[u8], from: Mac) -> Option<AddressQuestion> {
    let (header, rest) = packet.split_at_checked(V6_LEN)?;
    let message = rest.get(..usize::from(u16::from_be_bytes([header[4], header[5]])))?;
    let (asker, to) = (v6_at(header, 8)?, v6_at(header, 24)?);
    let target = v6_at(message, 8)?;
    let is_solicitation = header[0] >> 4 == 6
        && header[6..8] == [ICMPV6, HOP_LIMIT]
        && message[..2] == [SOLICITATION, 0]
        && icmpv6_checksum(asker, to, message) == 0
        && !target.is_multicast()
        && !asker.is_multicast();
    let mac = link_layer_option(message.get(ND_LEN..)?).ok()?;
    let is_probe = asker.is_unspecified();
    let is_valid = is_solicitation && (!is_probe || mac.is_none() && to == solicited_node_group(target));
    is_valid.then_some(AddressQuestion {
        target: target.into(),
        asker: asker.into(),
        mac: mac.unwrap_or(from),
    })
}

struct MalformedOptions;

/// The asker's MAC address, if an option has it.
fn link_layer_option(mut options: &[u8]) -> Result<Option<Mac>, MalformedOptions> {
    let mut mac = None;
    while let [kind, units, ..] = *options {
        let len = usize::from(units) * 8;
        if len == 0 {
            return Err(MalformedOptions);
        }
        let (option, rest) = options.split_at_checked(len).ok_or(MalformedOptions)?;
        if kind == SOURCE_LINK_LAYER {
            mac = mac_at(option, 2);
        }
        options = rest;
    }
    if options.is_empty() { Ok(mac) } else { Err(MalformedOptions) }
}

fn gratuitous_arp(operation: u16, mac: Mac, vip: Ipv4Addr) -> Vec<u8> {
    // RFC 5227, section 3: the target's MAC address in a request is not looked at.
    let target = if operation == ARP_REQUEST { [0; 6] } else { BROADCAST };
    arp_frame(operation, mac, vip, target, vip, BROADCAST)
}

fn arp_frame(
    operation: u16,
    mac: Mac,
    from: Ipv4Addr,
    target: Mac,
    to: Ipv4Addr,
    destination: Mac,
) -> Vec<u8> {
    let operation = operation.to_be_bytes();
    let parts: [&[u8]; 7] = [
        &ethernet_header(destination, mac, ETH_P_ARP),
        &ARP_KIND,
        &operation,
        &mac,
        &from.octets(),
        &target,
        &to.octets(),
    ];
    parts.concat()
}

fn unsolicited_advertisement(mac: Mac, vip: Ipv6Addr) -> Vec<u8> {
    let group = ALL_NODES.octets();
    let destination = [0x33, 0x33, group[12], group[13], group[14], group[15]];
    advertisement_frame(mac, vip, destination, ALL_NODES, OVERRIDE)
}

fn advertisement_frame(mac: Mac, vip: Ipv6Addr, destination: Mac, to: Ipv6Addr, flags: u8) -> Vec<u8> {
    let mut message = vec![ADVERTISEMENT, 0, 0, 0, flags, 0, 0, 0];
    message.extend(vip.octets());
    message.extend([TARGET_LINK_LAYER, 1]);
    message.extend(mac);
    let sum = icmpv6_checksum(vip, to, &message);
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    let len = (message.len() as u16).to_be_bytes();
    let header = [0x60, 0, 0, 0, len[0], len[1], ICMPV6, HOP_LIMIT];
    let parts: [&[u8]; 5] =
        [&ethernet_header(destination, mac, ETH_P_IPV6), &header, &vip.octets(), &to.octets(), &message];
    parts.concat()
}

fn ethernet_header(destination: Mac, source: Mac, ethertype: u16) -> [u8; ETH_LEN] {
    let mut header = [0; ETH_LEN];
    header[..6].copy_from_slice(&destination);
    header[6..12].copy_from_slice(&source);
    header[12..].copy_from_slice(&ethertype.to_be_bytes());
    header
}

/// The ICMPv6 checksum (RFC 8200, section 8.1); 0 for a message that contains the right
/// checksum.
fn icmpv6_checksum(from: Ipv6Addr, to: Ipv6Addr, message: &[u8]) -> u16 {
    let words = |bytes: &[u8]| -> u64 {
        let word = |pair: &[u8]| u64::from(pair[0]) << 8 | pair.get(1).map_or(0, |low| u64::from(*low));
        bytes.chunks(2).map(word).sum()
    };
    let mut sum = words(&from.octets()) + words(&to.octets()) + words(message);
    sum += message.len() as u64 + u64::from(ICMPV6);
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

fn mac_at(bytes: &[u8], at: usize) -> Option<Mac> {
    bytes.get(at..)?.first_chunk().copied()
}

fn v4_at(bytes: &[u8], at: usize) -> Option<Ipv4Addr> {
    bytes.get(at..)?.first_chunk::<4>().map(|octets| Ipv4Addr::from(*octets))
}

fn v6_at(bytes: &[u8], at: usize) -> Option<Ipv6Addr> {
    bytes.get(at..)?.first_chunk::<16>().map(|octets| Ipv6Addr::from(*octets))
}

#[cfg(test)]
mod tests;
