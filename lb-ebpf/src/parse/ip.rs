//! IPv4 (RFC 791) and IPv6 (RFC 8200) headers.

use lb_common::{Addr, Verdict};
use network_types::ip::IpProto;

use super::{Packet, Parsed, l4};
use crate::cursor::Cursor;

pub const V4_LEN: usize = 20;
pub const V6_LEN: usize = 40;

/// More fragments, or a fragment offset: all but the reserved and DF bits.
const FRAGMENT_BITS: u16 = 0x3fffu16.to_be();

#[inline(always)]
pub fn v4(cursor: &Cursor, packet: &mut Packet) -> Parsed {
    let Some(header) = cursor.window::<V4_LEN>(packet.l3) else { return Parsed::NotIp };
    let version_and_length = header.get::<u8, 0>();
    if version_and_length >> 4 != 4 {
        return Parsed::NotIp;
    }
    packet.is_v4 = true;
    packet.tos = header.get::<u8, 1>();
    packet.l3_len = V4_LEN;
    packet.len = u16::from_be(header.get::<u16, 2>());
    packet.client = Addr::v4(header.get::<u32, 12>());
    packet.to.addr = Addr::v4(header.get::<u32, 16>());
    if version_and_length != 0x45 {
        return Parsed::Unfit(Verdict::DropOptions);
    }
    if header.get::<u16, 6>() & FRAGMENT_BITS != 0 {
        return Parsed::Unfit(Verdict::DropFragment);
    }
    l4::read(cursor, packet, header.get::<u8, 9>())
}

#[inline(always)]
pub fn v6(cursor: &Cursor, packet: &mut Packet) -> Parsed {
    let Some(header) = cursor.window::<V6_LEN>(packet.l3) else { return Parsed::NotIp };
    let version_and_class = u16::from_be(header.get::<u16, 0>());
    if version_and_class >> 12 != 6 {
        return Parsed::NotIp;
    }
    packet.is_v4 = false;
    packet.tos = (version_and_class >> 4) as u8;
    packet.l3_len = V6_LEN;
    packet.len = u16::from_be(header.get::<u16, 4>()).saturating_add(V6_LEN as u16);
    packet.client = Addr::from_words(header.words::<8>());
    packet.to.addr = Addr::from_words(header.words::<24>());
    match header.get::<u8, 6>() {
        FRAGMENT => Parsed::Unfit(Verdict::DropFragment),
        HOP_BY_HOP | ROUTING | DESTINATION => Parsed::Unfit(Verdict::DropOptions),
        protocol => l4::read(cursor, packet, protocol),
    }
}

const HOP_BY_HOP: u8 = IpProto::HopOpt as u8;
const ROUTING: u8 = IpProto::Ipv6Route as u8;
const FRAGMENT: u8 = IpProto::Ipv6Frag as u8;
const DESTINATION: u8 = IpProto::Ipv6Opts as u8;
