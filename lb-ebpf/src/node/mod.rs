//! The node: from a service to one of the endpoints here, and the memory of
//! which flow went to which.

mod nat;
mod tunnel;

use lb_common::{
    Verdict, hash,
    maps::{Endpoint, EndpointKey, FlowKey, Reply, ReplyKey, Service},
};

use crate::{
    cursor::Cursor,
    maps::{ENDPOINTS, NODE_FLOWS, NODE_REPLIES},
    parse::{Packet, l4},
    stats,
};
pub use tunnel::receive as tunnel;

/// A packet that a director sent here by its MAC address.
#[inline(always)]
pub fn receive(cursor: &Cursor, packet: &Packet, service: &Service) -> Verdict {
    stats::service(service.id, packet.len as u32);
    deliver(cursor, packet, service, hash::flow(&packet.client, packet.client_port))
}

/// Rewrite the packet's destination to the flow's endpoint.
///
/// Not inlined: it is called from three places, and its keys need stack.
#[inline(never)]
pub fn deliver(cursor: &Cursor, packet: &Packet, service: &Service, hash: u64) -> Verdict {
    let key = FlowKey { client: packet.client, service: service.id, client_port: packet.client_port, pad: 0 };
    // SAFETY: entries are replaced, never changed in place.
    let endpoint = match unsafe { NODE_FLOWS.get(&key) } {
        Some(endpoint) => *endpoint,
        None => match begin(&key, packet, service, hash) {
            Ok(endpoint) => endpoint,
            Err(verdict) => return verdict,
        },
    };
    if nat::destination(cursor, packet, &endpoint) { Verdict::Deliver } else { Verdict::DropTruncated }
}

/// Choose an endpoint for a new flow, and remember both directions.
///
/// A flow that is not new but unknown, be it that the table was too small,
/// comes here too: its endpoint will answer with an RST, and the entry in
/// `NODE_REPLIES` lets that RST come from the VIP.
#[inline(always)]
fn begin(key: &FlowKey, packet: &Packet, service: &Service, hash: u64) -> Result<Endpoint, Verdict> {
    let index = hash::endpoint(hash, service.endpoints);
    let place = EndpointKey { service: service.id, index };
    // SAFETY: entries are replaced, never changed in place.
    let Some(endpoint) = (unsafe { ENDPOINTS.get(&place) }) else {
        return Err(Verdict::DropNoEndpoint);
    };
    let endpoint = *endpoint;
    let reply_key = ReplyKey::new(endpoint, packet.client, packet.client_port, packet.to.protocol);
    let reply = Reply { vip: packet.to.addr, port: packet.to.port, pad: 0, service: service.id };
    // Replies first: a flow without them would answer from the Pod's address.
    if NODE_REPLIES.insert(&reply_key, &reply, 0).is_err() || NODE_FLOWS.insert(key, &endpoint, 0).is_err() {
        return Err(Verdict::DropFlowTable);
    }
    Ok(endpoint)
}

/// Does the packet open a TCP connection: SYN without ACK (RFC 9293 section 3.1)?
#[inline(always)]
pub fn is_syn(cursor: &Cursor, packet: &Packet) -> bool {
    const FLAGS: usize = 13;
    const SYN: u8 = 0x02;
    const ACK: u8 = 0x10;
    packet.to.protocol == l4::TCP
        && cursor
            .window::<{ FLAGS + 1 }>(packet.l3 + packet.l3_len)
            .is_some_and(|tcp| tcp.get::<u8, FLAGS>() & (SYN | ACK) == SYN)
}
