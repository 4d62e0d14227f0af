//! Who else may know a flow: the slot's owner and its former owners.
//!
//! Every node has a list for each slot, newest first. A packet of a flow that
//! nobody on its way knows goes down the list once, and ends at the owner.
//!
//! Who knows the flow sends the first such packet back to where the search
//! began; from then on what follows comes straight to him, and is no stray.
//!
//! A SYN that comes to a node without endpoints goes the same way, and ends at the first
//! node that has one. That may be a node that nobody takes for an owner; so each
//! that passes the SYN on remembers to whom, and asks him first for what follows.
//!
//! The loops are in *global* functions (Linux 5.6): the verifier reads those
//! once, by themselves, and not again for every way that leads to them, of which
//! there are so many that it would come to its limit of a million instructions.
//! Before 5.12 they take nothing but numbers; all else is in the scratch map.

use lb_common::{
    Addr, Verdict, gue, hash,
    maps::{Backend, FlowKey, Holder, Service, backend_flags, delivery, memory, service_flags},
    ring::{NO_BACKEND, Owners},
};
use lb_ebpf::{
    header::protocol,
    parse::{Fragment, Packet},
};

use crate::{
    clock,
    constants::{stray_limit, udp_window},
    dry_run, limit,
    maps::{self, BARE_FLOWS, STRAYS},
    scratch::{self, Arrival, FlowScratch},
    stats,
};

/// What global functions say.
const DELIVER: u32 = 0;
const HAND_ON: u32 = 1;
const STRAY: u32 = 2;
/// Nobody who answers knows the flow; somebody might who does not.
const UNANSWERED: u32 = 3;

/// In place of the hops by which a flow was found.
const NOWHERE: u32 = 0;

/// What [`trigon_search_owners`] is called for.
const SEARCH: u32 = 0;
const PASS_ON: u32 = 1;

/// What to do with a packet of an unknown flow: `Deliver` it here as a new
/// one, `HandOn` to `arrival.next`, or drop it. `opens`: a flow can begin with it.
#[inline(always)]
pub fn next(packet: &Packet, service: &Service, scratch: &mut FlowScratch, opens: bool) -> Verdict {
    let FlowScratch { arrival, flow, client, .. } = scratch;
    if arrival.hops == gue::OVER || is_from_nowhere(arrival) {
        if !opens {
            count_end();
        }
        return Verdict::Deliver;
    }
    if arrival.hops == gue::DIRECT {
        return to(arrival, arrival.from, gue::OVER);
    }
    let Some(list) = list(service, arrival) else { return Verdict::Deliver };
    let is_syn = opens && packet.dst.protocol == protocol::TCP;
    let keeps_clients = service.flags & service_flags::AFFINITY != 0;
    if is_syn && !keeps_clients && arrival.hops != gue::FOUND {
        return opening(service, list, arrival);
    }
    let client = (opens && keeps_clients).then_some(&*client);
    if let Some(holder) = holder(flow, client, arrival) {
        return to(arrival, holder, gue::DIRECT);
    }
    // Whoever began a search has asked that, by his own clock.
    if arrival.hops == 0 && opens && begins_at_once(packet, service, list) && !is_anothers(list, arrival) {
        return opening(service, list, arrival);
    }
    match trigon_search_owners(list, clock::seconds(), SEARCH) {
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

/// A search of another node's ends here, and nobody knows the flow.
///
/// Not inlined, for the sake of the stack.
#[inline(never)]
fn count_end() {
    stats::search(NOWHERE);
}

/// Can a flow that this packet opens begin without a search? Not if owners changed so lately that another
/// one may have it; and not with a fragment, which came to where fragments meet (`gather`), but at its slot's
/// owner.
///
/// Not inlined, for the sake of the stack.
#[inline(never)]
fn begins_at_once(packet: &Packet, service: &Service, list: u32) -> bool {
    let is_syn = packet.dst.protocol == protocol::TCP;
    let is_late = service.changed == 0 || clock::seconds() > service.changed + window(service, is_syn);
    is_late && (packet.fragment == Fragment::None || is_owner(list))
}

/// Does this node own the slot?
#[inline(always)]
fn is_owner(list: u32) -> bool {
    maps::owners(list).is_some_and(|owners| maps::is_this_machine(owners.ids[0] as u32))
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
    stats::search(arrival.hops);
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
    Some(service.history_offset + hash::slot(arrival.hash, service.ring_len))
}

/// Tells a dry run which slot is the flow's, whether or not anybody is asked for the flow.
#[inline(always)]
pub fn tell_slot(service: &Service, hash: u64) {
    dry_run::tell(|story| {
        if service.history_offset != 0 {
            story.slot = hash::slot(hash, service.ring_len);
        }
    });
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

/// Not who a SYN was passed on to, since he is not known to have kept it.
#[inline(always)]
fn remembered(key: &FlowKey) -> Option<u32> {
    let Holder { backend } = maps::holder(key)?;
    answering(backend)?;
    dry_run::tell(|story| story.memory = memory::ELSEWHERE);
    Some(backend)
}

/// The backend, if it is there and not known to be dead.
#[inline(always)]
fn answering(backend: u32) -> Option<&'static Backend> {
    maps::backend(backend).filter(|b| b.delivery != delivery::NONE && b.flags & backend_flags::DEAD == 0)
}

/// Does the slot belong to another node by the list here? Then the director that sent the packet knows
/// of a change that this node has yet to hear of, or the other way round.
#[inline(always)]
fn is_anothers(list: u32, arrival: &Arrival) -> bool {
    !arrival.is_by_own_ring && other_owner(list).is_some()
}

/// The slot's owner, if that is another node, and not known to be dead.
#[inline(always)]
fn other_owner(list: u32) -> Option<u32> {
    let owner = maps::owners(list)?.ids[0] as u32;
    let is_other = |backend: &Backend| backend.flags & (backend_flags::LOCAL | backend_flags::DEAD) == 0;
    (owner != NO_BACKEND as u32 && maps::backend(owner).is_some_and(is_other)).then_some(owner)
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

/// A new connection stays here, unless no endpoint takes it: the last one has just begun to
/// terminate, say, or the first one is not known here yet. Then it goes on to a node that has one.
///
/// In a flood, it goes to the owner alone.
#[inline(always)]
fn opening(service: &Service, list: u32, arrival: &mut Arrival) -> Verdict {
    if service.endpoints != 0 {
        return Verdict::Deliver;
    }
    match trigon_search_owners(list, clock::seconds(), PASS_ON) {
        HAND_ON => Verdict::HandOn,
        STRAY => match other_owner(list) {
            Some(owner) => to(arrival, owner, gue::OVER),
            None => Verdict::Deliver,
        },
        _ => Verdict::Deliver,
    }
}

/// Names the next node for a packet: to `SEARCH` for its flow, or to `PASS_ON` what opens one.
///
/// A global function: see above.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn trigon_search_owners(list: u32, now: u32, purpose: u32) -> u32 {
    let Some(FlowScratch { arrival, flow, .. }) = scratch::flow() else { return DELIVER };
    let Some(owners) = maps::owners(list) else { return DELIVER };
    if purpose == SEARCH && ask_remembered(flow, arrival) {
        return HAND_ON;
    }
    let step = ask_listed(owners, arrival, now);
    if purpose == PASS_ON && step == HAND_ON {
        // Without room for it, the list has to do.
        let _ = dry_run::remember(&BARE_FLOWS, flow, &Holder::passed_on(arrival.next));
    }
    if purpose == SEARCH && step == DELIVER {
        stats::search(NOWHERE);
    }
    step
}

/// Who is remembered for the flow comes first, unless he was asked before. He may be in no list, and the
/// packet may have been to so many nodes that it can go to one more only.
///
/// It counts as no stray: the flow was found, or began by this node.
#[inline(always)]
fn ask_remembered(flow: &FlowKey, arrival: &mut Arrival) -> bool {
    let Some(holder) = maps::holder(flow) else { return false };
    let Some(backend) = answering(holder.index()) else { return false };
    if has_been_to(arrival, &backend.outer_dst) {
        return false;
    }
    if arrival.hops as usize >= gue::TAGS {
        to(arrival, holder.index(), gue::OVER);
    } else {
        ask(arrival, holder.index(), backend);
    }
    true
}

/// The newest of the list whom the packet has not been to; after the last, the
/// owner, where it ends if he knows nobody either.
///
/// By name and not by place: while a change goes round, nodes have lists that
/// differ.
#[inline(always)]
fn ask_listed(owners: &Owners, arrival: &mut Arrival, now: u32) -> u32 {
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
        ask(arrival, id as u32, backend);
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
    ask(arrival, owner as u32, backend);
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

/// To this node next, as one more that the packet has been to.
#[inline(always)]
fn ask(arrival: &mut Arrival, id: u32, backend: &Backend) {
    note(arrival, gue::tag(&backend.outer_src));
    arrival.next = id;
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

/// A flood of packets of no flow must not be multiplied by the chain: each CPU
/// hands on only so many in a second.
#[inline(always)]
fn admit(now: u32) -> bool {
    maps::own(&STRAYS, 0).is_some_and(|strays| limit::admit(strays, now, stray_limit()))
}
