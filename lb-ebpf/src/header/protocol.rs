//! Numbers of protocols (IANA), as IP headers name what follows them.

use network_types::ip::IpProto;

pub const TCP: u8 = IpProto::Tcp as u8;
pub const UDP: u8 = IpProto::Udp as u8;
pub const IPV4: u8 = IpProto::Ipv4 as u8;
pub const IPV6: u8 = IpProto::Ipv6 as u8;
pub const ICMP: u8 = IpProto::Icmp as u8;
pub const ICMPV6: u8 = IpProto::Ipv6Icmp as u8;

/// Extension headers of IPv6.
pub const HOP_BY_HOP: u8 = IpProto::HopOpt as u8;
pub const ROUTING: u8 = IpProto::Ipv6Route as u8;
pub const FRAGMENT: u8 = IpProto::Ipv6Frag as u8;
pub const DESTINATION: u8 = IpProto::Ipv6Opts as u8;

/// What an outer header says that an IP packet of this family is.
#[inline(always)]
pub const fn of_family(is_v4: bool) -> u8 {
    if is_v4 { IPV4 } else { IPV6 }
}
