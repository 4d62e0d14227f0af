//! Flows that this node knows.

use lb_common::maps::{EndpointSlot, FlowKey, NodeFlow, Service};
use lb_ebpf::{
    cursor::Cursor,
    header::protocol,
    parse::{Packet, l4},
};

use crate::{
    clock, dry_run,
    maps::{self, NODE_FLOWS},
    scratch,
};

/// A UDP flow has no end that a node could see. When its endpoint drains, it begins anew after this
/// many seconds without a packet.
const UDP_IDLE: u32 = 30;

/// Drained in a second that never comes.
const NEVER_IDLE: u32 = u32::MAX;

/// The flow, and the slot of its endpoint. None: it is not known, its endpoint is gone, or it is to begin
/// anew.
#[inline(always)]
pub fn flow(
    key: &FlowKey,
    cursor: &Cursor,
    packet: &Packet,
) -> Option<(&'static NodeFlow, &'static EndpointSlot)> {
    let (flow, slot) = any_flow(key)?;
    let may_end = slot.drained != 0 && packet.dst.protocol == protocol::UDP;
    // An error about a flow is none of its packets.
    let is_noted = (may_end || flow.is_marked()) && packet.quote == 0;
    let drained = if may_end { slot.drained } else { NEVER_IDLE };
    (!is_noted || continues(key, flow, cursor, packet, drained)).then_some((flow, slot))
}

/// Is the packet of a flow that is known here, and has not ended? One that has ended says nothing of the client's next
/// connection, which may have begun elsewhere.
///
/// Not inlined, for the sake of the stack.
#[inline(never)]
pub fn goes_on(cursor: &Cursor, packet: &Packet, service: &Service) -> bool {
    let Some(scratch) = scratch::flow() else { return false };
    scratch.flow = packet.flow_key(service);
    flow(&scratch.flow, cursor, packet).is_some_and(|(flow, _)| !flow.has_ended())
}

/// Does the packet go on with a flow, or does it open another connection than the one that the flow has ended with?
/// The same SYN may come twice; of clients inside it is not known, and they have been told of the end.
#[inline(never)]
fn continues(key: &FlowKey, flow: &NodeFlow, cursor: &Cursor, packet: &Packet, drained: u32) -> bool {
    let opens_next = |sequence| flow.is_inside() || sequence != flow.seen;
    if flow.has_ended() && l4::syn_sequence(cursor, packet).is_some_and(opens_next) {
        return false;
    }
    let has_time = flow.is_inside() || drained != NEVER_IDLE;
    !has_time || note_packet(key, drained)
}

/// The flow begins anew on another node: what follows of its next connection is not for the endpoint here.
#[inline(always)]
pub fn forget(key: &FlowKey) {
    dry_run::forget(&NODE_FLOWS, key);
}

/// A flow that was to begin anew and cannot, since no endpoint takes it.
#[inline(always)]
pub fn idle_flow(key: &FlowKey) -> Option<(&'static NodeFlow, &'static EndpointSlot)> {
    any_flow(key).filter(|_| note_packet(key, NEVER_IDLE))
}

#[inline(always)]
fn any_flow(key: &FlowKey) -> Option<(&'static NodeFlow, &'static EndpointSlot)> {
    let flow = maps::node_flow(key)?;
    Some((flow, maps::held_slot(flow.slot(), flow.epoch, key.service)?))
}

/// Notes that a packet has come, if the flow was not idle for too long since `drained`. Only of endpoints
/// that drain, and of clients inside (`begin`): the others' flows cost no clock, and were in use until then.
#[inline(never)]
fn note_packet(key: &FlowKey, drained: u32) -> bool {
    let Some(flow) = NODE_FLOWS.get_ptr_mut(key) else { return false };
    // SAFETY: an element of a preallocated table, see `maps::find`; one aligned word is read and written,
    // which another CPU may do as well, with the same or the next second. Should the element have become
    // another flow's by now, that one counts as seen: if it drains, it lives 30 s longer.
    let seen = unsafe { &raw mut (*flow).seen };
    let now = clock::seconds();
    // SAFETY: as above.
    let last = unsafe { seen.read() };
    if now > last.max(drained).saturating_add(UDP_IDLE) {
        return false;
    }
    if now != last && !dry_run::dry_run() {
        // SAFETY: as above.
        unsafe { seen.write(now) };
    }
    true
}

/// Notes the SYN that the flow's connection begins with, by its sequence number: what the endpoint answers
/// to another SYN is none of the flow's (`egress::past_vip`). Not of clients inside, whose flows have a time
/// there; nobody but them has the VIP as an address. The flow has not ended then, even if it had.
#[inline(never)]
pub fn note_syn(cursor: &Cursor, packet: &Packet) {
    let Some(sequence) = l4::syn_sequence(cursor, packet) else { return };
    if dry_run::dry_run() {
        return;
    }
    // Both found anew: the caller has no room on the stack to keep them.
    let Some(scratch) = scratch::flow() else { return };
    let key = &scratch.flow;
    let Some(flow) = NODE_FLOWS.get_ptr_mut(key) else { return };
    // SAFETY: as in `note_packet`. Should the element have become another flow's by now, that one counts as
    // seen until its next packet says when; or, if a connection of it is just being opened, begins anew when
    // the client tries again.
    unsafe {
        if !(*flow).is_inside() {
            (&raw mut (*flow).seen).write(sequence);
        }
        if (*flow).has_ended() {
            // As a whole, for the same reason as in `egress::end`.
            let _ = dry_run::remember(&NODE_FLOWS, key, &(*flow).with_end(false));
        }
    }
}
