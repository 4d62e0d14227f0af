//! What is for an owned VIP, whatever else it is.

use lb_common::{Addr, Verdict};

use crate::maps::is_vip;

/// Pass it on untouched, unless it is for a VIP: then the kernel, which knows
/// no such address, might route it back to where it came from.
#[inline(always)]
pub fn unless_vip(to: &Addr, why: Verdict) -> Verdict {
    if is_vip(to) { why } else { Verdict::Pass }
}
