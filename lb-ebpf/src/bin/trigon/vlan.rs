//! VLAN tags (IEEE 802.1Q, and two of them: 802.1ad).
//!
//! Tags are taken off a frame that is for a VIP or for this machine before
//! anything else looks at it, and put back if it stays here or is answered; to
//! a backend it goes with the tags of the backend. So nobody else knows of
//! tags, but for replies on their way out, which are not moved.

use aya_ebpf::programs::XdpContext;
use lb_common::{Addr, Verdict, roles};
use lb_ebpf::{
    context::adjust_head,
    cursor::Cursor,
    header::{
        eth::{self, TAG_LEN},
        ipv4, ipv6,
    },
};

use crate::{
    drops::XDP_DROP,
    maps::{is_vip, peer},
    scratch::{self, Tags},
};

/// Where tags lie, and a frame with one or two of them, up to the IP header.
const OUTER: usize = eth::TYPE;
const INNER: usize = OUTER + TAG_LEN;
const ONE: usize = eth::LEN + TAG_LEN;
const TWO: usize = ONE + TAG_LEN;

/// Is this type of a frame, in network byte order, that of a tag?
#[inline(always)]
pub fn is_tag(ethertype: u16) -> bool {
    ethertype == eth::TAG || ethertype == eth::OUTER_TAG
}

/// What is behind the tags, and where: type of the frame, start of the IP header.
#[inline(always)]
pub fn behind(cursor: &Cursor) -> Option<(u16, usize)> {
    let inner = cursor.window::<ONE>(0)?.get::<u16, { eth::TYPE + TAG_LEN }>();
    if !is_tag(inner) {
        return Some((inner, ONE));
    }
    let frame = cursor.window::<TWO>(0)?;
    Some((frame.get::<u16, { eth::TYPE + 2 * TAG_LEN }>(), TWO))
}

/// Take the tags off the frame, and note them, if it is for us. Is it?
#[inline(never)]
pub fn strip(ctx: &XdpContext) -> bool {
    let cursor = Cursor::of_xdp(ctx);
    let Some((ethertype, l3)) = behind(&cursor) else { return false };
    if !destination(&cursor, ethertype, l3).is_some_and(|to| is_ours(&to)) {
        return false;
    }
    let Some(noted) = scratch::tags() else { return false };
    let Some(frame) = cursor.window::<TWO>(0) else { return false };
    let macs = frame.macs::<{ eth::DST }>();
    *noted = [frame.get::<u32, OUTER>(), 0];
    let by = l3 - eth::LEN;
    if by == TAG_LEN {
        frame.set_macs::<TAG_LEN>(macs);
    } else {
        noted[1] = frame.get::<u32, INNER>();
        frame.set_macs::<{ 2 * TAG_LEN }>(macs);
    }
    adjust_head(ctx, by as i32).is_some()
}

/// Of a frame whose tags are off: put them back if it does not leave for a
/// backend, which has tags of its own, or none.
#[inline(never)]
pub fn restore(ctx: &XdpContext, verdict: Verdict) -> Verdict {
    if verdict.leaves_for_backend() || verdict.xdp_action() == XDP_DROP {
        return verdict;
    }
    match scratch::tags() {
        Some(tags) if push(ctx, tags) => verdict,
        _ => Verdict::DropNoRoom,
    }
}

/// Put tags on the frame; false if there is no room for them.
#[inline(never)]
pub fn push(ctx: &XdpContext, tags: &Tags) -> bool {
    let more = if tags[1] == 0 { TAG_LEN } else { 2 * TAG_LEN };
    let Some(cursor) = adjust_head(ctx, -(more as i32)) else { return false };
    let Some(frame) = cursor.window::<TWO>(0) else { return false };
    if tags[1] == 0 {
        frame.set_macs::<{ eth::DST }>(frame.macs::<TAG_LEN>());
    } else {
        frame.set_macs::<{ eth::DST }>(frame.macs::<{ 2 * TAG_LEN }>());
        frame.set::<u32, INNER>(tags[1]);
    }
    frame.set::<u32, OUTER>(tags[0]);
    true
}

#[inline(always)]
fn destination(cursor: &Cursor, ethertype: u16, l3: usize) -> Option<Addr> {
    if ethertype == eth::IPV4 {
        return Some(Addr::v4(cursor.window::<{ ipv4::LEN }>(l3)?.get::<u32, { ipv4::DST }>()));
    }
    if ethertype != eth::IPV6 {
        return None;
    }
    Some(Addr::from_words(cursor.window::<{ ipv6::LEN }>(l3)?.words::<{ ipv6::DST }>()))
}

/// A VIP, or an address of this machine, where tunnels end.
#[inline(always)]
fn is_ours(addr: &Addr) -> bool {
    is_vip(addr) || peer(addr, roles::SELF).is_some()
}
