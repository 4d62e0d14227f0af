//! Who may connect: `loadBalancerSourceRanges`.

use aya_ebpf::btf_maps::lpm_trie::Key;
use lb_common::{Addr, maps::RangeKey};

use crate::maps::RANGES;

/// Is the client one of those that the service (by its id) admits?
///
/// Not inlined: its key would take the stack of all the others, who don't ask.
#[inline(never)]
pub fn admit(service: u32, client: &Addr) -> bool {
    let key = Key::new(RangeKey::BITS, RangeKey { service, addr: *client });
    RANGES.get(&key).is_some()
}
