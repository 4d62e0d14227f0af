//! ICMP to a VIP: errors go where the flow goes that they are about, echo
//! requests are answered.

use lb_common::{Verdict, maps::vip_flags};
use lb_ebpf::{
    cursor::Cursor,
    parse::{
        Packet,
        icmp::{self, Message},
    },
    rewrite::{echo, macs},
};

use crate::maps;

/// `Ok` if the packet is one of a flow from now on: an error about it.
///
/// Takes a cursor and not the context, as in `drops::report`.
#[inline(never)]
pub fn receive(cursor: &Cursor, packet: &mut Packet, is_director: bool) -> Result<(), Verdict> {
    let Some(vip) = maps::vip(&packet.dst.addr) else { return Err(Verdict::Pass) };
    match icmp::message(cursor, packet) {
        Message::Error if icmp::quoted(cursor, packet) => Ok(()),
        Message::Echo if is_director && vip.flags & vip_flags::ECHO != 0 => Err(echo(cursor, packet)),
        // A solicitation of a neighbour that believes the VIP to be here.
        Message::Neighbour => Err(Verdict::Pass),
        _ => Err(Verdict::DropIcmp),
    }
}

/// Make an echo request its own reply, and send it back.
#[inline(always)]
fn echo(cursor: &Cursor, packet: &Packet) -> Verdict {
    if echo::reply(cursor, packet).is_none() || macs::swap(cursor, 0).is_none() {
        return Verdict::DropIcmp;
    }
    Verdict::EchoReply
}
