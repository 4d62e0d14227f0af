//! Forwarding within UDP: draft-ietf-intarea-gue-09, variant 0. The source port
//! is from the flow hash, so that fabrics and NIC queues spread the flows of
//! one director (section 5.11); the UDP checksum is zero, in IPv6 as RFC 6936
//! allows for tunnels.

use aya_ebpf::programs::XdpContext;
use lb_common::{Verdict, gue, maps::Backend};

use super::{
    next_hop::leave,
    outer::{self, inner_protocol},
};
use crate::{
    cursor::{Cursor, Window},
    parse::{ETH_LEN, Packet, ip, l4},
    scratch::Arrival,
};

const UDP_LEN: usize = 8;
/// UDP and GUE, as a director sends them.
const PLAIN: usize = UDP_LEN + gue::BASE_LEN;
/// UDP and GUE, as a node sends them that hands a packet on.
const HANDED: usize = UDP_LEN + gue::HANDED_LEN;

/// From a director, in an outer IPv4 header.
#[inline(always)]
pub fn v4(ctx: &XdpContext, packet: &Packet, backend: &Backend, hash: u64) -> Verdict {
    let grown = outer::v4::<PLAIN>(ctx, packet, backend, l4::UDP, 0);
    done(ctx, backend, grown.and_then(|cursor| plain(&cursor, ETH_LEN + ip::V4_LEN, packet, hash)))
}

/// From a director, in an outer IPv6 header.
#[inline(always)]
pub fn v6(ctx: &XdpContext, packet: &Packet, backend: &Backend, hash: u64) -> Verdict {
    let grown = outer::v6::<PLAIN>(ctx, packet, backend, l4::UDP, hash, 0);
    done(ctx, backend, grown.and_then(|cursor| plain(&cursor, ETH_LEN + ip::V6_LEN, packet, hash)))
}

/// From a node to another.
#[inline(always)]
pub fn hand_on(ctx: &XdpContext, packet: &Packet, backend: &Backend, arrival: &Arrival) -> Verdict {
    let sent = if backend.outer_dst.is_v4() {
        outer::v4::<HANDED>(ctx, packet, backend, l4::UDP, 0)
            .and_then(|cursor| handed(&cursor, ETH_LEN + ip::V4_LEN, packet, arrival))
    } else {
        outer::v6::<HANDED>(ctx, packet, backend, l4::UDP, arrival.hash, 0)
            .and_then(|cursor| handed(&cursor, ETH_LEN + ip::V6_LEN, packet, arrival))
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
    header.set::<u8, 12>(gue::MAGIC);
    header.set::<u8, 13>(arrival.hops as u8);
    header.set::<u16, 14>(arrival.tags[0]);
    header.set::<u16, 16>(arrival.tags[1]);
    header.set::<u16, 18>(arrival.tags[2]);
    header.set::<u16, 20>(arrival.tags[3]);
    header.set::<u16, 22>(arrival.tags[4]);
    header.set::<u16, 24>(arrival.tags[5]);
    header.set::<u16, 26>(arrival.tags[6]);
    Ok(())
}

/// UDP header and GUE base header.
#[inline(always)]
fn write<const N: usize>(header: &Window<N>, packet: &Packet, hash: u64, words: u8) {
    // The dynamic ports, 49152 and up (RFC 6335).
    header.set::<u16, 0>((0xc000 | (hash >> 16) as u16).to_be());
    header.set::<u16, 2>(gue::PORT.to_be());
    header.set::<u16, 4>((packet.len + N as u16).to_be());
    header.set::<u16, 6>(0);
    // Variant 0, data; protocol; no flags.
    header.set::<u8, 8>(words);
    header.set::<u8, 9>(inner_protocol(packet));
    header.set::<u16, 10>(0);
}
