//! A director asks whether this node is alive: by a tunnel packet like any
//! other, in which is a datagram from the node back to the director. Here it
//! goes out again, without the tunnel, so that an answer says that the path,
//! the interface and this program work, whatever the rest of the node does.

use aya_ebpf::programs::XdpContext;
use lb_common::{Addr, Verdict};
use lb_ebpf::{cursor::Cursor, header::protocol, parse::Packet, rewrite::macs};

use super::decapsulate::decapsulate;

/// UDP between the ends of the tunnel, the other way round: nobody gets this
/// node to send anything to anybody else.
#[inline(always)]
pub fn is_probe(outer: &Packet, inner: &Packet) -> bool {
    inner.dst.protocol == protocol::UDP
        && is_same(&inner.dst.addr, &outer.src)
        && is_same(&inner.src, &outer.dst.addr)
}

/// Send the inner packet to where the frame came from.
///
/// Not inlined, as `hand_on`.
#[inline(never)]
pub fn answer(ctx: &XdpContext, cursor: &Cursor, inner: &Packet) -> Verdict {
    let Some(cursor) = decapsulate(ctx, cursor, inner) else { return Verdict::DropNoRoom };
    if macs::swap(&cursor, 0).is_none() {
        return Verdict::DropTruncated;
    }
    Verdict::AnswerProbe
}

/// `==` on arrays would become a call of `bcmp`.
#[inline(always)]
fn is_same(a: &Addr, b: &Addr) -> bool {
    let (a, b) = (a.words(), b.words());
    (a[0] ^ b[0]) | (a[1] ^ b[1]) | (a[2] ^ b[2]) | (a[3] ^ b[3]) == 0
}
