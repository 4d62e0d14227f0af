//! What `cargo xtask bench` runs beside Trigon: the wrapper that restores the
//! packet before every repetition, and the programs to compare with.
//!
//! An object of its own, so that nothing of it is ever loaded on a director.
#![no_std]
#![no_main]
// One atomic operation; this target has no `fetch_add`.
#![feature(asm_experimental_arch)]

mod baseline;
mod node;
mod restore;

use aya_ebpf::{
    bindings::{TC_ACT_SHOT, TC_ACT_UNSPEC, xdp_action},
    macros::{classifier, xdp},
    programs::{TcContext, XdpContext},
};
use lb_ebpf::cursor::Cursor;

/// Restore the packet, then run the program under test on it.
#[xdp]
pub fn repeat(ctx: XdpContext) -> u32 {
    if restore::arriving(&ctx).is_some() {
        restore::run(&ctx);
    }
    xdp_action::XDP_ABORTED
}

/// The same at egress.
#[classifier]
pub fn repeat_egress(ctx: TcContext) -> i32 {
    if restore::leaving(&ctx).is_some() {
        restore::run(&ctx);
    }
    TC_ACT_SHOT
}

/// Nothing at all: with it, the wrapper measures itself.
#[xdp]
pub fn empty(_ctx: XdpContext) -> u32 {
    xdp_action::XDP_TX
}

#[classifier]
pub fn empty_egress(_ctx: TcContext) -> i32 {
    TC_ACT_UNSPEC
}

/// Moves the head as an encapsulation does, and no more.
#[xdp]
pub fn move_head(ctx: XdpContext) -> u32 {
    baseline::move_head(&ctx)
}

/// Parses as far as the ports and swaps the MAC addresses.
#[xdp]
pub fn macswap(ctx: XdpContext) -> u32 {
    baseline::macswap(&Cursor::of_xdp(&ctx)).unwrap_or(xdp_action::XDP_PASS)
}

/// Parses, looks up once, by Trigon's own key, and encapsulates.
#[xdp]
pub fn encap(ctx: XdpContext) -> u32 {
    baseline::encap(&ctx, &baseline::BY_ADDRESS).unwrap_or(xdp_action::XDP_PASS)
}

/// The same with the smallest key that IPv4 allows.
#[xdp]
pub fn encap8(ctx: XdpContext) -> u32 {
    baseline::encap(&ctx, &baseline::BY_IPV4).unwrap_or(xdp_action::XDP_PASS)
}

/// Takes an outer IPv4 header away and addresses the packet to a Pod, after
/// one lookup.
#[xdp]
pub fn decap(ctx: XdpContext) -> u32 {
    node::decap(&ctx).unwrap_or(xdp_action::XDP_DROP)
}

/// Makes a VIP the source of an IPv4 packet, after one lookup.
#[classifier]
pub fn snat(ctx: TcContext) -> i32 {
    node::snat(&ctx).unwrap_or(TC_ACT_SHOT)
}

#[cfg(not(test))]
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    // Never linked: the verifier refuses a program that can get here.
    loop {}
}

#[unsafe(no_mangle)]
#[unsafe(link_section = "license")]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
