//! The node: from a service to one of the endpoints here, and the memory of
//! which flow went to which.

mod affinity;
mod begin;
mod nat;
mod owners;
mod probe;
mod quote;
mod source;
mod tunnel;

use aya_ebpf::programs::XdpContext;
use lb_common::{
    Verdict, gue,
    maps::{FlowKey, Service, memory, service_flags},
};

use crate::{
    cursor::Cursor,
    deliver, dry_run,
    maps::{BACKENDS, FLOW_SCRATCH, FlowScratch, NODE_FLOWS},
    parse::{Packet, l4},
    ranges, stats,
};
use begin::Start;
pub use tunnel::receive as tunnel;

/// How a packet came here, and where it has to go if not to an endpoint here.
pub struct Arrival {
    pub hash: u64,
    /// How many nodes it has been to; or `gue::OVER`, `DIRECT` or `FOUND`.
    pub hops: u32,
    /// These: the first `hops` are set, the rest are zero.
    pub tags: [u16; gue::TAGS],
    /// The backend that is the node it came from, if it came from a node.
    pub from: u32,
    /// The backend to hand on to, where the verdict is to hand on.
    pub next: u32,
}

impl Arrival {
    /// Straight from a director.
    #[inline(always)]
    fn begin(&mut self, hash: u64) {
        self.hash = hash;
        self.hops = 0;
        self.tags = [0, 0, 0, 0, 0, 0, 0];
    }
}

/// This CPU's own, for as long as it is with a packet. Whoever calls a function
/// that takes it anew has to take it anew afterwards.
#[inline(always)]
fn scratch() -> Option<&'static mut FlowScratch> {
    // SAFETY: XDP does not nest, and no two of these are alive at a time.
    FLOW_SCRATCH.get_ptr_mut(0).map(|scratch| unsafe { &mut *scratch })
}

/// A packet that a director sent here by its MAC address.
#[inline(always)]
pub fn receive(ctx: &XdpContext, cursor: &Cursor, packet: &Packet, service: &Service) -> Verdict {
    stats::service(service.id, packet.len as u32);
    if service.flags & service_flags::RANGES != 0 && !ranges::admit(service.id, &packet.src) {
        return Verdict::DropSourceRange;
    }
    here(ctx, cursor, packet, service, packet.hash(service))
}

/// A packet that is not within another one: to an endpoint, or to another node.
#[inline(always)]
pub fn here(ctx: &XdpContext, cursor: &Cursor, packet: &Packet, service: &Service, hash: u64) -> Verdict {
    match scratch() {
        Some(scratch) => scratch.arrival.begin(hash),
        None => return Verdict::DropFlowTable,
    }
    let verdict = route(cursor, packet, service);
    if matches!(verdict, Verdict::HandOn) { hand_on(ctx, packet) } else { verdict }
}

/// Send a packet, which is not within another one any more, to the node that
/// [`find`] named.
///
/// Not inlined: it must not take the stack of those who call `find`.
#[inline(never)]
fn hand_on(ctx: &XdpContext, packet: &Packet) -> Verdict {
    let Some(FlowScratch { arrival, .. }) = scratch() else { return Verdict::DropFlowTable };
    dry_run::tell(|story| {
        story.next = arrival.next;
        story.hops = arrival.hops;
    });
    match BACKENDS.get(arrival.next) {
        Some(backend) => deliver::hand_on(ctx, packet, backend, arrival),
        None => Verdict::DropUnresolved,
    }
}

/// Rewrite the packet's destination to the flow's endpoint; or, if this node
/// does not know the flow, name the one to ask next, in `arrival.next`. The rest
/// of `arrival` has been told before.
#[inline(always)]
fn route(cursor: &Cursor, packet: &Packet, service: &Service) -> Verdict {
    match find(cursor, packet, service) {
        Verdict::Deliver if packet.quote != 0 => quote::destination(cursor, packet),
        verdict => verdict,
    }
}

/// The same, but of an ICMP error only the flow is found: its rewrite is not
/// called from here, for the sake of the stack.
///
/// Not inlined: it is called from three places, and its keys need stack.
#[inline(never)]
fn find(cursor: &Cursor, packet: &Packet, service: &Service) -> Verdict {
    let Some(scratch) = scratch() else { return Verdict::DropFlowTable };
    scratch.flow = FlowKey { client: packet.src, service: service.id, client_port: packet.src_port, pad: 0 };
    // SAFETY: entries are replaced, never changed in place.
    let flow = match unsafe { NODE_FLOWS.get(&scratch.flow) } {
        Some(_) if owners::found(service, &scratch.arrival) => return Verdict::HandOn,
        Some(flow) => {
            dry_run::tell(|story| story.memory = memory::HERE);
            flow
        }
        None => {
            if !source::is_client(&packet.src) {
                return Verdict::DropSpoofed;
            }
            let opens = opens(cursor, packet);
            let is_kept = service.flags & service_flags::AFFINITY != 0 && affinity::recall(service);
            if !(is_kept && opens) {
                let verdict = owners::next(packet, service, scratch, opens);
                if !matches!(verdict, Verdict::Deliver) {
                    return verdict;
                }
            } else if owners::found(service, &scratch.arrival) {
                return Verdict::HandOn;
            }
            if packet.quote != 0 {
                return Verdict::DropIcmpFlow;
            }
            match begin::flow(scratch, packet, service, Start { opens, is_kept }) {
                Ok(flow) => flow,
                Err(verdict) => return verdict,
            }
        }
    };
    dry_run::tell(|story| story.endpoint = flow.endpoint());
    let is_done = packet.quote != 0 || nat::rewrite(cursor, packet, flow);
    if is_done { Verdict::Deliver } else { Verdict::DropTruncated }
}

/// Can a flow begin with this packet: is it a SYN, or of a protocol without?
/// None begins with an error about it.
#[inline(always)]
pub fn opens(cursor: &Cursor, packet: &Packet) -> bool {
    packet.quote == 0 && (packet.dst.protocol != l4::TCP || is_syn(cursor, packet))
}

/// Does the packet open a TCP connection: SYN without ACK?
#[inline(always)]
pub fn is_syn(cursor: &Cursor, packet: &Packet) -> bool {
    l4::tcp_flags(cursor, packet).is_some_and(|flags| flags & (l4::SYN | l4::ACK) == l4::SYN)
}
