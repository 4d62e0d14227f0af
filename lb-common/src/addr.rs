//! The one address type: IPv4 is v4-mapped IPv6 (RFC 4291 section 2.5.5.2).

use core::{
    fmt,
    net::{IpAddr, Ipv6Addr},
};

/// An IPv4 or IPv6 address as 16 bytes in network byte order.
///
/// The alignment of 4 lets the kernel side build map keys with word stores,
/// the byte array lets `bpftool map dump` print a readable address.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[repr(C, align(4))]
pub struct Addr {
    pub bytes: [u8; 16],
}

/// `::ffff:0:0/96`, the third word of a v4-mapped address, in memory order.
const MAPPED: u32 = u32::from_ne_bytes([0, 0, 0xff, 0xff]);

impl Addr {
    /// From an IPv4 address as it stands in a header (network byte order).
    #[inline(always)]
    pub const fn v4(addr: u32) -> Self {
        Self::from_words([0, 0, MAPPED, addr])
    }

    /// From the four words of an IPv6 header's address, in memory order.
    #[inline(always)]
    pub const fn from_words(words: [u32; 4]) -> Self {
        // SAFETY: same size, no padding, every bit pattern valid.
        Self { bytes: unsafe { core::mem::transmute::<[u32; 4], [u8; 16]>(words) } }
    }

    /// The four words in memory order; the last is the IPv4 address if mapped.
    #[inline(always)]
    pub const fn words(&self) -> [u32; 4] {
        // SAFETY: same size, and `Addr` is aligned to 4.
        unsafe { core::mem::transmute::<[u8; 16], [u32; 4]>(self.bytes) }
    }

    /// Is this a v4-mapped address?
    #[inline(always)]
    pub const fn is_v4(&self) -> bool {
        let w = self.words();
        w[0] == 0 && w[1] == 0 && w[2] == MAPPED
    }
}

impl From<IpAddr> for Addr {
    fn from(ip: IpAddr) -> Self {
        let bytes = match ip {
            IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
            IpAddr::V6(v6) => v6.octets(),
        };
        Self { bytes }
    }
}

impl From<Addr> for IpAddr {
    fn from(addr: Addr) -> Self {
        Ipv6Addr::from(addr.bytes).to_canonical()
    }
}

impl fmt::Display for Addr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&IpAddr::from(*self), f)
    }
}

impl fmt::Debug for Addr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_families_survive_the_round_trip() {
        for text in ["192.0.2.10", "0.0.0.0", "2001:db8::1", "::", "255.255.255.255"] {
            let ip: IpAddr = text.parse().unwrap();
            let addr = Addr::from(ip);
            assert_eq!(IpAddr::from(addr), ip);
            assert_eq!(addr.is_v4(), ip.is_ipv4());
            assert_eq!(Addr::from_words(addr.words()), addr);
        }
    }

    #[test]
    fn v4_takes_the_word_of_a_header() {
        let header = u32::from_ne_bytes([192, 0, 2, 10]);
        assert_eq!(Addr::v4(header).to_string(), "192.0.2.10");
    }
}
