//! What `cargo xtask bench` runs beside Trigon: the wrapper that restores the
//! packet before every repetition, and the programs to compare with.
//!
//! An object of its own, so that nothing of it is ever loaded on a director.
#![no_std]
#![no_main]
// One atomic operation; this target has no `fetch_add`.
#![feature(asm_experimental_arch)]

mod baseline;
#[path = "../cursor.rs"]
#[expect(dead_code, reason = "shared with the programs under test; not all of it is needed here")]
mod cursor;
mod restore;

use aya_ebpf::{bindings::xdp_action, macros::xdp, programs::XdpContext};

use cursor::Cursor;

/// Restore the packet, then run the program under test on it.
#[xdp]
pub fn repeat(ctx: XdpContext) -> u32 {
    match restore::packet(&ctx) {
        Some(()) => restore::run(&ctx),
        None => xdp_action::XDP_ABORTED,
    }
}

/// Nothing at all: with it, the wrapper measures itself.
#[xdp]
pub fn empty(_ctx: XdpContext) -> u32 {
    xdp_action::XDP_TX
}

/// Moves the head as an encapsulation does, and no more.
#[xdp]
pub fn move_head(ctx: XdpContext) -> u32 {
    baseline::move_head(&ctx)
}

/// Parses as far as the ports and swaps the MAC addresses.
#[xdp]
pub fn macswap(ctx: XdpContext) -> u32 {
    baseline::macswap(&Cursor::new(ctx.data(), ctx.data_end())).unwrap_or(xdp_action::XDP_PASS)
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

#[cfg(not(test))]
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    // Never linked: the verifier refuses a program that can get here.
    loop {}
}

#[unsafe(no_mangle)]
#[unsafe(link_section = "license")]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
