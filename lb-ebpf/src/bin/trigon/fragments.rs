//! Later fragments follow the first, which alone has ports (RFC 791 section
//! 3.2, RFC 8200 section 4.5).
//!
//! Nothing is put together here: the first fragment is remembered, and a later
//! one gets ports from it and is then a packet of the flow like any other.

use lb_common::maps::{FragmentKey, Ports};
use lb_ebpf::parse::Packet;

use crate::{
    clock, dry_run,
    maps::{self, FRAGMENTS},
};

/// Linux waits as long for the rest of an IPv4 packet.
const LIFETIME_SECONDS: u32 = 30;

/// Of a request: remember the first fragment if it is for a service, give a
/// later one the ports of the first. False if they are not known.
#[inline(always)]
pub fn of_request(packet: &mut Packet) -> bool {
    if packet.is_later_fragment() {
        return complete(packet);
    }
    if maps::service(&packet.dst).is_some() {
        remember(packet);
    }
    true
}

/// A full table costs a packet of fragments its life, not more.
#[inline(never)]
pub fn remember(packet: &Packet) {
    let ports = Ports {
        src: packet.src_port,
        dst: packet.dst.port,
        protocol: packet.dst.protocol as u32,
        seen: clock::seconds(),
    };
    dry_run::remember(&FRAGMENTS, &key(packet), &ports);
}

/// Give a later fragment the ports and the protocol of the first.
#[inline(never)]
pub fn complete(packet: &mut Packet) -> bool {
    let Some(ports) = maps::ports(&key(packet)) else { return false };
    if clock::seconds().wrapping_sub(ports.seen) > LIFETIME_SECONDS {
        return false;
    }
    packet.src_port = ports.src;
    packet.dst.port = ports.dst;
    packet.dst.protocol = ports.protocol as u8;
    true
}

#[inline(always)]
fn key(packet: &Packet) -> FragmentKey {
    let protocol = if packet.is_v4 { packet.dst.protocol as u32 } else { 0 };
    FragmentKey { src: packet.src, dst: packet.dst.addr, id: packet.id, protocol }
}
