//! The fragments of a packet meet on one node, whichever directors they come by.
//!
//! Only the first has ports, and routers spread the others over directors as they like. So a
//! director chooses by the client's address alone, for all fragments to a VIP by the ring of the
//! same service, and remembers nothing. The node on which they meet gives ports to the later ones
//! (`fragments`), and hands on what is not its own, as with any flow that it does not know.

use aya_ebpf::programs::XdpContext;
use lb_common::{Verdict, hash, maps::ServiceKey, ring::NO_BACKEND};
use lb_ebpf::{cursor::Cursor, parse::Packet};

use crate::{director, forward, maps, node, ranges, stats};

/// The backend on which fragments to this VIP from this client meet; `NO_BACKEND`: each goes where
/// its ports lead.
///
/// Not inlined: its key would take the stack of all other packets.
#[inline(never)]
pub fn meeting(packet: &Packet) -> u32 {
    let none = NO_BACKEND as u32;
    let Some(vip) = maps::vip(&packet.dst.addr) else { return none };
    let (port, protocol) = vip.meeting();
    if protocol == 0 {
        return none;
    }
    let key = ServiceKey { addr: packet.dst.addr, port, protocol, pad: 0 };
    maps::service(&key).map_or(none, |service| director::owner(service, hash(packet)))
}

/// Send a fragment to the node where they meet.
#[inline(never)]
pub fn forward(ctx: &XdpContext, cursor: &Cursor, packet: &Packet, id: u32) -> Verdict {
    if !packet.is_later_fragment() {
        let Some(service) = maps::service(&packet.dst) else { return Verdict::DropNoSuchPort };
        stats::service(service.id, packet.len as u32);
        if let Err(verdict) = ranges::admit(packet, service) {
            return verdict;
        }
    }
    let Some(backend) = director::usable(id) else { return Verdict::DropNoBackend };
    stats::backend(id, packet.len as u32);
    forward::to(ctx, cursor, packet, backend, hash(packet))
}

/// A fragment, its ports known, that has come to where they meet, which is this machine: to a
/// node, and not to a director, whose ring would send it to one that sends it back.
#[inline(never)]
pub fn receive(ctx: &XdpContext, cursor: &Cursor, packet: &Packet) -> Verdict {
    match maps::service(&packet.dst) {
        Some(service) => node::receive(ctx, cursor, packet, service),
        None => Verdict::DropNoSuchPort,
    }
}

/// Of all fragments from a client, so that they take the same way to the node.
#[inline(always)]
fn hash(packet: &Packet) -> u64 {
    hash::flow(&packet.src, 0)
}
