//! The end of a director's tunnel. Accepted only between addresses in `PEERS`
//! and only for owned VIPs; any other tunnel (a CNI's own IPIP between the
//! same nodes, say) passes untouched.

use aya_ebpf::programs::XdpContext;
use lb_common::{
    Verdict, checksum, gue,
    maps::{Peer, Service},
    roles,
};
use lb_ebpf::{
    cursor::Cursor,
    header::{CONGESTION_EXPERIENCED, eth, ipv4, ipv6, protocol, udp},
    parse::{self, Packet, Parsed},
    rewrite::congestion,
};

use super::{decapsulate::decapsulate, probe, route};
use crate::{
    fragments, icmp,
    maps::{self, is_vip, peer},
    ranges,
    scratch::{self, FlowScratch},
    stats,
    vip::unless_vip,
};

/// Where fields lie, from the start of the UDP header.
const GUE: usize = udp::LEN;
const TAGS: usize = GUE + gue::FIRST_TAG;

/// What is around the inner packet.
struct Envelope {
    /// Where the inner IP header begins, from the start of the frame.
    inner: usize,
    /// Of the inner packet, as an Ethernet header has it.
    ethertype: u16,
    /// Where all ends that the header before it says it has, from the start of the frame.
    end: usize,
}

/// An IP packet in another, or in UDP, `outer` being the outer one.
#[inline(never)]
pub fn receive(ctx: &XdpContext, outer: &Packet) -> Verdict {
    // This machine is a peer too, but what it sends does not come in.
    let from = peer(&outer.src, roles::DIRECTOR | roles::NODE);
    let from = from.filter(|peer| peer.roles & roles::SELF == 0);
    let Some(from) = from.filter(|_| peer(&outer.dst.addr, roles::SELF).is_some()) else {
        let is_udp = outer.dst.protocol == protocol::UDP;
        let why = if is_udp { Verdict::DropNoSuchPort } else { Verdict::DropOtherProtocol };
        return foreign_if_passed(unless_vip(&outer.dst.addr, why));
    };
    if let Err(verdict) = read(ctx, outer, from) {
        return verdict;
    }
    let cursor = Cursor::of_xdp(ctx);
    let Some(room) = scratch::tunnel() else { return Verdict::DropNoRoom };
    // SAFETY: `read` has just written it, whole: it found a packet.
    let inner = unsafe { room.assume_init_ref() };
    match maps::service(&inner.dst) {
        Some(service) => accept(ctx, &cursor, outer, inner, service),
        None if probe::is_probe(outer, inner) => probe::answer(ctx, &cursor, inner),
        None => unless_foreign(inner, Verdict::DropTunnelPort),
    }
}

/// Read what is in the tunnel, into `TUNNEL_SCRATCH`, or say what else is to be
/// done with it.
///
/// Not inlined: its stack is free again when the flow is looked for.
#[inline(never)]
fn read(ctx: &XdpContext, outer: &Packet, from: &Peer) -> Result<(), Verdict> {
    // Whatever our directors send has no options, and no headers between.
    if outer.l3_len != if outer.is_v4 { ipv4::LEN } else { ipv6::LEN } {
        return Err(Verdict::PassForeignTunnel);
    }
    let cursor = Cursor::of_xdp(ctx);
    let Some(room) = scratch::tunnel() else { return Err(Verdict::DropNoRoom) };
    let Some(envelope) = open(&cursor, outer, from) else { return Err(Verdict::PassForeignTunnel) };
    let end = envelope.end;
    match parse::network(&cursor, envelope.ethertype, envelope.inner, room) {
        Parsed::Flow(inner) | Parsed::Fragment(inner) | Parsed::Icmp(inner)
            if !is_within(&cursor, outer, end, inner) =>
        {
            Err(unless_foreign(inner, Verdict::DropTruncated))
        }
        Parsed::Flow(_) => Ok(()),
        Parsed::Fragment(inner) => {
            if fragments::of_request(inner) {
                return Ok(());
            }
            Err(unless_foreign(inner, Verdict::DropFragment))
        }
        Parsed::Icmp(inner) => icmp::receive(&cursor, inner, false).map_err(foreign_if_passed),
        Parsed::Unfit(inner, why) => Err(unless_foreign(inner, why)),
        Parsed::Tunnel(inner) => Err(unless_foreign(inner, Verdict::DropOtherProtocol)),
        Parsed::NotIp => Err(Verdict::PassForeignTunnel),
    }
}

/// Is a packet all within the one around it, and that within the frame? What else stands in the frame is padding,
/// or what is left of a packet that was cut.
#[inline(always)]
fn is_within(cursor: &Cursor, outer: &Packet, end: usize, inner: &Packet) -> bool {
    let outer_end = outer.l3 + outer.len as usize;
    inner.l3 + inner.len as usize <= end && end <= outer_end && outer_end <= cursor.len()
}

/// Is the checksum of an IPv4 header right (RFC 1812 section 5.2.2)? Of an outer one, the kernel gets nothing to look
/// at.
#[inline(always)]
fn has_right_checksum(cursor: &Cursor, outer: &Packet) -> bool {
    !outer.is_v4
        || cursor.window::<{ ipv4::LEN }>(outer.l3).is_some_and(|header| {
            let [a, b, c, d] = header.words::<0>();
            let sum = checksum::sum(&[a, b, c, d, header.get::<u32, { ipv4::DST }>()]);
            // As if folded to 16 bits, which leaves the remainder as it is, and of no sum but 0 a 0.
            sum.is_multiple_of(0xffff)
        })
}

#[inline(always)]
fn foreign_if_passed(verdict: Verdict) -> Verdict {
    if matches!(verdict, Verdict::Pass) { Verdict::PassForeignTunnel } else { verdict }
}

/// Somebody else's, and so to pass, unless it is for a VIP.
#[inline(always)]
fn unless_foreign(inner: &Packet, why: Verdict) -> Verdict {
    if is_vip(&inner.dst.addr) { why } else { Verdict::PassForeignTunnel }
}

/// Also tells `arrival` which nodes the packet has been to.
#[inline(always)]
fn open(cursor: &Cursor, outer: &Packet, from: &Peer) -> Option<Envelope> {
    if !has_right_checksum(cursor, outer) {
        return None;
    }
    let FlowScratch { arrival, .. } = scratch::flow()?;
    arrival.begin(0);
    arrival.from = from.backend;
    let at = outer.l4();
    if outer.dst.protocol != protocol::UDP {
        let ethertype = ethertype(outer.dst.protocol)?;
        return Some(Envelope { inner: at, ethertype, end: outer.l3 + outer.len as usize });
    }
    let header = cursor.window::<{ GUE + gue::BASE_LEN }>(at)?;
    let ethertype = ethertype(header.get::<u8, { GUE + gue::PROTOCOL }>())?;
    // Variant 0, data, no flags: all else is not of ours.
    if header.get::<u16, { GUE + gue::FLAGS }>() != 0 {
        return None;
    }
    let end = at + u16::from_be(header.get::<u16, { udp::TOTAL_LEN }>()) as usize;
    match header.get::<u8, { GUE + gue::WORDS }>() {
        gue::BASE_WORDS => Some(Envelope { inner: at + GUE + gue::BASE_LEN, ethertype, end }),
        gue::HANDED_WORDS => {
            let private = cursor.window::<{ GUE + gue::HANDED_LEN }>(at)?;
            arrival.hops = private.get::<u8, { GUE + gue::HOPS }>() as u32;
            arrival.tags[0] = private.get::<u16, TAGS>();
            arrival.tags[1] = private.get::<u16, { TAGS + 2 }>();
            arrival.tags[2] = private.get::<u16, { TAGS + 4 }>();
            arrival.tags[3] = private.get::<u16, { TAGS + 6 }>();
            arrival.tags[4] = private.get::<u16, { TAGS + 8 }>();
            arrival.tags[5] = private.get::<u16, { TAGS + 10 }>();
            arrival.tags[6] = private.get::<u16, { TAGS + 12 }>();
            let inner = at + GUE + gue::HANDED_LEN;
            let is_ours = private.get::<u8, { GUE + gue::WHOSE }>() == gue::MAGIC;
            is_ours.then_some(Envelope { inner, ethertype, end })
        }
        _ => None,
    }
}

#[inline(always)]
fn accept(ctx: &XdpContext, cursor: &Cursor, outer: &Packet, inner: &Packet, service: &Service) -> Verdict {
    stats::service(service.id, inner.len as u32);
    // The director may not know yet whom the service admits.
    if let Err(verdict) = ranges::admit(inner, service) {
        // No director with the same objects sends packets to a port of kube-proxy's.
        return if service.is_passed() { Verdict::DropTunnelPort } else { verdict };
    }
    if outer.tos & CONGESTION_EXPERIENCED == CONGESTION_EXPERIENCED && !congestion::mark(cursor, inner) {
        return Verdict::DropCongestion;
    }
    match scratch::flow() {
        Some(scratch) => scratch.arrival.hash = inner.hash(service),
        None => return Verdict::DropFlowTable,
    }
    let verdict = route::packet(ctx, cursor, inner, service);
    if !matches!(verdict, Verdict::Deliver | Verdict::HandOn) {
        return verdict;
    }
    if decapsulate(ctx, cursor, inner).is_none() {
        return Verdict::DropNoRoom;
    }
    if !matches!(verdict, Verdict::HandOn) {
        return verdict;
    }
    // The other end of the tunnel does not route: the kernel does.
    route::hand_on(ctx, inner, Verdict::TellTooBigRouted)
}

/// The type of the packet inside, from the protocol that the header before it
/// names.
#[inline(always)]
fn ethertype(protocol: u8) -> Option<u16> {
    match protocol {
        protocol::IPV4 => Some(eth::IPV4),
        protocol::IPV6 => Some(eth::IPV6),
        _ => None,
    }
}
