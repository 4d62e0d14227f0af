//! Addresses of both families, so that everything else can loop over families
//! instead of saying everything twice.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use serde::Serialize;

pub const VIP_V4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 10);
pub const VIP_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 0x10);
/// The VIP that examples and tests use.
pub const VIP: Dual = Dual { v4: VIP_V4, v6: VIP_V6 };

/// What the router sends to the directors.
pub const VIP_NETWORKS: [Cidr; 2] = [
    Cidr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 0)), 24),
    Cidr::new(IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 0)), 64),
];
/// Where all Pods are: 10.88.N.0/24 and fd88:N::/32 on node N.
pub const POD_NETWORKS: [Cidr; 2] = [
    Cidr::new(IpAddr::V4(Ipv4Addr::new(10, 88, 0, 0)), 16),
    Cidr::new(IpAddr::V6(Ipv6Addr::new(0xfd88, 0, 0, 0, 0, 0, 0, 0)), 16),
];

/// An address family.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Family {
    V4,
    V6,
}

impl Family {
    pub const ALL: [Self; 2] = [Self::V4, Self::V6];

    pub const fn of(address: IpAddr) -> Self {
        if address.is_ipv4() { Self::V4 } else { Self::V6 }
    }

    /// For `ip` and `curl`.
    pub const fn flag(self) -> &'static str {
        match self {
            Self::V4 => "-4",
            Self::V6 => "-6",
        }
    }

    /// As nftables calls its header.
    pub const fn nft_header(self) -> &'static str {
        match self {
            Self::V4 => "ip",
            Self::V6 => "ip6",
        }
    }

    /// As Kubernetes calls it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        }
    }

    /// The length of an address in bits.
    pub const fn bits(self) -> u8 {
        match self {
            Self::V4 => 32,
            Self::V6 => 128,
        }
    }
}

/// One address of each family.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Dual {
    pub v4: Ipv4Addr,
    pub v6: Ipv6Addr,
}

impl Dual {
    pub const fn get(self, family: Family) -> IpAddr {
        match family {
            Family::V4 => IpAddr::V4(self.v4),
            Family::V6 => IpAddr::V6(self.v6),
        }
    }

    /// IPv4, then IPv6.
    pub const fn both(self) -> [IpAddr; 2] {
        [IpAddr::V4(self.v4), IpAddr::V6(self.v6)]
    }

    /// Both with the length of their networks.
    pub const fn with_prefix_lengths(self, v4: u8, v6: u8) -> [Cidr; 2] {
        [Cidr::new(IpAddr::V4(self.v4), v4), Cidr::new(IpAddr::V6(self.v6), v6)]
    }
}

/// An address and the length of its network.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cidr {
    pub address: IpAddr,
    pub length: u8,
}

impl Cidr {
    pub const fn new(address: IpAddr, length: u8) -> Self {
        Self { address, length }
    }

    pub const fn family(self) -> Family {
        Family::of(self.address)
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.length)
    }
}

/// The group of an IPv6 address that reads like the decimal number: 11 -> `:11`.
pub const fn decimal_as_hex_group(number: u8) -> u16 {
    let number = number as u16;
    ((number / 100) << 8) | ((number / 10 % 10) << 4) | (number % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ipv6_groups_read_like_decimal_numbers() {
        for number in [0, 9, 10, 21, 99, 100, 255] {
            assert_eq!(format!("{:x}", decimal_as_hex_group(number)), number.to_string());
        }
    }
}
