//! Whether a frame may be handled at all, decided without any knowledge of how the
//! programs work.

use std::net::IpAddr;

use lb_common::roles;

use crate::{
    packet::ETH_LEN,
    world::{Family, NODE, VIP},
};

/// VLAN tags that a frame of ours can have.
const TAGS: usize = 2;

/// Is it for a VIP, or may it be a tunnel that ends here?
pub fn is_ours(frame: &[u8], roles: u32) -> bool {
    let Some((to, family, protocol)) = destination(frame) else { return false };
    let is = |ip: IpAddr| match ip {
        IpAddr::V4(ip) => to == ip.octets(),
        IpAddr::V6(ip) => to == ip.octets(),
    };
    is(VIP.ip(family)) || roles & roles::NODE != 0 && may_be_tunnel(family, protocol) && is(NODE.ip(family))
}

/// An IP packet within, or UDP, or an extension header that hides it.
fn may_be_tunnel(family: Family, protocol: u8) -> bool {
    let extension = family == Family::V6 && matches!(protocol, 0 | 43 | 44 | 60);
    matches!(protocol, 4 | 17 | 41) || extension
}

/// What the IP header says, if it is whole.
fn destination(frame: &[u8]) -> Option<(&[u8], Family, u8)> {
    let tags = (0..TAGS).take_while(|n| is_tag(frame, ETH_LEN - 2 + n * 4)).count();
    let ethertype = ETH_LEN - 2 + tags * 4;
    let ip = frame.get(ethertype + 2..)?;
    match (&frame[ethertype..ethertype + 2], ip.first()? >> 4) {
        ([0x08, 0x00], 4) => Some((ip.get(16..20)?, Family::V4, ip[9])),
        ([0x86, 0xdd], 6) => Some((ip.get(24..40)?, Family::V6, ip[6])),
        _ => None,
    }
}

/// 802.1Q or 802.1ad.
fn is_tag(frame: &[u8], at: usize) -> bool {
    matches!(frame.get(at..at + 2), Some([0x81, 0x00] | [0x88, 0xa8]))
}
