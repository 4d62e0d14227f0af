//! Forwarding on the same link: new MAC addresses, and one hop less to live.
//!
//! As a router does, and as IPVS does in its direct-routing mode, the TTL is
//! decremented: whatever two machines think of each other for a moment, a
//! packet between them dies (RFC 791 section 3.2, RFC 8200 section 3).

use aya_ebpf::programs::XdpContext;
use lb_common::{Verdict, maps::Backend};
use lb_ebpf::{
    cursor::Cursor,
    header::eth,
    parse::Packet,
    rewrite::{hop, macs},
};

use super::next_hop::leave;

#[inline(always)]
pub fn send(ctx: &XdpContext, cursor: &Cursor, packet: &Packet, backend: &Backend) -> Verdict {
    if packet.len > backend.mtu {
        return Verdict::DropTooBig;
    }
    if !hop::take(cursor, packet.is_v4) {
        return Verdict::DropHopLimit;
    }
    let Some(frame) = cursor.window::<{ eth::LEN }>(0) else { return Verdict::DropTruncated };
    macs::set(&frame, backend);
    leave(ctx, backend, Verdict::ForwardL2, Verdict::RedirectL2)
}
