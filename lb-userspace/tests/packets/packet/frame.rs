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
