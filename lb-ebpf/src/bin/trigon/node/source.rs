//! Addresses that no client has.

use lb_common::Addr;

use crate::maps::is_vip;

/// Can a flow begin from there?
///
/// Not from a VIP: the reply would come back as a request to that VIP, and two
/// services that answer whatever they get would never stop. Not from addresses
/// that no reply can be sent to either (RFC 6890): they would fill the table.
#[inline(always)]
pub fn is_client(addr: &Addr) -> bool {
    let words = addr.words();
    let first = if addr.is_v4() { addr.bytes[12] } else { addr.bytes[0] };
    let is_unicast = match first {
        // "This network", loopback, multicast and what is reserved above it.
        0 | 127 | 224.. if addr.is_v4() => false,
        // Multicast.
        0xff => false,
        // Unspecified and loopback.
        0 => words[0] | words[1] | words[2] != 0 || u32::from_be(words[3]) > 1,
        _ => true,
    };
    is_unicast && !is_vip(addr)
}
