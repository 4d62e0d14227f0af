//! What fits a path, once it is encapsulated. Lengths are in bytes of IP packet.

use crate::{
    Addr, gue,
    maps::{Backend, backend_flags, delivery},
};

/// Length of IP headers.
const IPV4: u16 = 20;
const IPV6: u16 = 40;

/// The longest packet that clients are taken to send: the MTU of nearly all their links.
pub const ORDINARY: u16 = 1500;

/// A length that every host may send, whatever MTU it is told: 576 bytes in
/// IPv4 (RFC 1122 section 3.3.2), 1280 in IPv6 (RFC 8200 section 5, RFC 8201
/// section 4).
#[inline(always)]
pub const fn least(is_v4: bool) -> u16 {
    if is_v4 { 576 } else { 1280 }
}

/// What a client is told when packets of `len` fit: never less than [`least`].
#[inline(always)]
pub const fn fitting(len: u16, is_v4: bool) -> u16 {
    if len < least(is_v4) { least(is_v4) } else { len }
}

/// What a packet that is handed on to `addr` has in front: IP, UDP, GUE.
#[inline(always)]
pub const fn handed_overhead(addr: &Addr) -> u16 {
    let ip = if addr.is_v4() { IPV4 } else { IPV6 };
    ip + 8 + gue::HANDED_LEN as u16
}

impl Backend {
    /// What stands in front of a client's packet, at most. On its way
    /// through the nodes it may be handed on, which takes more than delivery.
    #[inline(always)]
    pub const fn overhead(&self) -> u16 {
        if self.flags & backend_flags::BARE == 0 {
            return handed_overhead(&self.outer_dst);
        }
        match self.delivery {
            delivery::IPIP4 => IPV4,
            delivery::IPIP6 => IPV6,
            delivery::GUE4 => IPV4 + gue::PLAIN_OVERHEAD,
            delivery::GUE6 => IPV6 + gue::PLAIN_OVERHEAD,
            _ => 0,
        }
    }

    /// The largest packet that a client is told to send: it fits the path in
    /// any case, but for [`fitting`].
    #[inline(always)]
    pub const fn fitting(&self, is_v4: bool) -> u16 {
        fitting(self.mtu.saturating_sub(self.overhead()), is_v4)
    }
}
