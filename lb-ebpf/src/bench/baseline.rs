//! The programs to compare with: what any load balancer has to do at least,
//! written as well as the rest, but with none of a load balancer's features.

use aya_ebpf::{bindings::xdp_action, btf_maps::HashMap, macros::btf_map, programs::XdpContext};
use lb_common::{Addr, checksum, maps::ServiceKey};
use network_types::{eth::EtherType, ip::IpProto};

use crate::cursor::{Cursor, Window, adjust_head};

pub const ETH_LEN: usize = 14;
pub const IP_LEN: usize = 20;
const PORTS_LEN: usize = 8;
const HEADERS: usize = ETH_LEN + IP_LEN + PORTS_LEN;
/// Time to live 64, protocol 4 (IPv4).
const TTL_AND_PROTOCOL: u32 = u16::from_ne_bytes([64, IpProto::Ipv4 as u8]) as u32;
const DONT_FRAGMENT: u32 = (0x4000u16.to_be() as u32) << 16;

/// As Trigon has it.
#[btf_map]
pub static BY_ADDRESS: HashMap<ServiceKey, Target, 1024> = HashMap::new();

/// The smallest key there can be.
#[btf_map]
pub static BY_IPV4: HashMap<Ipv4Key, Target, 1024> = HashMap::new();

#[repr(C)]
pub struct Ipv4Key {
    addr: u32,
    port: u16,
    protocol: u16,
}

/// Where a packet goes.
#[repr(C)]
pub struct Target {
    macs: [u32; 3],
    pub source: u32,
    pub destination: u32,
}

/// What the baselines read of a packet.
pub struct Headers {
    window: Window<HEADERS>,
    protocol: u8,
}

/// A way to make a map's key.
pub trait Key {
    fn of(headers: &Headers) -> Self;
}

impl Key for ServiceKey {
    #[inline(always)]
    fn of(headers: &Headers) -> Self {
        Self {
            addr: Addr::v4(headers.window.get::<u32, 30>()),
            port: headers.window.get::<u16, 36>(),
            protocol: headers.protocol,
            pad: 0,
        }
    }
}

impl Key for Ipv4Key {
    #[inline(always)]
    fn of(headers: &Headers) -> Self {
        Self {
            addr: headers.window.get::<u32, 30>(),
            port: headers.window.get::<u16, 36>(),
            protocol: headers.protocol as u16,
        }
    }
}

/// The head moves by this, set by the loader.
#[unsafe(no_mangle)]
static MOVE: i32 = 20;

#[inline(always)]
pub fn move_head(ctx: &XdpContext) -> u32 {
    // SAFETY: a static is valid. Volatile, for what the loader wrote.
    let length = unsafe { core::ptr::read_volatile(&raw const MOVE) };
    // If that fails, the wrapper finds the frame too short.
    let _ = adjust_head(ctx, -length);
    xdp_action::XDP_TX
}

#[inline(always)]
pub fn macswap(cursor: &Cursor) -> Option<u32> {
    let frame = parse(cursor)?.window;
    let destination = (frame.get::<u32, 0>(), frame.get::<u16, 4>());
    let source = (frame.get::<u32, 6>(), frame.get::<u16, 10>());
    frame.set::<u32, 0>(source.0);
    frame.set::<u16, 4>(source.1);
    frame.set::<u32, 6>(destination.0);
    frame.set::<u16, 10>(destination.1);
    Some(xdp_action::XDP_TX)
}

#[inline(always)]
pub fn encap<K: Key>(ctx: &XdpContext, targets: &HashMap<K, Target, 1024>) -> Option<u32> {
    let headers = parse(&Cursor::of_xdp(ctx))?;
    // SAFETY: nobody changes the table while the benchmark runs.
    let target = unsafe { targets.get(&K::of(&headers)) }?;
    let len = u16::from_be(headers.window.get::<u16, 16>()) + IP_LEN as u16;
    let Some(grown) = adjust_head(ctx, -(IP_LEN as i32)) else { return Some(xdp_action::XDP_DROP) };
    let frame = grown.window::<{ ETH_LEN + IP_LEN }>(0)?;
    frame.set::<u32, 0>(target.macs[0]);
    frame.set::<u32, 4>(target.macs[1]);
    frame.set::<u32, 8>(target.macs[2]);
    frame.set::<u16, 12>(EtherType::Ipv4 as u16);
    outer(&frame, len, target);
    Some(xdp_action::XDP_TX)
}

/// The outer IPv4 header.
#[inline(always)]
fn outer(frame: &Window<{ ETH_LEN + IP_LEN }>, len: u16, target: &Target) {
    let first = 0x45 | (len.to_be() as u32) << 16;
    let words = [first, DONT_FRAGMENT, TTL_AND_PROTOCOL, target.source, target.destination];
    let check = !checksum::fold(checksum::sum(&words)) as u32;
    frame.set::<u32, 14>(words[0]);
    frame.set::<u32, 18>(words[1]);
    frame.set::<u32, 22>(words[2] | check << 16);
    frame.set::<u32, 26>(words[3]);
    frame.set::<u32, 30>(words[4]);
}

/// Ethernet, IPv4 without options, TCP or UDP as far as the ports.
#[inline(always)]
fn parse(cursor: &Cursor) -> Option<Headers> {
    let window = cursor.window::<HEADERS>(0)?;
    let protocol = window.get::<u8, 23>();
    let known = window.get::<u16, 12>() == EtherType::Ipv4 as u16
        && window.get::<u8, 14>() == 0x45
        && (protocol == IpProto::Tcp as u8 || protocol == IpProto::Udp as u8);
    known.then_some(Headers { window, protocol })
}
