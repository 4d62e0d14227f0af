//! The ways from a director to a backend.

mod gue;
mod ipip;
mod l2;
mod outer;
mod too_big;

use aya_ebpf::{helpers::bpf_redirect, programs::XdpContext};
use lb_common::{
    Verdict,
    maps::{Backend, backend_flags, delivery},
};

pub use outer::inner_protocol;

use crate::{
    cursor::{Cursor, Window},
    dry_run,
    node::Arrival,
    parse::Packet,
    vlan,
};

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
    let cursor = Cursor::new(ctx.data(), ctx.data_end());
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

/// Hand a packet on to another node.
#[inline(always)]
pub fn hand_on(ctx: &XdpContext, packet: &Packet, backend: &Backend, arrival: &Arrival) -> Verdict {
    if backend.flags & backend_flags::RESOLVED == 0 {
        return Verdict::DropUnresolved;
    }
    let verdict = tag(ctx, backend, gue::hand_on(ctx, packet, backend, arrival));
    if matches!(verdict, Verdict::DropTooBig) {
        // It came from a director, who does not route: the kernel does.
        return too_big::tell(ctx, packet, backend, Verdict::TellTooBigRouted);
    }
    verdict
}

/// The Ethernet addresses of the next hop, at the start of the frame.
#[inline(always)]
fn set_macs<const N: usize>(frame: &Window<N>, backend: &Backend) {
    // SAFETY: `macs` is the first field of an 8-aligned struct: three words.
    frame.set_macs::<0>(unsafe { *(&raw const backend.macs).cast::<[u32; 3]>() });
}

/// The backend's VLAN tags, on a frame that is about to leave for it.
#[inline(always)]
fn tag(ctx: &XdpContext, backend: &Backend, verdict: Verdict) -> Verdict {
    let is_tagged = backend.flags & backend_flags::TAGGED != 0 && verdict.leaves_for_backend();
    if is_tagged && !vlan::push(ctx, &backend.tags) { Verdict::DropNoRoom } else { verdict }
}

/// Transmit by the interface the packet came in by, or redirect to the backend's.
#[inline(always)]
fn leave(ctx: &XdpContext, backend: &Backend, here: Verdict, elsewhere: Verdict) -> Verdict {
    if ctx.ingress_ifindex() as u32 == backend.ifindex || dry_run::came_by(backend.ifindex) {
        return here;
    }
    // SAFETY: a plain helper call; it only notes the target.
    unsafe { bpf_redirect(backend.ifindex, 0) };
    elsewhere
}
