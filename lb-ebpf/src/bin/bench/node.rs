//! What a node has to do at least: the way in and the way out.

use aya_ebpf::{
    bindings::{BPF_F_PSEUDO_HDR, TC_ACT_UNSPEC, xdp_action},
    programs::{TcContext, XdpContext},
};
use lb_common::{Addr, checksum, maps::ServiceKey};
use lb_ebpf::{
    context::adjust_head,
    cursor::{Cursor, Window},
    header::{eth, ipv4, ports, protocol, tcp},
};

use crate::baseline::{BY_ADDRESS, IP, L4, Target};

/// Of a TCP packet.
const HEADERS: usize = L4 + tcp::LEN;
/// Where all Pods listen.
const TARGET_PORT: u16 = 3000u16.to_be();
const SERVICE_PORT: u16 = 80u16.to_be();

/// TCP over IPv4 over IPv4, and nothing else.
#[inline(always)]
pub fn decap(ctx: &XdpContext) -> Option<u32> {
    let cursor = Cursor::of_xdp(ctx);
    let outer = cursor.window::<L4>(0)?;
    let is_ipip = outer.get::<u16, { eth::TYPE }>() == eth::IPV4
        && outer.get::<u8, { IP + ipv4::VERSION_AND_LEN }>() == ipv4::PLAIN
        && outer.get::<u8, { IP + ipv4::PROTOCOL }>() == protocol::IPV4;
    // The inner packet with room for an Ethernet header before it.
    let inner = cursor.window::<HEADERS>(ipv4::LEN)?;
    if !is_ipip || !is_tcp(&inner) {
        return None;
    }
    let target = lookup(inner.get::<u32, { IP + ipv4::DST }>(), inner.get::<u16, { L4 + ports::DST }>())?;
    let address = checksum::difference(&[inner.get::<u32, { IP + ipv4::DST }>()], &[target.destination]);
    let port = checksum::difference(&[inner.get::<u16, { L4 + ports::DST }>() as u32], &[TARGET_PORT as u32]);
    inner.set::<u32, { IP + ipv4::DST }>(target.destination);
    inner.set::<u16, { L4 + ports::DST }>(TARGET_PORT);
    inner.set::<u16, { IP + ipv4::CHECK }>(checksum::update(
        inner.get::<u16, { IP + ipv4::CHECK }>(),
        address,
    ));
    inner.set::<u16, { L4 + tcp::CHECK }>(checksum::update(
        inner.get::<u16, { L4 + tcp::CHECK }>(),
        address + port,
    ));
    inner.set_macs::<{ eth::DST }>(outer.macs::<{ eth::DST }>());
    inner.set::<u16, { eth::TYPE }>(eth::IPV4);
    adjust_head(ctx, ipv4::LEN as i32).map(|_| xdp_action::XDP_PASS)
}

/// TCP over IPv4, and nothing else. By the kernel's helpers: at egress, a
/// checksum may still be for the device to complete.
#[inline(always)]
pub fn snat(ctx: &TcContext) -> Option<i32> {
    let frame = Cursor::of_tc(ctx).window::<HEADERS>(0)?;
    if frame.get::<u16, { eth::TYPE }>() != eth::IPV4 || !is_tcp(&frame) {
        return None;
    }
    let (address, port) = (frame.get::<u32, { IP + ipv4::SRC }>(), frame.get::<u16, { L4 + ports::SRC }>());
    let source = lookup(address, port)?.source;
    ctx.l4_csum_replace(L4 + tcp::CHECK, address as u64, source as u64, BPF_F_PSEUDO_HDR as u64 | 4).ok()?;
    ctx.l4_csum_replace(L4 + tcp::CHECK, port as u64, SERVICE_PORT as u64, 2).ok()?;
    ctx.l3_csum_replace(IP + ipv4::CHECK, address as u64, source as u64, 4).ok()?;
    ctx.store(IP + ipv4::SRC, &source, 0).ok()?;
    ctx.store(L4 + ports::SRC, &SERVICE_PORT, 0).ok()?;
    Some(TC_ACT_UNSPEC)
}

#[inline(always)]
fn is_tcp(frame: &Window<HEADERS>) -> bool {
    frame.get::<u8, { IP + ipv4::VERSION_AND_LEN }>() == ipv4::PLAIN
        && frame.get::<u8, { IP + ipv4::PROTOCOL }>() == protocol::TCP
}

#[inline(always)]
fn lookup(address: u32, port: u16) -> Option<&'static Target> {
    let key = ServiceKey { addr: Addr::v4(address), port, protocol: protocol::TCP, pad: 0 };
    // SAFETY: nobody changes the table while the benchmark runs.
    unsafe { BY_ADDRESS.get(key) }
}
