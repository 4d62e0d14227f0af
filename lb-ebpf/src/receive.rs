//! What a frame that came in is to us: a request to a service, a tunnel
//! packet from a director, something else for a VIP, or none of our business.

use aya_ebpf::programs::XdpContext;
use lb_common::{Addr, Verdict, roles};

use crate::{
    cursor::Cursor,
    director,
    maps::{SERVICES, VIPS, role},
    node,
    parse::{self, Packet, Parsed, Room},
};

#[inline(always)]
pub fn packet(ctx: &XdpContext) -> Verdict {
    let cursor = Cursor::new(ctx.data(), ctx.data_end());
    let mut room = Room::uninit();
    match parse::frame(&cursor, &mut room) {
        Parsed::Flow(packet) => request(ctx, &cursor, packet),
        Parsed::Tunnel(packet) if role(roles::NODE) => node::tunnel(ctx, packet),
        Parsed::Tunnel(packet) => unless_vip(&packet.to.addr, Verdict::DropOtherProtocol),
        Parsed::Unfit(packet, why) => unless_vip(&packet.to.addr, why),
        Parsed::NotIp => Verdict::Pass,
    }
}

#[inline(always)]
fn request(ctx: &XdpContext, cursor: &Cursor, packet: &Packet) -> Verdict {
    // SAFETY: entries are replaced, never changed in place.
    let Some(service) = (unsafe { SERVICES.get(&packet.to) }) else {
        return unless_vip(&packet.to.addr, Verdict::DropNoSuchPort);
    };
    if role(roles::DIRECTOR) {
        director::forward(ctx, cursor, packet, service)
    } else {
        node::receive(cursor, packet, service)
    }
}

/// Pass it on untouched, unless it is for a VIP: then the kernel, which knows
/// no such address, might route it back to where it came from.
#[inline(always)]
pub fn unless_vip(to: &Addr, why: Verdict) -> Verdict {
    // SAFETY: only the presence of the entry counts.
    if unsafe { VIPS.get(to) }.is_some() { why } else { Verdict::Pass }
}
