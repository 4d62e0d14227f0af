//! A client is told that its packet does not fit the path to its backend.
//!
//! An IPv4 packet that may be fragmented is treated alike: XDP has nowhere to
//! put the second fragment.

use aya_ebpf::programs::XdpContext;
use lb_common::{Verdict, maps::Backend};
use lb_ebpf::{
    context::{adjust_head, adjust_tail},
    cursor::Cursor,
    header::eth,
    parse::Packet,
    rewrite::too_big::{self, QUOTE},
};

use crate::{
    clock, limit,
    maps::{self, TOLD},
};

/// Clients told by each CPU in a second; Linux has the same figure for a host.
const LIMIT: u32 = 1000;

/// Make the frame the message to the client; `told` if that could be done.
///
/// The packet has just an Ethernet header in front.
#[inline(never)]
pub fn tell(ctx: &XdpContext, packet: &Packet, backend: &Backend, told: Verdict) -> Verdict {
    let mtu = backend.fitting(packet.is_v4);
    // Never about an error or a later fragment (RFC 1122 section 3.2.2), and
    // never in vain.
    if packet.quote != 0 || packet.is_later_fragment() || packet.len <= mtu || !admit() {
        return Verdict::DropTooBig;
    }
    let Some(cursor) = reshape(ctx, too_big::more(packet.is_v4)) else { return Verdict::DropNoRoom };
    // The kernel takes only what is addressed to this machine.
    let back = !matches!(told, Verdict::TellTooBigRouted);
    let written = too_big::write(&cursor, packet, mtu, back);
    if written.is_some() { told } else { Verdict::DropNoRoom }
}

#[inline(always)]
fn admit() -> bool {
    maps::own(&TOLD, 0).is_some_and(|told| limit::admit(told, clock::seconds(), LIMIT))
}

/// Room for `more` bytes in front of the quote, and nothing behind it.
#[inline(always)]
fn reshape(ctx: &XdpContext, more: usize) -> Option<Cursor> {
    let surplus = Cursor::of_xdp(ctx).len() as i32 - (eth::LEN + QUOTE) as i32;
    if surplus < 0 {
        return None;
    }
    adjust_tail(ctx, -surplus)?;
    adjust_head(ctx, -(more as i32))
}
