//! IPv4 (RFC 791) and IPv6 (RFC 8200) headers.

use lb_common::{Addr, maps::ServiceKey};

use super::{Fragment, Packet, Parsed, Room, l4, odd};
use crate::cursor::Cursor;

pub const V4_LEN: usize = 20;
pub const V6_LEN: usize = 40;

/// The TTL or hop limit of what begins here.
pub const TTL: u8 = 64;

/// More fragments, or a fragment offset: all but the reserved and DF bits.
const FRAGMENT_BITS: u16 = 0x3fffu16.to_be();
/// The fragment offset.
pub const OFFSET_BITS: u16 = 0x1fffu16.to_be();

#[inline(always)]
pub fn v4<'a>(cursor: &Cursor, l3: usize, room: &'a mut Room) -> Parsed<'a> {
    let Some(header) = cursor.window::<V4_LEN>(l3) else { return Parsed::NotIp };
    let version_and_length = header.get::<u8, 0>();
    if version_and_length >> 4 != 4 {
        return Parsed::NotIp;
    }
    let dst = Addr::v4(header.get::<u32, 16>());
    let packet = room.write(Packet {
        dst: ServiceKey { addr: dst, port: 0, protocol: header.get::<u8, 9>(), pad: 0 },
        src: Addr::v4(header.get::<u32, 12>()),
        src_port: 0,
        is_v4: true,
        tos: header.get::<u8, 1>(),
        l3,
        l3_len: V4_LEN,
        len: u16::from_be(header.get::<u16, 2>()),
        fragment: Fragment::None,
        id: 0,
        quote: 0,
    });
    if version_and_length != 0x45 || header.get::<u16, 6>() & FRAGMENT_BITS != 0 {
        return odd::read(cursor, packet);
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
    // Few addresses begin like mapped ones: nobody else pays for a closer look.
    if (header.get::<u32, 24>() == 0 || header.get::<u32, 8>() == 0) && has_mapped(cursor, l3) {
        return Parsed::NotIp;
    }
    let dst = Addr::from_words(header.words::<24>());
    let packet = room.write(Packet {
        dst: ServiceKey { addr: dst, port: 0, protocol: header.get::<u8, 6>(), pad: 0 },
        src: Addr::from_words(header.words::<8>()),
        src_port: 0,
        is_v4: false,
        tos: (version_and_class >> 4) as u8,
        l3,
        l3_len: V6_LEN,
        len: u16::from_be(header.get::<u16, 4>()).saturating_add(V6_LEN as u16),
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
    cursor.window::<V6_LEN>(l3).is_none_or(|header| {
        Addr::from_words(header.words::<24>()).is_v4() || Addr::from_words(header.words::<8>()).is_v4()
    })
}
