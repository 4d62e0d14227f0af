//! The beginning of a flow: an endpoint is chosen, and both directions are
//! remembered.

use aya_ebpf::programs::XdpContext;
use lb_common::{
    Addr, Verdict, hash,
    maps::{NodeFlow, Reply, ReplyKey, Service, marked, memory, service_flags},
};
use lb_ebpf::parse::Packet;

use super::{affinity, inside};
use crate::{
    clock, dry_run, limit,
    maps::{self, NODE_FLOWS, NODE_REPLIES},
    scratch::{self, FlowScratch},
};

/// How many ports are tried for a client whose own is taken at the endpoint.
const SUBSTITUTES: u32 = 8;

const REMEMBERED: u32 = 0;
const NOT_REMEMBERED: u32 = 1;
const PORTS_TAKEN: u32 = 2;

/// How it begins.
#[derive(Clone, Copy)]
pub struct Start {
    /// With a packet that opens a flow, and not in the middle of one.
    pub opens: bool,
    /// The client stays with the endpoint that is in `scratch.affinity`.
    pub is_kept: bool,
}

/// Choose an endpoint for a new flow, `scratch.flow`, and remember it. It is in `scratch.endpoint` and
/// `scratch.node_flow` then.
///
/// A flow that is not new, but which no former owner knows, comes here too:
/// its endpoint will answer with an RST, and the entry in `NODE_REPLIES` lets
/// that RST come from the VIP.
#[inline(always)]
pub fn flow(
    ctx: &XdpContext,
    scratch: &mut FlowScratch,
    packet: &Packet,
    service: &Service,
    start: Start,
) -> Result<(), Verdict> {
    dry_run::tell(|story| story.memory = memory::BEGINS);
    let hash = scratch.arrival.hash;
    let (slot, epoch) = if start.is_kept {
        (scratch.affinity.slot, scratch.affinity.epoch)
    } else {
        // Not even the first one, which a failed deletion may have left.
        if service.endpoints == 0 {
            return Err(Verdict::DropNoEndpoint);
        }
        let index = hash::endpoint(hash, service.endpoints);
        let slot = maps::endpoint(service.id, index).ok_or(Verdict::DropNoEndpoint)?;
        (slot, maps::epoch(slot).ok_or(Verdict::DropNoEndpoint)?)
    };
    // It may have gone since: the next packet chooses another one.
    let held = maps::held_slot(slot, epoch, service.id).ok_or(Verdict::DropNoEndpoint)?;
    if service.new_flows != 0 && start.opens && !limit::admit_flow(service.id, service.new_flows) {
        return Err(Verdict::DropNewFlow);
    }
    let client_port = packet.src_port;
    scratch.endpoint = held.endpoint;
    let is_inside = inside::is_client(ctx);
    let marked_slot = marked(slot, is_inside);
    let seen = if is_inside { clock::seconds() } else { 0 };
    scratch.node_flow = NodeFlow { marked_slot, epoch, client_port, seen };
    let (client, other) =
        if is_inside { (packet.dst.addr, packet.src) } else { (packet.src, packet.dst.addr) };
    scratch.reply_key = ReplyKey::new(scratch.endpoint, client, client_port, packet.dst.protocol);
    scratch.reply = Reply {
        other,
        port: packet.dst.port,
        client_port,
        mss: service.mss as u16,
        incarnation: service.incarnation(),
        marked_service: marked(service.id, is_inside),
    };
    // Replies first: a flow without them would answer from the Pod's address.
    match trigon_remember_reply() {
        REMEMBERED => {}
        PORTS_TAKEN => return Err(Verdict::DropSamePort),
        _ => return Err(Verdict::DropFlowTable),
    }
    if !dry_run::remember(&NODE_FLOWS, &scratch.flow, &scratch.node_flow) {
        return Err(Verdict::DropFlowTable);
    }
    if start.opens && service.flags & service_flags::AFFINITY != 0 {
        affinity::keep(scratch);
    }
    Ok(())
}

/// The endpoint's replies to the client's port must be this flow's alone. If
/// the client has a flow to another service from that port, and the same
/// endpoint is behind both, the endpoint gets to see another port.
///
/// Clients inside are one client to the endpoint, and together have no more ports than one:
/// flows that nobody told the end of have them all at some time. So where all that are tried are
/// taken, the one is taken over whose flow has been idle for longest.
///
/// A global function: see [`super::owners`].
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn trigon_remember_reply() -> u32 {
    let Some(scratch) = scratch::flow() else { return NOT_REMEMBERED };
    let hash = scratch.arrival.hash;
    let (mut idlest, mut last_seen) = (0, u32::MAX);
    for attempt in 0..=SUBSTITUTES {
        if attempt > 0 {
            let port = hash::substitute_port(hash, scratch.reply.service(), attempt);
            show_port(scratch, port);
        }
        if dry_run::remember_new(&NODE_REPLIES, &scratch.reply_key, &scratch.reply) {
            return REMEMBERED;
        }
        let Some(taken) = taken_by(scratch) else { return remember(scratch) };
        if taken.seen < last_seen {
            (idlest, last_seen) = (scratch.reply_key.client_port, taken.seen);
        }
    }
    if !scratch.reply.is_inside() {
        return PORTS_TAKEN;
    }
    show_port(scratch, idlest);
    remember(scratch)
}

/// The endpoint gets to see this client port.
#[inline(always)]
fn show_port(scratch: &mut FlowScratch, port: u16) {
    scratch.node_flow.client_port = port;
    scratch.reply_key.client_port = port;
}

#[inline(always)]
fn remember(scratch: &FlowScratch) -> u32 {
    let is_done = dry_run::remember(&NODE_REPLIES, &scratch.reply_key, &scratch.reply);
    if is_done { REMEMBERED } else { NOT_REMEMBERED }
}

/// Another flow that the reply key belongs to, if it is still there.
#[inline(always)]
fn taken_by(scratch: &mut FlowScratch) -> Option<&'static NodeFlow> {
    let reply = maps::reply(&scratch.reply_key)?;
    let is_own = reply.marked_service == scratch.reply.marked_service
        && reply.client_port == scratch.reply.client_port
        && reply.other.words() == scratch.reply.other.words();
    if is_own {
        return None;
    }
    let FlowScratch { other, reply_key, .. } = scratch;
    // Word by word: a whole address, or key, would be a call of `memmove`, which takes stack.
    let client = if reply.is_inside() { &reply.other } else { &reply_key.client };
    let [first, second, third, fourth] = client.words();
    other.client = Addr::from_words([first, second, third, fourth]);
    other.service = reply.service();
    other.client_port = reply.client_port;
    other.incarnation = reply.incarnation;
    maps::flow_of_reply(reply_key, other)
}
