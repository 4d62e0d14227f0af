//! IPv4 (RFC 791) and IPv6 (RFC 8200) headers.

use lb_common::{Addr, maps::ServiceKey};

use super::{
    l4, odd,
    packet::{Fragment, Packet, Parsed, Room},
};
use crate::{
    cursor::Cursor,
    header::{ipv4, ipv6},
};

/// More fragments, or a fragment offset: all but the reserved and DF bits.
const FRAGMENT_BITS: u16 = (ipv4::MORE | ipv4::OFFSET).to_be();

#[inline(always)]
pub fn v4<'a>(cursor: &Cursor, l3: usize, room: &'a mut Room) -> Parsed<'a> {
    let Some(header) = cursor.window::<{ ipv4::LEN }>(l3) else { return Parsed::NotIp };
    let first = header.get::<u8, { ipv4::VERSION_AND_LEN }>();
    if ipv4::version(first) != 4 {
        return Parsed::NotIp;
    }
    let dst = Addr::v4(header.get::<u32, { ipv4::DST }>());
    let packet = room.write(Packet {
        dst: ServiceKey { addr: dst, port: 0, protocol: header.get::<u8, { ipv4::PROTOCOL }>(), pad: 0 },
        src: Addr::v4(header.get::<u32, { ipv4::SRC }>()),
        src_port: 0,
        is_v4: true,
        tos: header.get::<u8, { ipv4::TOS }>(),
        l3,
        l3_len: ipv4::LEN,
        len: u16::from_be(header.get::<u16, { ipv4::TOTAL_LEN }>()),
        fragment: Fragment::None,
        id: 0,
        quote: 0,
    });
    if first != ipv4::PLAIN || header.get::<u16, { ipv4::FRAGMENT }>() & FRAGMENT_BITS != 0 {
        return odd::read(cursor, packet);
    }
    l4::read(cursor, packet)
}

#[inline(always)]
pub fn v6<'a>(cursor: &Cursor, l3: usize, room: &'a mut Room) -> Parsed<'a> {
    let Some(header) = cursor.window::<{ ipv6::LEN }>(l3) else { return Parsed::NotIp };
    let version_and_class = u16::from_be(header.get::<u16, { ipv6::VERSION_AND_CLASS }>());
    if version_and_class >> 12 != 6 {
        return Parsed::NotIp;
    }
    // Few addresses begin like mapped ones: nobody else pays for a closer look.
    if (header.get::<u32, { ipv6::DST }>() == 0 || header.get::<u32, { ipv6::SRC }>() == 0)
        && has_mapped(cursor, l3)
    {
        return Parsed::NotIp;
    }
    let dst = Addr::from_words(header.words::<{ ipv6::DST }>());
    let packet = room.write(Packet {
        dst: ServiceKey { addr: dst, port: 0, protocol: header.get::<u8, { ipv6::NEXT_HEADER }>(), pad: 0 },
        src: Addr::from_words(header.words::<{ ipv6::SRC }>()),
        src_port: 0,
        is_v4: false,
        tos: (version_and_class >> 4) as u8,
        l3,
        l3_len: ipv6::LEN,
        len: u16::from_be(header.get::<u16, { ipv6::PAYLOAD_LEN }>()).saturating_add(ipv6::LEN as u16),
        fragment: Fragment::None,
        id: 0,
        quote: 0,
    });
    if odd::is_extension(packet.dst.protocol) {
        return odd::read(cursor, packet);
    }
    l4::read(cursor, packet)
}

/// Is one of the addresses an IPv4 address, mapped? No such address is seen on
/// a wire (RFC 4291 section 2.5.5.2, RFC 4038); in our tables it is an IPv4
/// address, which this packet has not. The kernel drops such sources.
///
/// Not inlined: all words of both addresses in registers would push all else out.
#[inline(never)]
fn has_mapped(cursor: &Cursor, l3: usize) -> bool {
    cursor.window::<{ ipv6::LEN }>(l3).is_none_or(|header| {
        Addr::from_words(header.words::<{ ipv6::DST }>()).is_v4()
            || Addr::from_words(header.words::<{ ipv6::SRC }>()).is_v4()
    })
}
