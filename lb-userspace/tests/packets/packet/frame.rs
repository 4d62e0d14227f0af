//! Ethernet.

use super::Ip;

pub const ETH_LEN: usize = 14;

/// Destination and source, as they stand in a frame.
pub type Macs = [u8; 12];

/// A frame around an IP packet.
pub fn frame(macs: Macs, ip: &Ip) -> Vec<u8> {
    ethernet(macs, if ip.is_v4() { 0x0800 } else { 0x86dd }, &ip.bytes())
}

/// A frame around anything.
pub fn ethernet(macs: Macs, ethertype: u16, payload: &[u8]) -> Vec<u8> {
    [&macs[..], &ethertype.to_be_bytes(), payload].concat()
}

/// Type and control information of a VLAN tag.
pub type Tag = (u16, u16);

/// The frame with VLAN tags, outermost first.
pub fn tagged(tags: &[Tag], frame: &[u8]) -> Vec<u8> {
    let (macs, rest) = frame.split_at(12);
    let tags = tags.iter().flat_map(|(kind, tci)| [kind.to_be_bytes(), tci.to_be_bytes()].concat());
    [macs, &tags.collect::<Vec<_>>(), rest].concat()
}

/// The frame without any VLAN tags.
pub fn untagged(frame: &[u8]) -> Vec<u8> {
    match frame.get(12..14) {
        Some([0x81, 0x00] | [0x88, 0xa8]) if frame.len() >= 18 => {
            untagged(&[&frame[..12], &frame[16..]].concat())
        }
        _ => frame.to_vec(),
    }
}
