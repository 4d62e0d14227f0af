//! Forwarding in an outer IP header: IPv4 in IPv4 (RFC 2003), IPv6 in IPv4
//! (RFC 4213), anything in IPv6 (RFC 2473).
//!
//! Fabrics and NIC queues tell these packets apart by their outer addresses
//! alone, and there is one of each. Towards bare servers, who take them from
//! anybody, the source can be any address of a prefix, by the flow hash.

use aya_ebpf::programs::XdpContext;
use lb_common::{
    Verdict,
    maps::{Backend, backend_flags, delivery},
};
use lb_ebpf::{header::protocol, parse::Packet};

use super::{next_hop::leave, outer};
use crate::constants::source_mask;

/// In an outer IPv4 header.
#[inline(always)]
pub fn v4(ctx: &XdpContext, packet: &Packet, backend: &Backend, host: u32) -> Verdict {
    match outer::v4::<0>(ctx, packet, backend, protocol::of_family(packet.is_v4), host) {
        Ok(_) => leave(ctx, backend, Verdict::ForwardIpip, Verdict::RedirectIpip),
        Err(verdict) => verdict,
    }
}

/// In an outer IPv6 header.
#[inline(always)]
pub fn v6(ctx: &XdpContext, packet: &Packet, backend: &Backend, hash: u64, host: u32) -> Verdict {
    match outer::v6::<0>(ctx, packet, backend, protocol::of_family(packet.is_v4), hash, host) {
        Ok(_) => leave(ctx, backend, Verdict::ForwardIpip, Verdict::RedirectIpip),
        Err(verdict) => verdict,
    }
}

/// The part of the source address that is the flow's.
#[inline(always)]
pub fn host(backend: &Backend, hash: u64) -> u32 {
    let mask = match backend.delivery {
        _ if backend.flags & backend_flags::BARE == 0 => 0,
        delivery::IPIP4 => source_mask(true),
        delivery::IPIP6 => source_mask(false),
        _ => 0,
    };
    hash as u32 & mask
}
