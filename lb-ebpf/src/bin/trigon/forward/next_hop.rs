//! The next hop towards a backend: its VLAN tags and interface.

use aya_ebpf::{helpers::bpf_redirect, programs::XdpContext};
use lb_common::{
    Verdict,
    maps::{Backend, backend_flags},
};

use crate::{dry_run, vlan};

/// The backend's VLAN tags, on a frame that is about to leave for it.
#[inline(always)]
pub fn tag(ctx: &XdpContext, backend: &Backend, verdict: Verdict) -> Verdict {
    let is_tagged = backend.flags & backend_flags::TAGGED != 0 && verdict.leaves_for_backend();
    if is_tagged && !vlan::push(ctx, &backend.tags) { Verdict::DropNoRoom } else { verdict }
}

/// Transmit by the interface the packet came in by, or redirect to the backend's.
#[inline(always)]
pub fn leave(ctx: &XdpContext, backend: &Backend, here: Verdict, elsewhere: Verdict) -> Verdict {
    if dry_run::ingress(ctx) == backend.ifindex {
        return here;
    }
    // SAFETY: the helper takes numbers alone, and only notes the target.
    unsafe { bpf_redirect(backend.ifindex, 0) };
    elsewhere
}
