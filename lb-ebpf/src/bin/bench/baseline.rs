//! The programs to compare with: what any load balancer has to do at least,
//! written as well as the rest, but with none of a load balancer's features.

use aya_ebpf::{bindings::xdp_action, btf_maps::HashMap, macros::btf_map, programs::XdpContext};
use lb_common::{
    Addr, checksum,
    maps::{OUTER_DONT_FRAGMENT, ServiceKey},
};
use lb_ebpf::{
    constant::loaded,
    context::adjust_head,
    cursor::{Cursor, Window},
    header::{TTL, eth, ipv4, pair, ports, protocol},
};

/// Where headers begin in a frame without VLAN tags and IPv4 options.
pub const IP: usize = eth::LEN;
pub const L4: usize = IP + ipv4::LEN;
const HEADERS: usize = L4 + ports::LEN;
const TTL_AND_PROTOCOL: u32 = u16::from_ne_bytes([TTL, protocol::IPV4]) as u32;

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
            addr: Addr::v4(headers.window.get::<u32, { IP + ipv4::DST }>()),
            port: headers.window.get::<u16, { L4 + ports::DST }>(),
            protocol: headers.protocol,
            pad: 0,
        }
    }
}

impl Key for Ipv4Key {
    #[inline(always)]
    fn of(headers: &Headers) -> Self {
        Self {
            addr: headers.window.get::<u32, { IP + ipv4::DST }>(),
            port: headers.window.get::<u16, { L4 + ports::DST }>(),
            protocol: headers.protocol as u16,
        }
    }
}

/// The head moves by this, set by the loader.
#[unsafe(no_mangle)]
static MOVE: i32 = 20;

#[inline(always)]
pub fn move_head(ctx: &XdpContext) -> u32 {
    // If that fails, the wrapper finds the frame too short.
    let _ = adjust_head(ctx, -loaded(&MOVE));
    xdp_action::XDP_TX
}

#[inline(always)]
pub fn macswap(cursor: &Cursor) -> Option<u32> {
    let frame = parse(cursor)?.window;
    let destination = (frame.get::<u32, { eth::DST }>(), frame.get::<u16, { eth::DST + 4 }>());
    let source = (frame.get::<u32, { eth::SRC }>(), frame.get::<u16, { eth::SRC + 4 }>());
    frame.set::<u32, { eth::DST }>(source.0);
    frame.set::<u16, { eth::DST + 4 }>(source.1);
    frame.set::<u32, { eth::SRC }>(destination.0);
    frame.set::<u16, { eth::SRC + 4 }>(destination.1);
    Some(xdp_action::XDP_TX)
}

#[inline(always)]
pub fn encap<K: Key>(ctx: &XdpContext, targets: &HashMap<K, Target, 1024>) -> Option<u32> {
    let headers = parse(&Cursor::of_xdp(ctx))?;
    // SAFETY: nobody changes the table while the benchmark runs.
    let target = unsafe { targets.get(K::of(&headers)) }?;
    let len = u16::from_be(headers.window.get::<u16, { IP + ipv4::TOTAL_LEN }>()) + ipv4::LEN as u16;
    let Some(grown) = adjust_head(ctx, -(ipv4::LEN as i32)) else { return Some(xdp_action::XDP_DROP) };
    let frame = grown.window::<L4>(0)?;
    frame.set_macs::<{ eth::DST }>(target.macs);
    frame.set::<u16, { eth::TYPE }>(eth::IPV4);
    outer(&frame, len, target);
    Some(xdp_action::XDP_TX)
}

/// The outer IPv4 header.
#[inline(always)]
fn outer(frame: &Window<L4>, len: u16, target: &Target) {
    let first = pair(ipv4::PLAIN as u16, len.to_be());
    let words = [first, pair(0, OUTER_DONT_FRAGMENT), TTL_AND_PROTOCOL, target.source, target.destination];
    let check = !checksum::fold(checksum::sum(&words)) as u32;
    frame.set::<u32, IP>(words[0]);
    frame.set::<u32, { IP + ipv4::ID }>(words[1]);
    frame.set::<u32, { IP + ipv4::TTL }>(words[2] | check << 16);
    frame.set::<u32, { IP + ipv4::SRC }>(words[3]);
    frame.set::<u32, { IP + ipv4::DST }>(words[4]);
}

/// Ethernet, IPv4 without options, TCP or UDP as far as the ports.
#[inline(always)]
fn parse(cursor: &Cursor) -> Option<Headers> {
    let window = cursor.window::<HEADERS>(0)?;
    let protocol = window.get::<u8, { IP + ipv4::PROTOCOL }>();
    let known = window.get::<u16, { eth::TYPE }>() == eth::IPV4
        && window.get::<u8, { IP + ipv4::VERSION_AND_LEN }>() == ipv4::PLAIN
        && (protocol == protocol::TCP || protocol == protocol::UDP);
    known.then_some(Headers { window, protocol })
}
