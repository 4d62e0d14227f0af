//! What is for an owned VIP, whatever else it is.

use lb_common::{Addr, Verdict};

use crate::maps::VIPS;

/// Pass it on untouched, unless it is for a VIP: then the kernel, which knows
/// no such address, might route it back to where it came from.
#[inline(always)]
pub fn unless_vip(to: &Addr, why: Verdict) -> Verdict {
    // SAFETY: only the presence of the entry counts.
    if unsafe { VIPS.get(to) }.is_some() { why } else { Verdict::Pass }
}
