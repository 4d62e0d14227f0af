//! What a node has to do at least: the way in and the way out.

use aya_ebpf::{
    bindings::{BPF_F_PSEUDO_HDR, TC_ACT_UNSPEC, xdp_action},
    programs::{TcContext, XdpContext},
};
use lb_common::{Addr, checksum, maps::ServiceKey};
use network_types::{eth::EtherType, ip::IpProto};

use crate::{
    baseline::{BY_ADDRESS, ETH_LEN, IP_LEN, Target},
    cursor::{Cursor, Window, adjust_head},
};

const TCP_LEN: usize = 20;
/// Of a TCP packet.
const HEADERS: usize = ETH_LEN + IP_LEN + TCP_LEN;
/// Where all Pods listen.
const TARGET_PORT: u16 = 3000u16.to_be();
const SERVICE_PORT: u16 = 80u16.to_be();

/// TCP over IPv4 over IPv4, and nothing else.
#[inline(always)]
pub fn decap(ctx: &XdpContext) -> Option<u32> {
    let cursor = Cursor::of_xdp(ctx);
    let outer = cursor.window::<{ ETH_LEN + IP_LEN }>(0)?;
    let is_ipip = outer.get::<u16, 12>() == EtherType::Ipv4 as u16
        && outer.get::<u8, 14>() == 0x45
        && outer.get::<u8, 23>() == IpProto::Ipv4 as u8;
    // The inner packet with room for an Ethernet header before it.
    let inner = cursor.window::<HEADERS>(IP_LEN)?;
    if !is_ipip || !is_tcp(&inner) {
        return None;
    }
    let target = lookup(inner.get::<u32, 30>(), inner.get::<u16, 36>())?;
    let address = checksum::difference(&[inner.get::<u32, 30>()], &[target.destination]);
    let port = checksum::difference(&[inner.get::<u16, 36>() as u32], &[TARGET_PORT as u32]);
    inner.set::<u32, 30>(target.destination);
    inner.set::<u16, 36>(TARGET_PORT);
    inner.set::<u16, 24>(checksum::update(inner.get::<u16, 24>(), address));
    inner.set::<u16, 50>(checksum::update(inner.get::<u16, 50>(), address + port));
    let macs = [outer.get::<u32, 0>(), outer.get::<u32, 4>(), outer.get::<u32, 8>()];
    inner.set::<u32, 0>(macs[0]);
    inner.set::<u32, 4>(macs[1]);
    inner.set::<u32, 8>(macs[2]);
    inner.set::<u16, 12>(EtherType::Ipv4 as u16);
    adjust_head(ctx, IP_LEN as i32).map(|_| xdp_action::XDP_PASS)
}

/// TCP over IPv4, and nothing else. By the kernel's helpers: at egress, a
/// checksum may still be for the device to complete.
#[inline(always)]
pub fn snat(ctx: &TcContext) -> Option<i32> {
    let frame = Cursor::of_tc(ctx).window::<HEADERS>(0)?;
    if frame.get::<u16, 12>() != EtherType::Ipv4 as u16 || !is_tcp(&frame) {
        return None;
    }
    let (address, port) = (frame.get::<u32, 26>(), frame.get::<u16, 34>());
    let source = lookup(address, port)?.source;
    ctx.l4_csum_replace(50, address as u64, source as u64, BPF_F_PSEUDO_HDR as u64 | 4).ok()?;
    ctx.l4_csum_replace(50, port as u64, SERVICE_PORT as u64, 2).ok()?;
    ctx.l3_csum_replace(24, address as u64, source as u64, 4).ok()?;
    ctx.store(26, &source, 0).ok()?;
    ctx.store(34, &SERVICE_PORT, 0).ok()?;
    Some(TC_ACT_UNSPEC)
}

#[inline(always)]
fn is_tcp(frame: &Window<HEADERS>) -> bool {
    frame.get::<u8, 14>() == 0x45 && frame.get::<u8, 23>() == IpProto::Tcp as u8
}

#[inline(always)]
fn lookup(address: u32, port: u16) -> Option<&'static Target> {
    let key = ServiceKey { addr: Addr::v4(address), port, protocol: IpProto::Tcp as u8, pad: 0 };
    // SAFETY: nobody changes the table while the benchmark runs.
    unsafe { BY_ADDRESS.get(&key) }
}
