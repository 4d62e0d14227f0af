//! A dry run: what would become of a packet, told without changing anything.
//!
//! The agent loads a second copy of the programs with `DRY_RUN` set, on the
//! same maps. All that they write to maps goes through here or through
//! `stats`, so that the verifier removes it from that copy; and from the copy
//! that carries traffic it removes the telling.

use aya_ebpf::{bindings::BPF_NOEXIST, btf_maps::LruHashMap, programs::XdpContext};
use lb_common::maps::Story;

pub use crate::constants::dry_run;
use crate::maps::STORY;

/// Insert into a table of flows; false if that failed.
#[inline(always)]
pub fn remember<K, V, const N: usize, const F: usize>(
    table: &LruHashMap<K, V, N, F>,
    key: &K,
    value: &V,
) -> bool {
    dry_run() || table.insert(key, value, 0).is_ok()
}

/// The same, but only if the table has no such entry yet.
#[inline(always)]
pub fn remember_new<K, V, const N: usize, const F: usize>(
    table: &LruHashMap<K, V, N, F>,
    key: &K,
    value: &V,
) -> bool {
    if dry_run() {
        return table.get_ptr(key).is_none();
    }
    table.insert(key, value, BPF_NOEXIST as u64).is_ok()
}

/// Remove from a table of flows, if it is there.
#[inline(always)]
pub fn forget<K, V, const N: usize, const F: usize>(table: &LruHashMap<K, V, N, F>, key: &K) {
    if !dry_run() {
        let _ = table.remove(key);
    }
}

/// Tell something if this is a dry run. Is it?
#[inline(always)]
pub fn tell(note: impl FnOnce(&mut Story)) -> bool {
    if !dry_run() {
        return false;
    }
    if let Some(story) = STORY.get_ptr_mut(0) {
        // SAFETY: memory of the map, which outlives the program. The agent makes
        // one dry run at a time and reads the map after it, and no `note` tells
        // anything itself.
        note(unsafe { &mut *story });
    }
    true
}

/// The interface that a packet came in by. `BPF_PROG_TEST_RUN` can be told one only since
/// 5.15, so a dry run has it from its map.
#[inline(always)]
pub fn ingress(ctx: &XdpContext) -> u32 {
    if dry_run() {
        return STORY.get(0).map_or(0, |story| story.ingress);
    }
    ctx.ingress_ifindex() as u32
}
