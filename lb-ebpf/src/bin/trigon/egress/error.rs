//! ICMP errors on their way out, about what has come by the VIP: of an endpoint whose port is closed, or of this
//! node. They quote what went to the endpoint, and the client has sent nothing there. So they become the VIP's,
//! about what the client has sent to the VIP.
//!
//! Through the kernel's helpers, as all of egress. Were there a single store to a packet in the program, the kernel
//! would copy every clone before it runs (`bpf_unclone_prologue`), and TCP sends all data as clones.

use aya_ebpf::{bindings::BPF_F_PSEUDO_HDR, programs::TcContext};
use lb_common::{
    Addr, Verdict,
    checksum::{self, fold},
    maps::Reply,
};
use lb_ebpf::{
    cursor::Cursor,
    header::{icmp, ipv4, ipv6, pair, protocol, tcp, udp},
    parse::{
        Packet,
        icmp::{quoted, quoted_header_len},
    },
};

use super::{ALL_HEADERS, difference, turn};

/// Make of an error a packet of the flow that it is about: from the endpoint, which got what it quotes, to the
/// client. False if it quotes no flow's.
///
/// Not inlined: replies have no use for its stack.
#[inline(never)]
pub fn quotes_flow(cursor: &Cursor, packet: &mut Packet) -> bool {
    quoted(cursor, packet)
}

/// Finishes an error about the flow that has this reply. To a client inside, which is the VIP to the endpoint, it is
/// turned round.
///
/// Not inlined, for the same reason.
#[inline(never)]
pub fn from_vip(ctx: &TcContext, packet: &Packet, reply: &Reply) -> Verdict {
    let is_inside = reply.is_inside();
    let client = if is_inside { &reply.other } else { &packet.dst.addr };
    let vip = if is_inside { &packet.dst.addr } else { &reply.other };
    let done = rewrite(ctx, packet, reply, vip, client);
    match done.and_then(|()| if is_inside { turn::frame(ctx) } else { Ok(()) }) {
        Ok(()) if is_inside => Verdict::EgressReturn,
        Ok(()) => Verdict::EgressReply,
        Err(_) => Verdict::EgressDropRewrite,
    }
}

/// From the VIP to the client, about what went from the client to the VIP.
#[inline(always)]
fn rewrite(ctx: &TcContext, packet: &Packet, reply: &Reply, vip: &Addr, client: &Addr) -> Result<(), i64> {
    // Else a checksum of TCP might be missed: it lies furthest in.
    ctx.pull_data(ctx.len().min(ALL_HEADERS))?;
    let cursor = Cursor::of_tc(ctx);
    let sender = Addr::from_words(sender(&cursor, packet).ok_or(0)?);
    let to_client = difference(&packet.dst.addr, client);
    let outer = to_client + difference(&sender, vip);
    let inner = to_client + difference(&packet.src, vip);

    let l4 = packet.quote as usize + quoted_header_len(&cursor, packet);
    let ports = pair(reply.client_port, reply.port);
    let mut message = checksum::difference(&[pair(packet.dst.port, packet.src_port)], &[ports]);
    if let Some((at, old)) = quoted_check(&cursor, packet, l4) {
        let new = updated(packet, old, inner + message);
        message += checksum::difference(&[old as u32], &[new as u32]);
        ctx.store(at, &new, 0)?;
    }
    ctx.store(l4, &ports, 0)?;
    let check = packet.l4() + icmp::CHECK;
    if !packet.is_v4 {
        ctx.l4_csum_replace(check, 0, fold(outer) as u64, BPF_F_PSEUDO_HDR as u64)?;
        message += inner;
    }
    ctx.l4_csum_replace(check, 0, fold(message) as u64, 0)?;
    addresses(ctx, packet.is_v4, packet.l3, vip, client, outer)?;
    // The sum of an IPv4 header stays what it was, and so does that of the message.
    addresses(ctx, packet.is_v4, packet.quote as usize, client, vip, inner)
}

/// Who sent the error, in words: the endpoint, or this node.
#[inline(always)]
fn sender(cursor: &Cursor, packet: &Packet) -> Option<[u32; 4]> {
    if packet.is_v4 {
        let header = cursor.window::<{ ipv4::LEN }>(packet.l3)?;
        return Some(Addr::v4(header.get::<u32, { ipv4::SRC }>()).words());
    }
    Some(cursor.window::<{ ipv6::LEN }>(packet.l3)?.words::<{ ipv6::SRC }>())
}

/// Where the checksum of the quoted transport header is, and what it is: if there is one, and if it is quoted.
#[inline(always)]
fn quoted_check(cursor: &Cursor, packet: &Packet, l4: usize) -> Option<(usize, u16)> {
    if packet.dst.protocol == protocol::TCP {
        const LEN: usize = tcp::CHECK + 2;
        // What follows the packet is padding.
        if l4 + LEN > packet.l3 + packet.len as usize {
            return None;
        }
        let header = cursor.window::<LEN>(l4)?;
        return Some((l4 + tcp::CHECK, header.get::<u16, { tcp::CHECK }>()));
    }
    let check = cursor.window::<{ udp::LEN }>(l4)?.get::<u16, { udp::CHECK }>();
    (check != 0).then_some((l4 + udp::CHECK, check))
}

/// The quoted transport's checksum; of UDP, zero stands for none (RFC 768).
#[inline(always)]
fn updated(packet: &Packet, old: u16, difference: u64) -> u16 {
    let new = checksum::update(old, difference);
    if new == 0 && packet.dst.protocol == protocol::UDP { 0xffff } else { new }
}

/// Write source and destination of the IP header at `at`, and the header's checksum.
#[inline(always)]
fn addresses(
    ctx: &TcContext,
    is_v4: bool,
    at: usize,
    src: &Addr,
    dst: &Addr,
    difference: u64,
) -> Result<(), i64> {
    if is_v4 {
        ctx.l3_csum_replace(at + ipv4::CHECK, 0, fold(difference) as u64, 0)?;
        ctx.store(at + ipv4::SRC, &src.words()[3], 0)?;
        ctx.store(at + ipv4::DST, &dst.words()[3], 0)
    } else {
        ctx.store(at + ipv6::SRC, src, 0)?;
        ctx.store(at + ipv6::DST, dst, 0)
    }
}
