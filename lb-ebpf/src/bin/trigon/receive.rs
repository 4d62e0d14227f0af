//! What a frame that came in is to us: a request to a service, a tunnel
//! packet from a director, something else for a VIP, or none of our business.

use aya_ebpf::programs::XdpContext;
use lb_common::{Verdict, gue, ring::NO_BACKEND, roles};
use lb_ebpf::{
    cursor::Cursor,
    header::{eth, protocol},
    parse::{self, Packet, Parsed, Room},
};

use crate::{constants::role, director, fragments, gather, icmp, maps, node, vip::unless_vip, vlan};

#[inline(always)]
pub fn packet(ctx: &XdpContext) -> Verdict {
    let mut cursor = Cursor::of_xdp(ctx);
    let Some(mut ethertype) = parse::ethertype(&cursor) else { return Verdict::Pass };
    // It goes to others too, so that neither a host nor a router takes a packet to one address from it
    // (RFC 1122 section 3.3.6, RFC 1812 section 5.3.4).
    if is_to_group(&cursor) {
        return Verdict::Pass;
    }
    let is_tagged = vlan::is_tag(ethertype);
    if is_tagged {
        if !vlan::strip(ctx) {
            return Verdict::Pass;
        }
        cursor = Cursor::of_xdp(ctx);
        let Some(untagged) = parse::ethertype(&cursor) else { return Verdict::DropNoRoom };
        ethertype = untagged;
    }
    let verdict = untagged(ctx, &cursor, ethertype);
    if is_tagged { vlan::restore(ctx, verdict) } else { verdict }
}

/// Is the frame to a group of stations, or to all?
#[inline(always)]
fn is_to_group(cursor: &Cursor) -> bool {
    cursor.window::<{ eth::LEN }>(0).is_some_and(|frame| frame.get::<u8, { eth::DST }>() & eth::GROUP != 0)
}

#[inline(always)]
fn untagged(ctx: &XdpContext, cursor: &Cursor, ethertype: u16) -> Verdict {
    let mut room = Room::uninit();
    let packet = match parse::network(cursor, ethertype, eth::LEN, &mut room) {
        Parsed::Flow(packet) => packet,
        Parsed::Fragment(packet) => match fragment(ctx, cursor, packet) {
            Ok(()) => packet,
            Err(verdict) => return verdict,
        },
        Parsed::Icmp(packet) => match icmp::receive(cursor, packet, role(roles::DIRECTOR)) {
            Ok(()) => packet,
            Err(verdict) => return verdict,
        },
        Parsed::Tunnel(packet) if role(roles::NODE) => return node::tunnel(ctx, packet),
        Parsed::Tunnel(packet) => return unless_vip(&packet.dst.addr, Verdict::DropOtherProtocol),
        Parsed::Unfit(packet, why) => return unless_vip(&packet.dst.addr, why),
        Parsed::NotIp => return Verdict::Pass,
    };
    request(ctx, cursor, packet)
}

/// `Ok` if the fragment is a packet of a flow like any other from now on.
#[inline(always)]
fn fragment(ctx: &XdpContext, cursor: &Cursor, packet: &mut Packet) -> Result<(), Verdict> {
    let meeting = if role(roles::DIRECTOR) { gather::meeting(packet) } else { NO_BACKEND as u32 };
    let do_meet = meeting != NO_BACKEND as u32;
    if do_meet && !(role(roles::NODE) && maps::is_this_machine(meeting)) {
        return Err(gather::forward(ctx, cursor, packet, meeting));
    }
    if !fragments::of_request(packet) {
        return Err(unless_vip(&packet.dst.addr, Verdict::DropFragment));
    }
    if do_meet { Err(gather::receive(ctx, cursor, packet)) } else { Ok(()) }
}

#[inline(always)]
fn request(ctx: &XdpContext, cursor: &Cursor, packet: &Packet) -> Verdict {
    let Some(service) = maps::service(&packet.dst) else {
        if role(roles::NODE) && is_gue(packet) {
            return node::tunnel(ctx, packet);
        }
        return unless_vip(&packet.dst.addr, Verdict::DropNoSuchPort);
    };
    if role(roles::DIRECTOR) {
        director::forward(ctx, cursor, packet, service)
    } else {
        node::receive(ctx, cursor, packet, service)
    }
}

/// Is it to the port of Generic UDP Encapsulation?
#[inline(always)]
fn is_gue(packet: &Packet) -> bool {
    packet.dst.port == gue::PORT.to_be() && packet.dst.protocol == protocol::UDP && packet.quote == 0
}
