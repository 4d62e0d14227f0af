//! Time.

use aya_ebpf::helpers::bpf_ktime_get_ns;

/// Seconds of `CLOCK_MONOTONIC`.
#[inline(always)]
pub fn seconds() -> u32 {
    // SAFETY: the helper takes nothing, and changes nothing.
    (unsafe { bpf_ktime_get_ns() } / 1_000_000_000) as u32
}
