//! Dropped packets, told one by one to an agent that asked for it.

use aya_ebpf::programs::XdpContext;
use lb_common::{Verdict, maps::Dropped};
use lb_ebpf::{
    cursor::Cursor,
    header::eth,
    parse::{self, Room},
};

use crate::{constants::log_drops, dry_run::dry_run, maps::DROPPED};

pub const XDP_DROP: u32 = 1;

#[inline(always)]
pub fn tell(ctx: &XdpContext, verdict: Verdict) {
    if log_drops() && !dry_run() && verdict.xdp_action() == XDP_DROP {
        report(&Cursor::of_xdp(ctx), verdict as u16);
    }
}

/// Reads the packet once more: what was known of it when it was dropped is
/// not kept for the sake of a log that is off.
///
/// Takes a cursor and not the context: of the latter LLVM hands over only the
/// two words that are read here, as 32-bit numbers to be widened, and there is
/// no arithmetic on `data_end` ("R2 pointer arithmetic on pkt_end prohibited",
/// every kernel up to 6.18 at least).
#[inline(never)]
fn report(cursor: &Cursor, verdict: u16) {
    let Some(ethertype) = parse::ethertype(cursor) else { return };
    let mut room = Room::uninit();
    let parsed = parse::headers(cursor, ethertype, eth::LEN, &mut room);
    let Some(packet) = parsed.packet() else { return };
    // A full ring means that nobody listens fast enough: that is their loss.
    if let Some(mut entry) = DROPPED.reserve_untyped::<Dropped>(0) {
        entry.write(Dropped { to: packet.dst, client: packet.src, client_port: packet.src_port, verdict });
        entry.submit(0);
    }
}
