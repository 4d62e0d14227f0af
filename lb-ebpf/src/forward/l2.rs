//! Forwarding on the same link: new MAC addresses, and one hop less to live.
//!
//! As a router does, and as IPVS does in its direct-routing mode, the TTL is
//! decremented: whatever two machines think of each other for a moment, a
//! packet between them dies (RFC 791 section 3.2, RFC 8200 section 3).

use aya_ebpf::programs::XdpContext;
use lb_common::{Verdict, checksum, maps::Backend};

use super::next_hop::{leave, set_macs};
use crate::{
    cursor::Cursor,
    parse::{ETH_LEN, Packet, ip},
};

#[inline(always)]
pub fn send(ctx: &XdpContext, cursor: &Cursor, packet: &Packet, backend: &Backend) -> Verdict {
    if packet.len > backend.mtu {
        return Verdict::DropTooBig;
    }
    let alive = if packet.is_v4 { hop_v4(cursor) } else { hop_v6(cursor) };
    if !alive {
        return Verdict::DropHopLimit;
    }
    let Some(frame) = cursor.window::<ETH_LEN>(0) else { return Verdict::DropTruncated };
    set_macs(&frame, backend);
    leave(ctx, backend, Verdict::ForwardL2, Verdict::RedirectL2)
}

#[inline(always)]
fn hop_v4(cursor: &Cursor) -> bool {
    let Some(header) = cursor.window::<{ ip::V4_LEN }>(ETH_LEN) else { return false };
    // TTL and protocol share a 16-bit word of the checksum.
    let old = header.get::<u16, 8>();
    let ttl = header.get::<u8, 8>();
    if ttl <= 1 {
        return false;
    }
    header.set::<u8, 8>(ttl - 1);
    let new = header.get::<u16, 8>();
    let difference = checksum::difference(&[old as u32], &[new as u32]);
    header.set::<u16, 10>(checksum::update(header.get::<u16, 10>(), difference));
    true
}

#[inline(always)]
fn hop_v6(cursor: &Cursor) -> bool {
    let Some(header) = cursor.window::<{ ip::V6_LEN }>(ETH_LEN) else { return false };
    let limit = header.get::<u8, 7>();
    if limit <= 1 {
        return false;
    }
    header.set::<u8, 7>(limit - 1);
    true
}
