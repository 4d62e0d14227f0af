//! The director: from a service to the backend that takes the packet.

use aya_ebpf::programs::XdpContext;
use lb_common::{
    Verdict, hash,
    maps::{Backend, Holder, Service, backend_flags, delivery, memory, service_flags},
    ring::{CHUNK_SLOTS, NO_BACKEND},
    roles,
};
use lb_ebpf::{
    cursor::Cursor,
    parse::{Packet, l4},
};

use crate::{
    constants::role,
    dry_run, forward, limit,
    maps::{self, BARE_FLOWS},
    node, ranges, stats,
};

/// Flags of services that take more than a look at their ring.
const UNLIKE: u32 =
    service_flags::RANGES | service_flags::BARE | service_flags::AFFINITY | service_flags::PASS;

/// Send a packet for `service` to its backend.
#[inline(always)]
pub fn forward(ctx: &XdpContext, cursor: &Cursor, packet: &Packet, service: &Service) -> Verdict {
    stats::service(service.id, packet.len as u32);
    // One test for all services that are like most.
    let (hash, id) = if service.flags & UNLIKE == 0 {
        let hash = packet.own_hash();
        (hash, owner(service, hash))
    } else {
        let hash = packet.hash(service);
        match choose(cursor, packet, service, hash) {
            Ok(id) => (hash, id),
            Err(verdict) => return verdict,
        }
    };
    dry_run::tell(|story| {
        story.backend = id;
        if story.memory != memory::ELSEWHERE {
            story.slot = hash::slot(hash, service.ring_len);
        }
    });
    let backend = usable(id);
    if role(roles::NODE) && (stays(service, backend) || goes_on_here(cursor, packet, service)) {
        return match node::here(ctx, cursor, packet, service, hash) {
            Verdict::DropNoEndpoint if service.ring_len == 0 => Verdict::DropNoBackend,
            verdict => verdict,
        };
    }
    let Some(backend) = backend else { return Verdict::DropNoBackend };
    stats::backend(id, packet.len as u32);
    forward::to(ctx, cursor, packet, backend, hash)
}

/// Is the packet for an endpoint here?
///
/// As long as a service has no ring, this machine is the node that it was: it has just become a
/// director too, and its agent is about to write the rings.
#[inline(always)]
fn stays(service: &Service, backend: Option<&Backend>) -> bool {
    match backend {
        Some(backend) => backend.flags & backend_flags::LOCAL != 0,
        None => service.ring_offset == 0,
    }
}

/// Is it of a flow whose endpoint is here, though its slot may have gone to another machine? That one would have to
/// send it back; and if it went by its MAC address to a director whose ring is another one, it would be sent to and fro.
///
/// Only slots that have changed hands leave flows behind.
#[inline(always)]
fn goes_on_here(cursor: &Cursor, packet: &Packet, service: &Service) -> bool {
    service.changed != 0 && node::goes_on(cursor, packet, service)
}

/// The backend for a packet to a service that does not admit everybody, has
/// bare servers, keeps clients, or is kube-proxy's.
#[inline(always)]
fn choose(cursor: &Cursor, packet: &Packet, service: &Service, hash: u64) -> Result<u32, Verdict> {
    ranges::admit(packet, service)?;
    if service.flags & service_flags::BARE == 0 {
        return Ok(owner(service, hash));
    }
    match bare(cursor, packet, service, hash) {
        BEYOND_LIMIT => Err(Verdict::DropNewFlow),
        id => Ok(id),
    }
}

/// The backend that the service's ring names for this flow; [`NO_BACKEND`] as long as it has no
/// ring, even if it has slots: those are of the node's history.
#[inline(always)]
pub fn owner(service: &Service, hash: u64) -> u32 {
    if service.ring_offset == 0 {
        return NO_BACKEND as u32;
    }
    let position = service.ring_offset + hash::slot(hash, service.ring_len);
    match maps::ring_chunk(position / CHUNK_SLOTS) {
        Some(chunk) => chunk.slots[(position % CHUNK_SLOTS) as usize] as u32,
        None => NO_BACKEND as u32,
    }
}

#[inline(always)]
pub fn usable(id: u32) -> Option<&'static Backend> {
    maps::backend(id).filter(|backend| backend.delivery != delivery::NONE)
}

/// Instead of a backend: the flow must not begin.
const BEYOND_LIMIT: u32 = u32::MAX;

/// Bare servers have no agent to ask for flows that the ring no longer names
/// them for, so the director remembers their flows itself.
///
/// A function of its own, and not inlined: its key would take the stack of
/// the stateless path.
#[inline(never)]
fn bare(cursor: &Cursor, packet: &Packet, service: &Service, hash: u64) -> u32 {
    let key = packet.flow_key(service);
    if !l4::is_syn(cursor, packet)
        && let Some(holder) = maps::holder(&key)
        && usable(holder.backend).is_some()
    {
        dry_run::tell(|story| story.memory = memory::ELSEWHERE);
        return holder.backend;
    }
    // In the middle of a connection it is not new, but came by another director.
    if service.new_flows != 0
        && l4::opens(cursor, packet)
        && !limit::admit_flow(service.id, service.new_flows)
    {
        return BEYOND_LIMIT;
    }
    let id = owner(service, hash);
    // An ICMP error begins no flow.
    if packet.quote == 0 {
        // A full table costs the flow its stability, not its life.
        let _ = dry_run::remember(&BARE_FLOWS, &key, &Holder { backend: id });
    }
    id
}
