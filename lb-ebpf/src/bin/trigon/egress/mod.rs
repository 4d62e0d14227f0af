//! Replies on their way out: the Pod's address becomes the VIP's again, and the
//! client's port its own; in errors too. A client on this node has no other way to
//! its reply: it is turned round here.
//!
//! Unlike XDP, this sees packets whose checksum is still to be completed by
//! the device and segments that are still to be cut, so the checksums go
//! through the kernel's helpers, which know.

mod end;
mod error;
mod mss;
mod past_vip;
mod turn;

use aya_ebpf::{
    bindings::{BPF_F_MARK_MANGLED_0, BPF_F_PSEUDO_HDR},
    helpers::bpf_csum_diff,
    programs::TcContext,
};
use lb_common::{
    Addr, Verdict,
    maps::{Endpoint, Reply, ReplyKey},
    roles,
};
use lb_ebpf::{
    cursor::Cursor,
    header::{eth, ipv4, ipv6, pair, protocol, tcp, udp},
    parse::{self, Fragment, Packet, Parsed, Room, icmp, l4},
};

use crate::{constants::role, fragments, maps, vlan};
pub use turn::back;

/// Ethernet with two tags.
const L3: usize = eth::LEN + 2 * eth::TAG_LEN;
/// With IPv6 and TCP: what is read of most packets.
const HEADERS: u32 = (L3 + ipv6::LEN + tcp::LEN) as u32;
/// All of them together, at their longest.
const ALL_HEADERS: u32 = (L3 + parse::L3_MAX + tcp::LEN) as u32;

#[inline(always)]
pub fn packet(ctx: &TcContext) -> Verdict {
    if !role(roles::NODE) {
        return Verdict::EgressPass;
    }
    pull(ctx, HEADERS);
    let mut verdict = reply(ctx);
    // Perhaps there is more, only not in the linear part.
    if matches!(verdict, Verdict::DropTruncated) && pull(ctx, ALL_HEADERS) {
        verdict = reply(ctx);
    }
    if matches!(verdict, Verdict::DropTruncated) { Verdict::EgressPass } else { verdict }
}

/// Bring so many bytes into the linear part, or all there are. False if they are there, as nearly always.
///
/// Only then: the kernel makes them writable too, and so copies every segment that TCP keeps to send it again. What
/// is rewritten, its helpers make writable.
#[inline(always)]
fn pull(ctx: &TcContext, len: u32) -> bool {
    let len = ctx.len().min(len);
    Cursor::of_tc(ctx).len() < len as usize && ctx.pull_data(len).is_ok()
}

#[inline(never)]
fn reply(ctx: &TcContext) -> Verdict {
    let cursor = Cursor::of_tc(ctx);
    let mut room = Room::uninit();
    let Some((ethertype, l3)) = network(&cursor) else { return Verdict::EgressPass };
    let packet = match parse::headers(&cursor, ethertype, l3, &mut room) {
        Parsed::Flow(packet) => packet,
        Parsed::Fragment(packet) => {
            if packet.is_later_fragment() && !fragments::complete(packet) {
                return Verdict::EgressPass;
            }
            packet
        }
        Parsed::Icmp(packet) if matches!(icmp::message(&cursor, packet), icmp::Message::Error) => {
            if !error::quotes_flow(&cursor, packet) {
                return Verdict::DropTruncated;
            }
            packet
        }
        Parsed::Unfit(_, Verdict::DropTruncated) => return Verdict::DropTruncated,
        _ => return Verdict::EgressPass,
    };
    let endpoint = Endpoint { addr: packet.src, port: packet.src_port, pad: 0 };
    let key = ReplyKey::new(endpoint, packet.dst.addr, packet.dst.port, packet.dst.protocol);
    let Some(reply) = maps::leaving_reply(&key) else { return Verdict::EgressPass };
    if packet.quote != 0 {
        return error::from_vip(ctx, packet, reply);
    }
    let flags = l4::tcp_flags(&cursor, packet).unwrap_or(0);
    if past_vip::may_answer_syn(flags) && past_vip::is_answer(&cursor, packet, &key, reply) {
        return Verdict::EgressPass;
    }
    if flags & (tcp::FIN | tcp::RST) != 0 {
        end::note(&key, reply);
    }
    if packet.fragment == Fragment::First {
        fragments::remember(packet);
    }
    let is_inside = reply.is_inside();
    let vip = if is_inside { packet.dst.addr } else { reply.other };
    match rewrite(ctx, &cursor, packet, &vip, reply, flags) {
        Ok(()) if is_inside => turn::round(ctx, packet, &reply.other),
        Ok(()) => Verdict::EgressReply,
        Err(_) => Verdict::EgressDropRewrite,
    }
}

/// Type of the packet, and where it begins. Where the device does not put the
/// VLAN tag in, it is in the frame already.
#[inline(always)]
fn network(cursor: &Cursor) -> Option<(u16, usize)> {
    let ethertype = parse::ethertype(cursor)?;
    if vlan::is_tag(ethertype) { vlan::behind(cursor) } else { Some((ethertype, eth::LEN)) }
}

/// Where the checksum of the transport header is, if there is one, and how it is to be changed:
/// flags of the kernel's helper.
#[inline(always)]
fn check(cursor: &Cursor, packet: &Packet) -> Option<(usize, u64)> {
    let l4 = packet.l4();
    // Only a UDP checksum of zero, "none", has to stay what it is.
    if packet.is_later_fragment() {
        None
    } else if packet.dst.protocol == protocol::TCP {
        Some((l4 + tcp::CHECK, 0u64))
    } else {
        let none =
            cursor.window::<{ udp::LEN }>(l4).is_none_or(|header| header.get::<u16, { udp::CHECK }>() == 0);
        (!none).then_some((l4 + udp::CHECK, BPF_F_MARK_MANGLED_0 as u64))
    }
}

/// What has to be added to checksums when an address becomes another one: see `checksum::difference`.
///
/// By the kernel, from where they lie: their words would take room on the stack.
#[inline(always)]
fn difference(old: &Addr, new: &Addr) -> u64 {
    const LEN: u32 = size_of::<Addr>() as u32;
    let (old, new) = (&raw const *old, &raw const *new);
    // The upper words of mapped addresses are alike: they add nothing.
    // SAFETY: the helper reads so many bytes of each, and writes none.
    unsafe { bpf_csum_diff(old.cast_mut().cast(), LEN, new.cast_mut().cast(), LEN, 0) as u64 }
}

/// Rewrite the source address to the VIP, and both ports.
#[inline(always)]
fn rewrite(
    ctx: &TcContext,
    cursor: &Cursor,
    packet: &Packet,
    vip: &Addr,
    reply: &Reply,
    flags: u8,
) -> Result<(), i64> {
    const SYN_ACK: u8 = tcp::SYN | tcp::ACK;
    let l4 = packet.l4();
    let check = check(cursor, packet);
    let difference = difference(&packet.src, vip);
    let old_ports = pair(packet.src_port, packet.dst.port);
    let new_ports = pair(reply.port, reply.client_port);
    if let Some((at, flags)) = check {
        ctx.l4_csum_replace(at, 0, difference, flags | BPF_F_PSEUDO_HDR as u64)?;
        ctx.l4_csum_replace(at, old_ports as u64, new_ports as u64, flags | 4)?;
    }
    if packet.is_v4 {
        ctx.l3_csum_replace(packet.l3 + ipv4::CHECK, 0, difference, 0)?;
        ctx.store(packet.l3 + ipv4::SRC, &vip.words()[3], 0)?;
    } else {
        ctx.store(packet.l3 + ipv6::SRC, vip, 0)?;
    }
    if packet.is_later_fragment() {
        return Ok(());
    }
    ctx.store(l4, &new_ports, 0)?;
    if reply.mss != 0 && flags & SYN_ACK == SYN_ACK { mss::lower(ctx, l4, reply.mss) } else { Ok(()) }
}
