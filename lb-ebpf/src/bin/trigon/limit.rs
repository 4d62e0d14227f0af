//! So many in a second.

use lb_common::maps::Spent;

use crate::{clock, dry_run::dry_run, maps::NEW_FLOWS};

/// One more in the second `now`, if there were fewer than `limit`.
#[inline(always)]
pub fn admit(spent: &mut Spent, now: u32, limit: u32) -> bool {
    if dry_run() {
        return spent.second != now || spent.count < limit;
    }
    if spent.second != now {
        spent.second = now;
        spent.count = 0;
    }
    spent.count += 1;
    spent.count <= limit
}

/// May one more flow of a service, by its id, begin in this second, if `limit`
/// may? It counts, if so.
///
/// All CPUs share one count without a lock: of those that add to it in the same
/// few nanoseconds, one counts. So more than `limit` may begin, by as much as
/// CPUs collide; never fewer.
#[inline(never)]
pub fn admit_flow(service: u32, limit: u32) -> bool {
    let Some(begun) = NEW_FLOWS.get_ptr_mut(service) else { return true };
    let now = clock::seconds();
    // SAFETY: an aligned word of a map, which outlives the program; other CPUs read
    // and write it whole, as this one does.
    let found = unsafe { begun.read_volatile() };
    // Or the next one, where another CPU is already.
    let is_this_second = (found >> 32) as u32 >= now;
    let is_admitted = !is_this_second || (found as u32) < limit;
    if is_admitted && !dry_run() {
        let next = if is_this_second { found + 1 } else { (now as u64) << 32 | 1 };
        // SAFETY: as above.
        unsafe { begun.write_volatile(next) }
    }
    is_admitted
}
