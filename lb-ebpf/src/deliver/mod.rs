//! The ways from a director to a backend.

mod ipip;
mod l2;

use aya_ebpf::{helpers::bpf_redirect, programs::XdpContext};
use lb_common::{
    Verdict,
    maps::{Backend, backend_flags, delivery},
};

use crate::{
    cursor::{Cursor, Window},
    parse::{ETH_LEN, Packet},
};

/// Send `packet` to `backend`.
#[inline(always)]
pub fn to(ctx: &XdpContext, cursor: &Cursor, packet: &Packet, backend: &Backend, hash: u64) -> Verdict {
    if backend.flags & backend_flags::RESOLVED == 0 {
        return Verdict::DropUnresolved;
    }
    match backend.delivery {
        delivery::L2 => l2::send(ctx, cursor, packet, backend),
        delivery::IPIP4 => ipip::v4(ctx, packet, backend),
        _ => ipip::v6(ctx, packet, backend, hash),
    }
}

/// The Ethernet addresses of the next hop, at the start of the frame.
#[inline(always)]
fn set_macs<const N: usize>(frame: &Window<N>, backend: &Backend) {
    // SAFETY: `macs` is the first field of an 8-aligned struct: three words.
    let macs = unsafe { *(&raw const backend.macs).cast::<[u32; 3]>() };
    const { assert!(N >= ETH_LEN) };
    frame.set::<u32, 0>(macs[0]);
    frame.set::<u32, 4>(macs[1]);
    frame.set::<u32, 8>(macs[2]);
}

/// Transmit by the interface the packet came in by, or redirect to the
/// backend's.
#[inline(always)]
fn leave(ctx: &XdpContext, backend: &Backend, here: Verdict, elsewhere: Verdict) -> Verdict {
    if ctx.ingress_ifindex() == backend.ifindex as usize {
        return here;
    }
    // SAFETY: a plain helper call; it only notes the target.
    unsafe { bpf_redirect(backend.ifindex, 0) };
    elsewhere
}
