//! Who may connect: `loadBalancerSourceRanges`.

use aya_ebpf::btf_maps::lpm_trie::Key;
use lb_common::{
    Addr, Verdict,
    maps::{RangeKey, Service, service_flags},
};
use lb_ebpf::parse::Packet;

use crate::maps::RANGES;

/// Flags of services that not every packet may go on to.
const RESTRICTED: u32 = service_flags::RANGES | service_flags::PASS;

/// May the packet go on, to a backend or an endpoint? Not to a port that kube-proxy carries, nor from a client
/// that the service does not admit.
#[inline(always)]
pub fn admit(packet: &Packet, service: &Service) -> Result<(), Verdict> {
    // One test for all services that take every packet.
    if service.flags & RESTRICTED == 0 {
        return Ok(());
    }
    if service.is_passed() {
        return Err(Verdict::PassKubeProxy);
    }
    if is_in_range(service.id, &packet.src) { Ok(()) } else { Err(Verdict::DropSourceRange) }
}

/// Is the client one of those that the service (by its id) admits?
///
/// Not inlined: its key would take the stack of all the others, who don't ask.
#[inline(never)]
fn is_in_range(service: u32, client: &Addr) -> bool {
    let key = Key::new(RangeKey::BITS, RangeKey { service, addr: *client });
    RANGES.get(&key).is_some()
}
