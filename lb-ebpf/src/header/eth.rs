//! Ethernet (IEEE 802.3), with VLAN tags (IEEE 802.1Q) or without.

use network_types::eth::EtherType;

/// Length without tags.
pub const LEN: usize = 14;

pub const DST: usize = 0;
/// In the first byte of [`DST`]: it is the address of a group.
pub const GROUP: u8 = 0x01;
pub const SRC: usize = 6;
pub const TYPE: usize = 12;

/// Of a tag: type and control information. It stands before the type.
pub const TAG_LEN: usize = 4;

/// Types, in network byte order.
pub const IPV4: u16 = EtherType::Ipv4 as u16;
pub const IPV6: u16 = EtherType::Ipv6 as u16;
pub const TAG: u16 = EtherType::Ieee8021q as u16;
pub const OUTER_TAG: u16 = EtherType::Ieee8021ad as u16;

/// The type of an IP packet of this family.
#[inline(always)]
pub const fn of_family(is_v4: bool) -> u16 {
    if is_v4 { IPV4 } else { IPV6 }
}
