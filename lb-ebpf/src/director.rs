//! The director: from a service to the backend that takes the packet.

use aya_ebpf::programs::XdpContext;
use lb_common::{
    Verdict, hash,
    maps::{Backend, BareFlow, FlowKey, Service, backend_flags, delivery, service_flags},
    ring::{CHUNK_SLOTS, NO_BACKEND},
    roles,
};

use crate::{
    cursor::Cursor,
    deliver,
    maps::{BACKENDS, FLOWS, RINGS, role},
    node,
    parse::Packet,
    stats,
};

/// Send a packet for `service` to its backend.
#[inline(always)]
pub fn forward(ctx: &XdpContext, cursor: &Cursor, packet: &Packet, service: &Service) -> Verdict {
    stats::service(service.id, packet.len as u32);
    let hash = hash::flow(&packet.client, packet.client_port);
    let id = if service.flags & service_flags::BARE != 0 {
        bare(cursor, packet, service, hash)
    } else {
        owner(service, hash)
    };
    let Some(backend) = usable(id) else { return Verdict::DropNoBackend };
    if role(roles::NODE) && backend.flags & backend_flags::LOCAL != 0 {
        return node::deliver(cursor, packet, service, hash);
    }
    stats::backend(id, packet.len as u32);
    deliver::to(ctx, cursor, packet, backend, hash)
}

/// The backend that the service's ring names for this flow.
#[inline(always)]
fn owner(service: &Service, hash: u64) -> u32 {
    let position = service.ring_offset + hash::slot(hash, service.ring_len);
    match RINGS.get(position / CHUNK_SLOTS) {
        Some(chunk) => chunk.slots[(position % CHUNK_SLOTS) as usize] as u32,
        None => NO_BACKEND as u32,
    }
}

#[inline(always)]
fn usable(id: u32) -> Option<&'static Backend> {
    BACKENDS.get(id).filter(|backend| backend.delivery != delivery::NONE)
}

/// Bare servers have no agent to ask for flows that the ring no longer names
/// them for, so the director remembers their flows itself.
///
/// A function of its own, and not inlined: its key would take the stack of
/// the stateless path.
#[inline(never)]
fn bare(cursor: &Cursor, packet: &Packet, service: &Service, hash: u64) -> u32 {
    let key = FlowKey { client: packet.client, service: service.id, client_port: packet.client_port, pad: 0 };
    if !node::is_syn(cursor, packet) {
        // SAFETY: entries are replaced, never changed in place.
        if let Some(flow) = unsafe { FLOWS.get(&key) }
            && usable(flow.backend).is_some()
        {
            return flow.backend;
        }
    }
    let id = owner(service, hash);
    // A full table costs the flow its stability, not its life.
    let _ = FLOWS.insert(&key, BareFlow { backend: id }, 0);
    id
}
