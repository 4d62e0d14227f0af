//! The node: from a service to one of the endpoints here, and the memory of
//! which flow went to which.

mod affinity;
mod begin;
mod decapsulate;
mod inside;
mod known;
mod owners;
mod probe;
mod quote;
mod route;
mod source;
mod tunnel;

use aya_ebpf::programs::XdpContext;
use lb_common::{Verdict, maps::Service, roles};
use lb_ebpf::{cursor::Cursor, parse::Packet};

use crate::{constants::role, ranges, scratch, stats};
pub use known::goes_on;
pub use tunnel::receive as tunnel;

/// A packet that a director sent here by its MAC address.
#[inline(always)]
pub fn receive(ctx: &XdpContext, cursor: &Cursor, packet: &Packet, service: &Service) -> Verdict {
    stats::service(service.id, packet.len as u32);
    if let Err(verdict) = ranges::admit(packet, service) {
        return verdict;
    }
    here(ctx, cursor, packet, service, packet.hash(service))
}

/// A packet that is not within another one: to an endpoint, or to another node.
#[inline(always)]
pub fn here(ctx: &XdpContext, cursor: &Cursor, packet: &Packet, service: &Service, hash: u64) -> Verdict {
    match scratch::flow() {
        Some(scratch) => {
            scratch.arrival.begin(hash);
            scratch.arrival.is_by_own_ring = role(roles::DIRECTOR);
        }
        None => return Verdict::DropFlowTable,
    }
    let verdict = route::packet(ctx, cursor, packet, service);
    if !matches!(verdict, Verdict::HandOn) {
        return verdict;
    }
    // To a director it came from a router, to a mere node from a director, who does not route.
    let told = if role(roles::DIRECTOR) { Verdict::TellTooBig } else { Verdict::TellTooBigRouted };
    route::hand_on(ctx, packet, told)
}
