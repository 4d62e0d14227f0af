//! Who else may know a flow: the slot's owner and its former owners.
//!
//! Every node has a list for each slot, newest first. A packet of a flow that
//! nobody on its way knows goes down the list once, and ends at the owner.
//!
//! Who knows the flow sends the first such packet back to where the search
//! began; from then on what follows comes straight to him, and is no stray.
//!
//! The loops are in *global* functions (Linux 5.6): the verifier reads those
//! once, by themselves, and not again for every way that leads to them, of which
//! there are so many that it would come to its limit of a million instructions.
//! Before 5.12 they take nothing but numbers; all else is in the scratch map.

use lb_common::{
    Addr, Verdict, gue, hash,
    maps::{FlowKey, Holder, Service, backend_flags, delivery, memory, service_flags},
    ring::{NO_BACKEND, Owners},
};
use lb_ebpf::{header::protocol, parse::Packet};

use crate::{
    clock,
    constants::{stray_limit, udp_window},
    dry_run, limit,
    maps::{self, BARE_FLOWS, STRAYS},
    scratch::{self, Arrival, FlowScratch},
};

/// What global functions say.
const DELIVER: u32 = 0;
const HAND_ON: u32 = 1;
const STRAY: u32 = 2;
/// Nobody who answers knows the flow; somebody might who does not.
const UNANSWERED: u32 = 3;

/// What to do with a packet of an unknown flow: `Deliver` it here as a new
/// one, `HandOn` to `arrival.next`, or drop it. `opens`: a flow can begin with it.
#[inline(always)]
pub fn next(packet: &Packet, service: &Service, scratch: &mut FlowScratch, opens: bool) -> Verdict {
    let FlowScratch { arrival, flow, client, .. } = scratch;
    if arrival.hops == gue::OVER || is_from_nowhere(arrival) {
        return Verdict::Deliver;
    }
    if arrival.hops == gue::DIRECT {
        return to(arrival, arrival.from, gue::OVER);
    }
    let Some(list) = list(service, arrival) else { return Verdict::Deliver };
    let is_syn = opens && packet.dst.protocol == protocol::TCP;
    let keeps_clients = service.flags & service_flags::AFFINITY != 0;
    if is_syn && !keeps_clients {
        return opening(service, list, arrival);
    }
    let client = (opens && keeps_clients).then_some(&*client);
    if let Some(holder) = holder(flow, client, arrival) {
        return to(arrival, holder, gue::DIRECT);
    }
    let now = clock::seconds();
    // Whoever began a search has asked that, by his own clock.
    let is_late = service.changed == 0 || now > service.changed + window(service, is_syn);
    if arrival.hops == 0 && opens && is_late {
        return opening(service, list, arrival);
    }
    match trigon_search_owners(list, now) {
        HAND_ON => Verdict::HandOn,
        // Better a connection to another endpoint than none.
        STRAY if is_syn => opening(service, list, &mut scratch.arrival),
        STRAY => Verdict::DropStray,
        // The client tries again, and the node may be back by then: a reset would be
        // the end of a connection to a Pod that perhaps lives.
        UNANSWERED if !opens => Verdict::DropDeadOwner,
        _ => Verdict::Deliver,
    }
}

/// For how many seconds after a change of owners those who may have the flow,
/// or the client's flows before this one, are asked before one begins.
#[inline(always)]
fn window(service: &Service, is_syn: bool) -> u32 {
    // Without affinity it is 0.
    if is_syn || service.affinity > udp_window() { service.affinity } else { udp_window() }
}

/// The flow of a packet that somebody searches for is here: is there a way to
/// tell him? Then the verdict is to hand the packet on, back to him.
#[inline(always)]
pub fn found(service: &Service, arrival: &Arrival) -> bool {
    if arrival.hops == 0 || arrival.hops > gue::TAGS as u32 {
        return false;
    }
    list(service, arrival).is_some_and(|list| trigon_answer_search(list) == HAND_ON)
}

/// A global function: see above.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn trigon_answer_search(list: u32) -> u32 {
    let Some(FlowScratch { arrival, .. }) = scratch::flow() else { return DELIVER };
    let Some(owners) = maps::owners(list) else { return DELIVER };
    for id in owners.ids {
        if id == NO_BACKEND {
            break;
        }
        let Some(backend) = maps::backend(id as u32) else { break };
        // If he is out of reach just now, the packet need not be lost for it.
        let is_fellow = backend.flags
            & (backend_flags::LOCAL | backend_flags::RESOLVED | backend_flags::DEAD)
            == backend_flags::RESOLVED;
        if is_fellow && gue::tag(&backend.outer_dst) == arrival.tags[0] {
            to(arrival, id as u32, gue::FOUND);
            return HAND_ON;
        }
    }
    DELIVER
}

/// Where the list of the flow's slot is; none for a service without.
#[inline(always)]
fn list(service: &Service, arrival: &Arrival) -> Option<u32> {
    if service.history_offset == 0 {
        return None;
    }
    let slot = hash::slot(arrival.hash, service.ring_len);
    dry_run::tell(|story| story.slot = slot);
    Some(service.history_offset + slot)
}

/// The node on which the flow was found, by a search before this packet or just
/// now; or on which the client's flows before this one were, whom it is to follow.
#[inline(always)]
fn holder(flow: &FlowKey, client: Option<&FlowKey>, arrival: &Arrival) -> Option<u32> {
    let (holder, is_news) = if arrival.hops == gue::FOUND {
        (arrival.from, true)
    } else if arrival.hops != 0 {
        // A search by another goes on, until who has the flow can tell him.
        return None;
    } else if let Some(holder) = remembered(flow) {
        (holder, false)
    } else {
        (remembered(client?)?, true)
    };
    if is_news {
        // Without room for it the next packet is searched for again.
        let _ = dry_run::remember(&BARE_FLOWS, flow, &Holder { backend: holder });
        if let Some(client) = client {
            let _ = dry_run::remember(&BARE_FLOWS, client, &Holder { backend: holder });
        }
    }
    Some(holder)
}

#[inline(always)]
fn remembered(key: &FlowKey) -> Option<u32> {
    let holder = maps::holder(key)?;
    maps::backend(holder).filter(|b| b.delivery != delivery::NONE && b.flags & backend_flags::DEAD == 0)?;
    dry_run::tell(|story| story.memory = memory::ELSEWHERE);
    Some(holder)
}

/// It says something about the node before, but no fellow sent it.
#[inline(always)]
fn is_from_nowhere(arrival: &Arrival) -> bool {
    arrival.from == NO_BACKEND as u32 && (arrival.hops == gue::DIRECT || arrival.hops == gue::FOUND)
}

#[inline(always)]
fn to(arrival: &mut Arrival, backend: u32, hops: u32) -> Verdict {
    arrival.next = backend;
    arrival.hops = hops;
    Verdict::HandOn
}

/// A new connection stays here, unless the last endpoint has just begun to
/// terminate: then the slot has another owner already.
#[inline(always)]
fn opening(service: &Service, list: u32, arrival: &mut Arrival) -> Verdict {
    if service.endpoints != 0 {
        return Verdict::Deliver;
    }
    let Some(owners) = maps::owners(list) else { return Verdict::Deliver };
    if has(owners.ids[0], backend_flags::LOCAL | backend_flags::DEAD) {
        return Verdict::Deliver;
    }
    to_owner(owners, arrival)
}

/// The newest of the list whom the packet has not been to; after the last, the
/// owner, where it ends if he knows nobody either.
///
/// By name and not by place: while a change goes round, nodes have lists that
/// differ.
///
/// A global function: see above.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn trigon_search_owners(list: u32, now: u32) -> u32 {
    let Some(FlowScratch { arrival, .. }) = scratch::flow() else { return DELIVER };
    let Some(owners) = maps::owners(list) else { return DELIVER };
    let full = arrival.hops as usize >= gue::TAGS;
    let mut end = DELIVER;
    for id in owners.ids {
        if id == NO_BACKEND || full {
            break;
        }
        let Some(backend) = maps::backend(id as u32) else { break };
        if backend.flags & backend_flags::LOCAL != 0 || has_been_to(arrival, &backend.outer_dst) {
            continue;
        }
        // The search would end there.
        if backend.flags & backend_flags::DEAD != 0 {
            end = UNANSWERED;
            continue;
        }
        if !admit(now) {
            return STRAY;
        }
        note(arrival, gue::tag(&backend.outer_src));
        arrival.next = id as u32;
        return HAND_ON;
    }
    let owner = owners.ids[0];
    let Some(backend) = maps::backend(owner as u32) else { return end };
    if owner == NO_BACKEND || backend.flags & backend_flags::LOCAL != 0 {
        return end;
    }
    // Also if it was not asked, since the packet can go to no more nodes.
    if backend.flags & backend_flags::DEAD != 0 {
        return UNANSWERED;
    }
    if full {
        to(arrival, owner as u32, gue::OVER);
        return HAND_ON;
    }
    // As one more hop: the owner's list may be longer, if this node is new.
    note(arrival, gue::tag(&backend.outer_src));
    arrival.next = owner as u32;
    HAND_ON
}

// `contains` goes by chunks for wide registers, which BPF has not: more instructions, and
// more for the verifier to follow.
#[expect(clippy::manual_contains, reason = "a plain loop is shorter in BPF")]
#[inline(always)]
fn has_been_to(arrival: &Arrival, addr: &Addr) -> bool {
    let tag = gue::tag(addr);
    arrival.tags.iter().any(|been| *been == tag)
}

/// One more node: this one.
#[inline(always)]
fn note(arrival: &mut Arrival, tag: u16) {
    for place in 0..gue::TAGS {
        if place == arrival.hops as usize {
            arrival.tags[place] = tag;
        }
    }
    arrival.hops += 1;
}

#[inline(always)]
fn to_owner(owners: &Owners, arrival: &mut Arrival) -> Verdict {
    if owners.ids[0] == NO_BACKEND {
        return Verdict::Deliver;
    }
    to(arrival, owners.ids[0] as u32, gue::OVER)
}

/// Has it one of these flags?
#[inline(always)]
fn has(id: u16, flags: u8) -> bool {
    maps::backend(id as u32).is_some_and(|backend| backend.flags & flags != 0)
}

/// A flood of packets of no flow must not be multiplied by the chain: each CPU
/// hands on only so many in a second.
#[inline(always)]
fn admit(now: u32) -> bool {
    maps::own(&STRAYS, 0).is_some_and(|strays| limit::admit(strays, now, stray_limit()))
}
