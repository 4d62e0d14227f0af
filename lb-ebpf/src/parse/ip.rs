//! IPv4 (RFC 791) and IPv6 (RFC 8200) headers.

use lb_common::{Addr, Verdict, maps::ServiceKey};
use network_types::ip::IpProto;

use super::{Packet, Parsed, Room, l4};
use crate::cursor::Cursor;

pub const V4_LEN: usize = 20;
pub const V6_LEN: usize = 40;

/// More fragments, or a fragment offset: all but the reserved and DF bits.
const FRAGMENT_BITS: u16 = 0x3fffu16.to_be();

#[inline(always)]
pub fn v4<'a>(cursor: &Cursor, l3: usize, room: &'a mut Room) -> Parsed<'a> {
    let Some(header) = cursor.window::<V4_LEN>(l3) else { return Parsed::NotIp };
    let version_and_length = header.get::<u8, 0>();
    if version_and_length >> 4 != 4 {
        return Parsed::NotIp;
    }
    let to = Addr::v4(header.get::<u32, 16>());
    let packet = room.write(Packet {
        to: ServiceKey { addr: to, port: 0, protocol: header.get::<u8, 9>(), pad: 0 },
        client: Addr::v4(header.get::<u32, 12>()),
        client_port: 0,
        is_v4: true,
        tos: header.get::<u8, 1>(),
        l3,
        l3_len: V4_LEN,
        len: u16::from_be(header.get::<u16, 2>()),
    });
    if version_and_length != 0x45 {
        return Parsed::Unfit(packet, Verdict::DropOptions);
    }
    if header.get::<u16, 6>() & FRAGMENT_BITS != 0 {
        return Parsed::Unfit(packet, Verdict::DropFragment);
    }
    l4::read(cursor, packet)
}

#[inline(always)]
pub fn v6<'a>(cursor: &Cursor, l3: usize, room: &'a mut Room) -> Parsed<'a> {
    let Some(header) = cursor.window::<V6_LEN>(l3) else { return Parsed::NotIp };
    let version_and_class = u16::from_be(header.get::<u16, 0>());
    if version_and_class >> 12 != 6 {
        return Parsed::NotIp;
    }
    let to = Addr::from_words(header.words::<24>());
    let packet = room.write(Packet {
        to: ServiceKey { addr: to, port: 0, protocol: header.get::<u8, 6>(), pad: 0 },
        client: Addr::from_words(header.words::<8>()),
        client_port: 0,
        is_v4: false,
        tos: (version_and_class >> 4) as u8,
        l3,
        l3_len: V6_LEN,
        len: u16::from_be(header.get::<u16, 4>()).saturating_add(V6_LEN as u16),
    });
    match packet.to.protocol {
        FRAGMENT => Parsed::Unfit(packet, Verdict::DropFragment),
        HOP_BY_HOP | ROUTING | DESTINATION => Parsed::Unfit(packet, Verdict::DropOptions),
        _ => l4::read(cursor, packet),
    }
}

const HOP_BY_HOP: u8 = IpProto::HopOpt as u8;
const ROUTING: u8 = IpProto::Ipv6Route as u8;
const FRAGMENT: u8 = IpProto::Ipv6Frag as u8;
const DESTINATION: u8 = IpProto::Ipv6Opts as u8;
