//! One address of an IP header, whichever; and what changes with it.

use lb_common::{Addr, checksum};

use crate::{
    cursor::{Cursor, Window},
    header::{ipv4, ipv6, udp},
    parse::Packet,
};

/// Write the address at byte `AT`, and update the header's checksum by the difference.
#[inline(always)]
pub fn v4<const AT: usize>(cursor: &Cursor, packet: &Packet, addr: &Addr, difference: u64) -> bool {
    let Some(header) = cursor.window::<{ ipv4::LEN }>(packet.l3) else { return false };
    header.set::<u32, AT>(addr.words()[3]);
    // The upper words of mapped addresses are alike: they add nothing.
    header.set::<u16, { ipv4::CHECK }>(checksum::update(header.get::<u16, { ipv4::CHECK }>(), difference));
    true
}

/// Write the address at byte `AT`.
#[inline(always)]
pub fn v6<const AT: usize>(cursor: &Cursor, packet: &Packet, addr: &Addr) -> bool {
    let Some(header) = cursor.window::<{ ipv6::LEN }>(packet.l3) else { return false };
    header.set_words::<AT>(addr.words());
    true
}

/// A UDP checksum of zero says that there is none (RFC 768); one that comes
/// out as zero is written as all ones.
#[inline(always)]
pub fn update_udp(header: &Window<{ udp::LEN }>, difference: u64) {
    let check = header.get::<u16, { udp::CHECK }>();
    if check != 0 {
        let new = checksum::update(check, difference);
        header.set::<u16, { udp::CHECK }>(if new == 0 { 0xffff } else { new });
    }
}
