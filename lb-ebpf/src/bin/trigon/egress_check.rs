//! Checks of bare servers on their way out: they get to one server as traffic
//! gets there. The agent's sockets make them like any client of the VIP would,
//! so that the kernel has found a route and a neighbour for them, which are
//! replaced here.

use aya_ebpf::{
    bindings::{
        BPF_F_ADJ_ROOM_ENCAP_L3_IPV4, BPF_F_ADJ_ROOM_ENCAP_L3_IPV6, bpf_adj_room_mode::BPF_ADJ_ROOM_MAC,
    },
    programs::TcContext,
};
use lb_common::{
    Verdict, check, checksum,
    maps::{Backend, OUTER_DONT_FRAGMENT, backend_flags, delivery},
    roles,
};
use lb_ebpf::{
    cursor::Cursor,
    header::{TTL, eth, ipv4, ipv6, pair, protocol},
    parse::{self, Packet, Room},
};

use crate::{constants::role, maps};

/// What becomes of the packet if it is a check.
#[inline(always)]
pub fn packet(ctx: &TcContext) -> Option<Verdict> {
    // SAFETY: the context that the kernel gave, a word of it.
    let mark = unsafe { (*ctx.skb.skb).mark };
    match check::backend(mark) {
        Some(backend) if role(roles::DIRECTOR) => send(ctx, backend),
        _ => None,
    }
}

/// None if it is not to a VIP, and so is not a check, whatever its mark says.
/// What cannot be read would go to just any server, and is dropped.
#[inline(never)]
fn send(ctx: &TcContext, id: u32) -> Option<Verdict> {
    let cursor = Cursor::of_tc(ctx);
    let mut room = Room::uninit();
    // A single VLAN tag is not in the way: the kernel keeps it beside the packet.
    let parsed = parse::headers(&cursor, parse::ethertype(&cursor).unwrap_or_default(), eth::LEN, &mut room);
    let Some(inner) = parsed.packet() else { return Some(Verdict::EgressDropCheck) };
    if !maps::is_vip(&inner.dst.addr) {
        return None;
    }
    // SAFETY: the context that the kernel gave, a word of it.
    let leaves_by = unsafe { (*ctx.skb.skb).ifindex };
    let backend = maps::backend(id).filter(|backend| {
        const USABLE: u8 = backend_flags::BARE | backend_flags::RESOLVED;
        backend.flags & USABLE == USABLE && backend.ifindex == leaves_by
    });
    let Some(backend) = backend else { return Some(Verdict::EgressDropCheck) };
    let sent = match backend.delivery {
        delivery::L2 => Ok(()),
        delivery::IPIP4 => in_v4(ctx, inner, backend),
        delivery::IPIP6 => in_v6(ctx, inner, backend),
        _ => Err(0),
    };
    match sent.and_then(|()| ctx.store(0, &backend.macs, 0)) {
        Ok(()) => Some(Verdict::EgressCheck),
        Err(_) => Some(Verdict::EgressDropCheck),
    }
}

#[inline(always)]
fn in_v4(ctx: &TcContext, inner: &Packet, backend: &Backend) -> Result<(), i64> {
    grow(ctx, inner, backend, ipv4::LEN, BPF_F_ADJ_ROOM_ENCAP_L3_IPV4)?;
    let len = (inner.len + ipv4::LEN as u16).to_be();
    let first = u16::from_ne_bytes([ipv4::PLAIN, inner.tos]);
    let fourth = u16::from_ne_bytes([TTL, protocol::of_family(inner.is_v4)]);
    let sum = backend.outer_sum as u64 + first as u64 + len as u64 + fourth as u64;
    let header: [u32; ipv4::LEN / 4] = [
        pair(first, len),
        pair(0, OUTER_DONT_FRAGMENT),
        pair(fourth, !checksum::fold(sum)),
        backend.outer_src.words()[3],
        backend.outer_dst.words()[3],
    ];
    ctx.store(eth::LEN, &header, 0)?;
    ctx.store(eth::TYPE, &eth::IPV4, 0)
}

#[inline(always)]
fn in_v6(ctx: &TcContext, inner: &Packet, backend: &Backend) -> Result<(), i64> {
    grow(ctx, inner, backend, ipv6::LEN, BPF_F_ADJ_ROOM_ENCAP_L3_IPV6)?;
    let (src, dst) = (backend.outer_src.words(), backend.outer_dst.words());
    let header: [u32; ipv6::LEN / 4] = [
        ipv6::first_word(inner.tos, 0),
        pair(inner.len.to_be(), u16::from_ne_bytes([protocol::of_family(inner.is_v4), TTL])),
        src[0],
        src[1],
        src[2],
        src[3],
        dst[0],
        dst[1],
        dst[2],
        dst[3],
    ];
    ctx.store(eth::LEN, &header, 0)?;
    ctx.store(eth::TYPE, &eth::IPV6, 0)
}

/// Makes room for an outer header, if the packet still fits the path. The
/// kernel is told what it is, so that checksums that are still to be completed
/// are those of the inner packet.
#[inline(always)]
fn grow(ctx: &TcContext, inner: &Packet, backend: &Backend, more: usize, flags: u32) -> Result<(), i64> {
    if inner.len as u32 + more as u32 > backend.mtu as u32 {
        return Err(0);
    }
    ctx.adjust_room(more as i32, BPF_ADJ_ROOM_MAC, flags.into())
}
