//! From a service to one of the endpoints here, or to another node.

use aya_ebpf::programs::XdpContext;
use lb_common::{
    Verdict,
    maps::{Service, memory, service_flags},
};
use lb_ebpf::{
    cursor::Cursor,
    header::protocol,
    parse::{Packet, l4},
    rewrite::destination::{self, Target},
};

use super::{
    affinity,
    begin::{self, Start},
    inside, known, owners, quote, source,
};
use crate::{
    dry_run, forward, maps,
    scratch::{self, FlowScratch},
};

/// Send a packet, which is not within another one any more, to the node that
/// [`find`] named. `told`: what it is if the client is told that it is too big.
///
/// Not inlined: it must not take the stack of those who call `find`.
#[inline(never)]
pub fn hand_on(ctx: &XdpContext, packet: &Packet, told: Verdict) -> Verdict {
    let Some(FlowScratch { arrival, .. }) = scratch::flow() else { return Verdict::DropFlowTable };
    dry_run::tell(|story| {
        story.next = arrival.next;
        story.hops = arrival.hops;
    });
    match maps::backend(arrival.next) {
        Some(backend) => forward::hand_on(ctx, packet, backend, arrival, told),
        None => Verdict::DropUnresolved,
    }
}

/// Rewrite the packet's destination to the flow's endpoint; or, if this node
/// does not know the flow, name the one to ask next, in `arrival.next`. The rest
/// of `arrival` has been told before.
#[inline(always)]
pub fn packet(ctx: &XdpContext, cursor: &Cursor, packet: &Packet, service: &Service) -> Verdict {
    match find(ctx, cursor, packet, service) {
        Verdict::Deliver if packet.quote != 0 => quote::destination(cursor, packet),
        verdict => verdict,
    }
}

/// The same, but of an ICMP error only the flow is found: its rewrite is not
/// called from here, for the sake of the stack.
///
/// Not inlined: it is called from three places, and its keys need stack.
#[inline(never)]
fn find(ctx: &XdpContext, cursor: &Cursor, packet: &Packet, service: &Service) -> Verdict {
    let Some(scratch) = scratch::flow() else { return Verdict::DropFlowTable };
    scratch.flow = packet.flow_key(service);
    owners::tell_slot(service, scratch.arrival.hash);
    let (flow, endpoint) = match known::flow(&scratch.flow, cursor, packet) {
        Some(_) if owners::found(service, &scratch.arrival) => return Verdict::HandOn,
        Some((flow, slot)) => {
            dry_run::tell(|story| story.memory = memory::HERE);
            (flow, &slot.endpoint)
        }
        None => {
            if !source::is_client(&packet.src) {
                return Verdict::DropSpoofed;
            }
            let opens = l4::opens(cursor, packet);
            let is_kept = service.flags & service_flags::AFFINITY != 0 && affinity::recall(service);
            if !(is_kept && opens) {
                let verdict = owners::next(packet, service, scratch, opens);
                if !matches!(verdict, Verdict::Deliver) {
                    if opens && packet.dst.protocol == protocol::TCP {
                        known::forget(&scratch.flow);
                    }
                    return verdict;
                }
            } else if owners::found(service, &scratch.arrival) {
                return Verdict::HandOn;
            }
            if packet.quote != 0 {
                return Verdict::DropIcmpFlow;
            }
            match begin::flow(ctx, scratch, packet, service, Start { opens, is_kept }) {
                Ok(()) => (&scratch.node_flow, &scratch.endpoint),
                // The one that drains is better than none.
                Err(Verdict::DropNoEndpoint) => match known::idle_flow(&scratch.flow) {
                    Some((flow, slot)) => (flow, &slot.endpoint),
                    None => return Verdict::DropNoEndpoint,
                },
                Err(verdict) => return verdict,
            }
        }
    };
    dry_run::tell(|story| {
        story.endpoint = *endpoint;
        story.inside = flow.is_inside() as u32;
    });
    if packet.quote != 0 {
        return Verdict::Deliver;
    }
    known::note_syn(cursor, packet);
    let to = Target { endpoint, client_port: flow.client_port };
    let is_done = destination::rewrite(cursor, packet, &to)
        && (!flow.is_inside() || inside::hide_client(cursor, packet));
    if is_done { Verdict::Deliver } else { Verdict::DropTruncated }
}
