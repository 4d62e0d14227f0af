//! Headers that few packets have: IPv4 options (RFC 791), extension headers of
//! IPv6 (RFC 8200 section 4), and the fragments of both.
//!
//! Not inlined, any of it: the path of all other packets stays short.

use lb_common::Verdict;

use super::{
    l4,
    packet::{Fragment, Packet, Parsed},
};
use crate::{
    cursor::Cursor,
    header::{
        ipv4,
        ipv6::{self, extension, fragment, routing},
        ports,
        protocol::{DESTINATION, FRAGMENT, HOP_BY_HOP, ROUTING, TCP, UDP},
        tcp,
    },
};

/// Extension headers that are followed, and their bytes together. Hosts may
/// set such limits (RFC 8504 section 5.3).
const MAX_EXTENSIONS: usize = 4;
const MAX_EXTENSIONS_LEN: usize = 256;

/// The longest IP header that is read, extension headers included.
pub const L3_MAX: usize = ipv6::LEN + MAX_EXTENSIONS_LEN;

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
        Ok(()) => fragment_of_flow(cursor, packet),
    }
}

#[inline(never)]
fn v4(cursor: &Cursor, packet: &mut Packet) -> Result<(), Verdict> {
    let Some(header) = cursor.window::<{ ipv4::LEN }>(packet.l3) else { return Err(Verdict::DropTruncated) };
    let len = ipv4::header_len(header.get::<u8, { ipv4::VERSION_AND_LEN }>());
    if len < ipv4::LEN {
        return Err(Verdict::DropTruncated);
    }
    packet.l3_len = len;
    let place = u16::from_be(header.get::<u16, { ipv4::FRAGMENT }>());
    packet.fragment = Fragment::of(place & ipv4::OFFSET, place & ipv4::MORE);
    packet.id = header.get::<u16, { ipv4::ID }>() as u32;
    Ok(())
}

#[inline(never)]
fn v6(cursor: &Cursor, packet: &mut Packet) -> Result<(), Verdict> {
    for _ in 0..MAX_EXTENSIONS {
        let Some(header) = cursor.window::<{ extension::LEN }>(packet.l4()) else {
            return Err(Verdict::DropTruncated);
        };
        let mut len = extension::LEN;
        match packet.dst.protocol {
            FRAGMENT => {
                let place = u16::from_be(header.get::<u16, { fragment::PLACE }>());
                packet.fragment = Fragment::of(place & fragment::OFFSET, place & fragment::MORE);
                packet.id = header.get::<u32, { fragment::ID }>();
            }
            // Whoever is named next should have it first.
            ROUTING if header.get::<u8, { routing::SEGMENTS_LEFT }>() != 0 => {
                return Err(Verdict::DropOptions);
            }
            _ => len += header.get::<u8, { extension::WORDS }>() as usize * 8,
        }
        packet.dst.protocol = header.get::<u8, { extension::NEXT_HEADER }>();
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
fn fragment_of_flow<'a>(cursor: &Cursor, packet: &'a mut Packet) -> Parsed<'a> {
    if packet.fragment == Fragment::Later {
        return Parsed::Fragment(packet);
    }
    let least = packet.l3_len + if packet.dst.protocol == TCP { tcp::LEN } else { ports::LEN };
    if (packet.len as usize) < least {
        return Parsed::Unfit(packet, Verdict::DropTruncated);
    }
    match packet.dst.protocol {
        TCP | UDP => match l4::read(cursor, packet) {
            Parsed::Flow(packet) => Parsed::Fragment(packet),
            parsed => parsed,
        },
        _ => Parsed::Unfit(packet, Verdict::DropOtherProtocol),
    }
}
