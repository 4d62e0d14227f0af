//! Address families (RFC 4760). We speak unicast only.

use std::fmt;

use ipnet::IpNet;
use netgauze_iana::address_family::AddressType;

use crate::protocols::bgp::config::Families;

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Family {
    Ipv4,
    Ipv6,
}

impl Family {
    pub const ALL: [Self; 2] = [Self::Ipv4, Self::Ipv6];

    pub fn of_prefix(prefix: &IpNet) -> Self {
        match prefix {
            IpNet::V4(_) => Self::Ipv4,
            IpNet::V6(_) => Self::Ipv6,
        }
    }

    pub fn is_enabled_in(self, families: Families) -> bool {
        match self {
            Self::Ipv4 => families.ipv4,
            Self::Ipv6 => families.ipv6,
        }
    }

    /// The longest prefix length, in bits.
    pub(super) fn max_prefix_length(self) -> u8 {
        match self {
            Self::Ipv4 => 32,
            Self::Ipv6 => 128,
        }
    }

    pub(super) fn afi(self) -> u16 {
        match self {
            Self::Ipv4 => 1,
            Self::Ipv6 => 2,
        }
    }

    /// None unless it is unicast of an address family that we know.
    pub(super) fn from_wire(afi: u16, safi: u8) -> Option<Self> {
        match (afi, safi) {
            (1, 1) => Some(Self::Ipv4),
            (2, 1) => Some(Self::Ipv6),
            _ => None,
        }
    }

    pub(super) fn address_type(self) -> AddressType {
        match self {
            Self::Ipv4 => AddressType::Ipv4Unicast,
            Self::Ipv6 => AddressType::Ipv6Unicast,
        }
    }

    pub(super) fn from_address_type(of: AddressType) -> Option<Self> {
        match of {
            AddressType::Ipv4Unicast => Some(Self::Ipv4),
            AddressType::Ipv6Unicast => Some(Self::Ipv6),
            _ => None,
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ipv4 => "ipv4",
            Self::Ipv6 => "ipv6",
        })
    }
}
