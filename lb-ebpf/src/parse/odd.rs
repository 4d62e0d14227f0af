//! Headers that few packets have: IPv4 options (RFC 791), extension headers of
//! IPv6 (RFC 8200 section 4), and the fragments of both.
//!
//! Not inlined, any of it: the path of all other packets stays short.

use lb_common::Verdict;
use network_types::ip::IpProto;

use super::{Fragment, L3_MAX, Packet, Parsed, ip::V4_LEN, l4};
use crate::cursor::Cursor;

/// Extension headers that are followed, and their bytes together. Hosts may
/// set such limits (RFC 8504 section 5.3).
const MAX_EXTENSIONS: usize = 4;
pub const MAX_EXTENSIONS_LEN: usize = 256;

/// More fragments, in an IPv4 header and in a fragment header of IPv6.
const V4_MORE: u16 = 0x2000;
const V6_MORE: u16 = 1;
/// Offset of the fragment, in units of eight bytes.
const V4_OFFSET: u16 = 0x1fff;
pub const V6_OFFSET: u16 = 0xfff8;

const HOP_BY_HOP: u8 = IpProto::HopOpt as u8;
const ROUTING: u8 = IpProto::Ipv6Route as u8;
pub const FRAGMENT: u8 = IpProto::Ipv6Frag as u8;
const DESTINATION: u8 = IpProto::Ipv6Opts as u8;

/// Has the IPv6 header another one behind it that is none of a transport?
#[inline(always)]
pub fn is_extension(protocol: u8) -> bool {
    matches!(protocol, HOP_BY_HOP | ROUTING | FRAGMENT | DESTINATION)
}

/// A packet of which only the first header has been read.
#[inline(always)]
pub fn read<'a>(cursor: &Cursor, packet: &'a mut Packet) -> Parsed<'a> {
    let read = if packet.is_v4 { v4(cursor, packet) } else { v6(cursor, packet) };
    match read {
        Err(why) => Parsed::Unfit(packet, why),
        Ok(()) if packet.fragment == Fragment::None => l4::read(cursor, packet),
        Ok(()) => fragment(cursor, packet),
    }
}

#[inline(never)]
fn v4(cursor: &Cursor, packet: &mut Packet) -> Result<(), Verdict> {
    let Some(header) = cursor.window::<V4_LEN>(packet.l3) else { return Err(Verdict::DropTruncated) };
    let len = (header.get::<u8, 0>() & 0xf) as usize * 4;
    if len < V4_LEN {
        return Err(Verdict::DropTruncated);
    }
    packet.l3_len = len;
    let place = u16::from_be(header.get::<u16, 6>());
    packet.fragment = Fragment::of(place & V4_OFFSET, place & V4_MORE);
    packet.id = header.get::<u16, 4>() as u32;
    Ok(())
}

#[inline(never)]
fn v6(cursor: &Cursor, packet: &mut Packet) -> Result<(), Verdict> {
    for _ in 0..MAX_EXTENSIONS {
        let Some(header) = cursor.window::<8>(packet.l3 + packet.l3_len) else {
            return Err(Verdict::DropTruncated);
        };
        let mut len = 8;
        match packet.dst.protocol {
            FRAGMENT => {
                let place = u16::from_be(header.get::<u16, 2>());
                packet.fragment = Fragment::of(place & V6_OFFSET, place & V6_MORE);
                packet.id = header.get::<u32, 4>();
            }
            // Whoever is named next should have it first.
            ROUTING if header.get::<u8, 3>() != 0 => return Err(Verdict::DropOptions),
            _ => len += header.get::<u8, 1>() as usize * 8,
        }
        packet.dst.protocol = header.get::<u8, 0>();
        packet.l3_len += len;
        if packet.l3_len > L3_MAX {
            return Err(Verdict::DropOptions);
        }
        // What follows in a later fragment is no header, whatever it names.
        if packet.fragment == Fragment::Later || !is_extension(packet.dst.protocol) {
            return Ok(());
        }
    }
    Err(Verdict::DropOptions)
}

/// The first fragment has the ports, and must have the whole header with the
/// checksum that may have to change (RFC 1858 section 3, RFC 7112 section 5).
#[inline(always)]
fn fragment<'a>(cursor: &Cursor, packet: &'a mut Packet) -> Parsed<'a> {
    if packet.fragment == Fragment::Later {
        return Parsed::Fragment(packet);
    }
    let least = packet.l3_len + if packet.dst.protocol == l4::TCP { l4::TCP_LEN } else { l4::PORTS_LEN };
    if (packet.len as usize) < least {
        return Parsed::Unfit(packet, Verdict::DropTruncated);
    }
    match packet.dst.protocol {
        l4::TCP | l4::UDP => match l4::read(cursor, packet) {
            Parsed::Flow(packet) => Parsed::Fragment(packet),
            parsed => parsed,
        },
        _ => Parsed::Unfit(packet, Verdict::DropOtherProtocol),
    }
}
