//! Answers to clients that open a connection to an endpoint past the VIP: by its own address, or a ClusterIP.
//!
//! An entry of `NODE_REPLIES` stays when its connection is over. If the same client then comes from the same
//! port past the VIP, the endpoint's packets to it look like replies of the flow, and what it asks does not
//! come by here. But the answer to its SYN acknowledges another one than the last that came by the VIP.

use lb_common::maps::{Reply, ReplyKey};
use lb_ebpf::{
    cursor::Cursor,
    header::tcp::{self, ACK, RST, SYN},
    parse::{Packet, l4},
};

use crate::{
    constants::has_former_replies,
    dry_run,
    maps::{self, NODE_FLOWS, NODE_REPLIES},
};

/// Can a segment with these flags be the answer to a SYN?
#[inline(always)]
pub fn may_answer_syn(flags: u8) -> bool {
    flags & ACK != 0 && flags & (SYN | RST) != 0
}

/// Does it answer a SYN that did not come by the VIP? Not if that is not known for certain: the flow may
/// have begun in the middle, or be gone, or have gone to another endpoint.
///
/// Who sends a SYN-ACK has no connection of the VIP's from there: it would have answered with an ACK (RFC 9293
/// section 3.10.7.4, RFC 5961 section 4), however the SYN came. So the entry is forgotten, for what follows.
/// An RST says so too, but a firewall may have sent it, and nothing follows.
///
/// A SYN that somebody else sends to the VIP, in the client's name, can so break a connection that is still
/// being opened, but none that is open.
///
/// Clients inside have the VIP as their address, which nobody has who comes past it. While tables grow, SYNs
/// are still noted in the former one.
///
/// Not inlined: other replies have no use for its stack.
#[inline(never)]
pub fn is_answer(cursor: &Cursor, packet: &Packet, key: &ReplyKey, reply: &Reply) -> bool {
    if has_former_replies() || reply.is_inside() {
        return false;
    }
    let Some(header) = cursor.window::<{ tcp::LEN }>(packet.l4()) else { return false };
    let is_syn_ack = header.get::<u8, { tcp::FLAGS }>() & SYN != 0;
    // Of an RST to what has no ACK, as a SYN (RFC 9293 section 3.10.7.1); others end a connection.
    if !is_syn_ack && header.get::<u32, { tcp::SEQUENCE }>() != 0 {
        return false;
    }
    let flow = reply.flow(key);
    let Some(found) = maps::flow_of_reply(key, &flow) else { return false };
    let sequence = found.seen;
    let acknowledgment = u32::from_be(header.get::<u32, { tcp::ACKNOWLEDGMENT }>());
    if sequence == 0 || l4::acknowledges(acknowledgment, sequence) {
        return false;
    }
    if is_syn_ack {
        // In this order: a flow that begins again in between finds no entry of its own that is about to go. A
        // SYN of this one in between gets no answer from the VIP, and begins it when it comes again.
        dry_run::forget(&NODE_REPLIES, key);
        dry_run::forget(&NODE_FLOWS, &flow);
    }
    true
}
