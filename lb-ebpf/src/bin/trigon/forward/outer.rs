//! Room for outer headers, and outer IP headers in it.

use aya_ebpf::programs::XdpContext;
use lb_common::{Verdict, maps::Backend};
use lb_ebpf::{
    context::adjust_head,
    cursor::Cursor,
    header::{ipv4, ipv6},
    parse::Packet,
    rewrite::outer,
};

/// An outer IPv4 header for `protocol`, and `EXTRA` bytes behind it, which are
/// left to the caller. `host`: what is to be added to the source address.
#[inline(always)]
pub fn v4<const EXTRA: usize>(
    ctx: &XdpContext,
    packet: &Packet,
    backend: &Backend,
    protocol: u8,
    host: u32,
) -> Result<Cursor, Verdict> {
    let cursor = grow(ctx, packet, backend, ipv4::LEN + EXTRA)?;
    match outer::v4::<EXTRA>(&cursor, packet, backend, protocol, host) {
        Some(()) => Ok(cursor),
        None => Err(Verdict::DropNoRoom),
    }
}

/// The same in IPv6.
#[inline(always)]
pub fn v6<const EXTRA: usize>(
    ctx: &XdpContext,
    packet: &Packet,
    backend: &Backend,
    protocol: u8,
    hash: u64,
    host: u32,
) -> Result<Cursor, Verdict> {
    let cursor = grow(ctx, packet, backend, ipv6::LEN + EXTRA)?;
    match outer::v6::<EXTRA>(&cursor, packet, backend, protocol, hash, host) {
        Some(()) => Ok(cursor),
        None => Err(Verdict::DropNoRoom),
    }
}

/// Make room for `more` bytes in front, if the packet still fits the path.
#[inline(always)]
fn grow(ctx: &XdpContext, packet: &Packet, backend: &Backend, more: usize) -> Result<Cursor, Verdict> {
    if packet.len as u32 + more as u32 > backend.mtu as u32 {
        return Err(Verdict::DropTooBig);
    }
    adjust_head(ctx, -(more as i32)).ok_or(Verdict::DropNoRoom)
}
