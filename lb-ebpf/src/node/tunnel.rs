//! The end of a director's tunnel. Accepted only between addresses in `PEERS`
//! and only for owned VIPs; any other tunnel (a CNI's own IPIP between the
//! same nodes, say) passes untouched.

use aya_ebpf::{EbpfContext, bindings::xdp_md, helpers::bpf_xdp_adjust_head, programs::XdpContext};
use lb_common::{Addr, Verdict, checksum, hash, maps::Service, roles};
use network_types::{eth::EtherType, ip::IpProto};

use crate::{
    cursor::Cursor,
    maps::{PEERS, SERVICES, VIPS},
    parse::{self, ETH_LEN, Packet, Parsed, Room, ip},
    receive::unless_vip,
    stats,
};

/// Congestion experienced, in both families' lowest two bits (RFC 3168).
const CE: u8 = 3;

/// An IP packet in an IP packet, `outer` being the outer one.
#[inline(never)]
pub fn receive(ctx: &XdpContext, outer: &Packet) -> Verdict {
    if !is_peer(&outer.to.addr, roles::SELF) || !is_peer(&outer.client, roles::DIRECTOR | roles::NODE) {
        return match unless_vip(&outer.to.addr, Verdict::DropOtherProtocol) {
            Verdict::Pass => Verdict::PassForeignTunnel,
            drop => drop,
        };
    }
    let cursor = Cursor::new(ctx.data(), ctx.data_end());
    let mut room = Room::uninit();
    let (inner, unfit) = match parse::network(&cursor, ethertype(outer), ETH_LEN + outer.l3_len, &mut room) {
        // SAFETY: entries are replaced, never changed in place.
        Parsed::Flow(inner) => match unsafe { SERVICES.get(&inner.to) } {
            Some(service) => return accept(ctx, &cursor, outer, inner, service),
            None => (inner, Verdict::DropTunnelPort),
        },
        Parsed::Unfit(inner, why) => (inner, why),
        Parsed::Tunnel(inner) => (inner, Verdict::DropOtherProtocol),
        Parsed::NotIp => return Verdict::PassForeignTunnel,
    };
    // SAFETY: only the presence of the entry counts.
    if unsafe { VIPS.get(&inner.to.addr) }.is_some() { unfit } else { Verdict::PassForeignTunnel }
}

#[inline(always)]
fn accept(ctx: &XdpContext, cursor: &Cursor, outer: &Packet, inner: &Packet, service: &Service) -> Verdict {
    stats::service(service.id, inner.len as u32);
    if outer.tos & CE == CE && !mark_congestion(cursor, inner) {
        return Verdict::DropCongestion;
    }
    let hash = hash::flow(&inner.client, inner.client_port);
    let verdict = super::deliver(cursor, inner, service, hash);
    if !matches!(verdict, Verdict::Deliver) {
        return verdict;
    }
    let done = if outer.is_v4 {
        decapsulate::<{ ip::V4_LEN }>(ctx, cursor, inner)
    } else {
        decapsulate::<{ ip::V6_LEN }>(ctx, cursor, inner)
    };
    if done { verdict } else { Verdict::DropNoRoom }
}

#[inline(always)]
fn is_peer(addr: &Addr, roles: u32) -> bool {
    // SAFETY: one aligned word, written whole.
    unsafe { PEERS.get(addr) }.is_some_and(|peer| peer.roles & roles != 0)
}

/// The type of the packet inside, from the outer header's protocol.
#[inline(always)]
fn ethertype(outer: &Packet) -> u16 {
    if outer.to.protocol == IpProto::Ipv4 as u8 { EtherType::Ipv4 as u16 } else { EtherType::Ipv6 as u16 }
}

/// Take `LEN` bytes of outer header away from under the Ethernet header.
#[inline(always)]
fn decapsulate<const LEN: usize>(ctx: &XdpContext, cursor: &Cursor, inner: &Packet) -> bool {
    let Some(frame) = cursor.window::<ETH_LEN>(0) else { return false };
    let Some(moved) = cursor.window::<ETH_LEN>(LEN) else { return false };
    let macs = [frame.get::<u32, 0>(), frame.get::<u32, 4>(), frame.get::<u32, 8>()];
    moved.set::<u32, 0>(macs[0]);
    moved.set::<u32, 4>(macs[1]);
    moved.set::<u32, 8>(macs[2]);
    moved.set::<u16, 12>(if inner.is_v4 { EtherType::Ipv4 as u16 } else { EtherType::Ipv6 as u16 });
    // SAFETY: a plain helper call; no packet pointer is used after it.
    unsafe { bpf_xdp_adjust_head(ctx.as_ptr().cast::<xdp_md>(), LEN as i32) == 0 }
}

/// RFC 6040 section 4.2: congestion met by the outer header is passed on in
/// the inner one; false if the inner transport does not understand it, and
/// the packet has to be dropped instead.
#[inline(always)]
fn mark_congestion(cursor: &Cursor, inner: &Packet) -> bool {
    if inner.tos & CE == 0 {
        return false;
    }
    if !inner.is_v4 {
        // The traffic class lies across bytes 0 and 1; ECN is bits 4 and 5 of byte 1.
        return cursor
            .window::<2>(inner.l3)
            .map(|header| header.set::<u8, 1>(header.get::<u8, 1>() | CE << 4))
            .is_some();
    }
    let Some(header) = cursor.window::<{ ip::V4_LEN }>(inner.l3) else { return false };
    let old = header.get::<u16, 0>();
    header.set::<u8, 1>(inner.tos | CE);
    let difference = checksum::difference(&[old as u32], &[header.get::<u16, 0>() as u32]);
    header.set::<u16, 10>(checksum::update(header.get::<u16, 10>(), difference));
    true
}
