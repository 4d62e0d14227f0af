//! The ways from a director to a backend.

mod gue;
mod ipip;
mod l2;
mod next_hop;
mod outer;
mod too_big;

use aya_ebpf::programs::XdpContext;
use lb_common::{
    Verdict,
    maps::{Backend, backend_flags, delivery},
};
use lb_ebpf::{cursor::Cursor, parse::Packet};

use crate::scratch::Arrival;
use next_hop::tag;

/// Send `packet` to `backend`.
#[inline(always)]
pub fn to(ctx: &XdpContext, cursor: &Cursor, packet: &Packet, backend: &Backend, hash: u64) -> Verdict {
    const UNLIKE: u8 = backend_flags::RESOLVED | backend_flags::BARE | backend_flags::TAGGED;
    // One test for all backends that are like most.
    let verdict = if backend.flags & UNLIKE == backend_flags::RESOLVED {
        send(ctx, cursor, packet, backend, hash, 0)
    } else {
        to_unlike(ctx, packet, backend, hash)
    };
    if matches!(verdict, Verdict::DropTooBig) {
        return too_big::tell(ctx, packet, backend, Verdict::TellTooBig);
    }
    verdict
}

/// To a bare server, to one with VLAN tags, or to none.
#[inline(never)]
fn to_unlike(ctx: &XdpContext, packet: &Packet, backend: &Backend, hash: u64) -> Verdict {
    if backend.flags & backend_flags::RESOLVED == 0 {
        return Verdict::DropUnresolved;
    }
    let cursor = Cursor::of_xdp(ctx);
    let verdict = send(ctx, &cursor, packet, backend, hash, ipip::host(backend, hash));
    tag(ctx, backend, verdict)
}

/// `host`: what is to be added to the source address of an outer header.
#[inline(always)]
fn send(
    ctx: &XdpContext,
    cursor: &Cursor,
    packet: &Packet,
    backend: &Backend,
    hash: u64,
    host: u32,
) -> Verdict {
    match backend.delivery {
        delivery::L2 => l2::send(ctx, cursor, packet, backend),
        delivery::IPIP4 => ipip::v4(ctx, packet, backend, host),
        delivery::IPIP6 => ipip::v6(ctx, packet, backend, hash, host),
        delivery::GUE4 => gue::v4(ctx, packet, backend, hash),
        _ => gue::v6(ctx, packet, backend, hash),
    }
}

/// Hand a packet on to another node. `told`: what it is if the client is told that it is too big.
#[inline(always)]
pub fn hand_on(
    ctx: &XdpContext,
    packet: &Packet,
    backend: &Backend,
    arrival: &Arrival,
    told: Verdict,
) -> Verdict {
    if backend.flags & backend_flags::RESOLVED == 0 {
        return Verdict::DropUnresolved;
    }
    let verdict = tag(ctx, backend, gue::hand_on(ctx, packet, backend, arrival));
    if matches!(verdict, Verdict::DropTooBig) {
        return too_big::tell(ctx, packet, backend, told);
    }
    verdict
}
