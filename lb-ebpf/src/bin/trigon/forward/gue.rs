//! Forwarding within UDP: draft-ietf-intarea-gue-09, variant 0. The source port
//! is from the flow hash, so that fabrics and NIC queues spread the flows of
//! one director (section 5.11); the UDP checksum is zero, in IPv6 as RFC 6936
//! allows for tunnels.

use aya_ebpf::programs::XdpContext;
use lb_common::{Verdict, gue, maps::Backend};
use lb_ebpf::{
    cursor::{Cursor, Window},
    header::{eth, ipv4, ipv6, ports, protocol, udp},
    parse::Packet,
};

use super::{next_hop::leave, outer};
use crate::scratch::Arrival;

/// Where fields lie, from the start of the UDP header.
const GUE: usize = udp::LEN;
const TAGS: usize = GUE + gue::FIRST_TAG;
/// UDP and GUE, as a director sends them.
const PLAIN: usize = GUE + gue::BASE_LEN;
/// UDP and GUE, as a node sends them that hands a packet on.
const HANDED: usize = GUE + gue::HANDED_LEN;

/// From a director, in an outer IPv4 header.
#[inline(always)]
pub fn v4(ctx: &XdpContext, packet: &Packet, backend: &Backend, hash: u64) -> Verdict {
    let grown = outer::v4::<PLAIN>(ctx, packet, backend, protocol::UDP, 0);
    done(ctx, backend, grown.and_then(|cursor| plain(&cursor, eth::LEN + ipv4::LEN, packet, hash)))
}

/// From a director, in an outer IPv6 header.
#[inline(always)]
pub fn v6(ctx: &XdpContext, packet: &Packet, backend: &Backend, hash: u64) -> Verdict {
    let grown = outer::v6::<PLAIN>(ctx, packet, backend, protocol::UDP, hash, 0);
    done(ctx, backend, grown.and_then(|cursor| plain(&cursor, eth::LEN + ipv6::LEN, packet, hash)))
}

/// From a node to another.
#[inline(always)]
pub fn hand_on(ctx: &XdpContext, packet: &Packet, backend: &Backend, arrival: &Arrival) -> Verdict {
    let sent = if backend.outer_dst.is_v4() {
        outer::v4::<HANDED>(ctx, packet, backend, protocol::UDP, 0)
            .and_then(|cursor| handed(&cursor, eth::LEN + ipv4::LEN, packet, arrival))
    } else {
        outer::v6::<HANDED>(ctx, packet, backend, protocol::UDP, arrival.hash, 0)
            .and_then(|cursor| handed(&cursor, eth::LEN + ipv6::LEN, packet, arrival))
    };
    match sent {
        Ok(()) => leave(ctx, backend, Verdict::HandOn, Verdict::HandOnRedirect),
        Err(verdict) => verdict,
    }
}

#[inline(always)]
fn done(ctx: &XdpContext, backend: &Backend, sent: Result<(), Verdict>) -> Verdict {
    match sent {
        Ok(()) => leave(ctx, backend, Verdict::ForwardGue, Verdict::RedirectGue),
        Err(verdict) => verdict,
    }
}

#[inline(always)]
fn plain(cursor: &Cursor, at: usize, packet: &Packet, hash: u64) -> Result<(), Verdict> {
    let Some(header) = cursor.window::<PLAIN>(at) else { return Err(Verdict::DropNoRoom) };
    write(&header, packet, hash, gue::BASE_WORDS);
    Ok(())
}

#[inline(always)]
fn handed(cursor: &Cursor, at: usize, packet: &Packet, arrival: &Arrival) -> Result<(), Verdict> {
    let Some(header) = cursor.window::<HANDED>(at) else { return Err(Verdict::DropNoRoom) };
    write(&header, packet, arrival.hash, gue::HANDED_WORDS);
    header.set::<u8, { GUE + gue::WHOSE }>(gue::MAGIC);
    header.set::<u8, { GUE + gue::HOPS }>(arrival.hops as u8);
    header.set::<u16, TAGS>(arrival.tags[0]);
    header.set::<u16, { TAGS + 2 }>(arrival.tags[1]);
    header.set::<u16, { TAGS + 4 }>(arrival.tags[2]);
    header.set::<u16, { TAGS + 6 }>(arrival.tags[3]);
    header.set::<u16, { TAGS + 8 }>(arrival.tags[4]);
    header.set::<u16, { TAGS + 10 }>(arrival.tags[5]);
    header.set::<u16, { TAGS + 12 }>(arrival.tags[6]);
    Ok(())
}

/// UDP header and GUE base header.
#[inline(always)]
fn write<const N: usize>(header: &Window<N>, packet: &Packet, hash: u64, words: u8) {
    // The dynamic ports, 49152 and up (RFC 6335).
    header.set::<u16, { ports::SRC }>((0xc000 | (hash >> 16) as u16).to_be());
    header.set::<u16, { ports::DST }>(gue::PORT.to_be());
    header.set::<u16, { udp::TOTAL_LEN }>((packet.len + N as u16).to_be());
    header.set::<u16, { udp::CHECK }>(0);
    // Variant 0, data; protocol; no flags.
    header.set::<u8, { GUE + gue::WORDS }>(words);
    header.set::<u8, { GUE + gue::PROTOCOL }>(protocol::of_family(packet.is_v4));
    header.set::<u16, { GUE + gue::FLAGS }>(0);
}
