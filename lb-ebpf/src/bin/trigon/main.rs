//! Trigon's programs. Entry points only: a verdict is reached elsewhere,
//! counted here, and turned into what the kernel wants to hear.
#![no_std]
#![no_main]

mod clock;
mod constants;
mod director;
mod drops;
mod dry_run;
mod egress;
mod egress_check;
mod forward;
mod fragments;
mod gather;
mod icmp;
mod limit;
mod maps;
mod node;
mod ranges;
mod receive;
mod scratch;
mod stats;
mod vip;
mod vlan;

use aya_ebpf::{
    bindings::{TC_ACT_SHOT, TC_ACT_UNSPEC},
    macros::{classifier, xdp},
    programs::{TcContext, XdpContext},
};
use lb_common::Verdict;

/// Ingress of the uplink: director and node role.
#[xdp]
pub fn trigon_xdp(ctx: XdpContext) -> u32 {
    let verdict = receive::packet(&ctx);
    stats::count(verdict);
    drops::tell(&ctx, verdict);
    verdict.xdp_action()
}

/// Egress of the uplink: replies get the VIP back as their source, and checks
/// of bare servers find their way.
#[classifier]
pub fn trigon_egress(ctx: TcContext) -> i32 {
    let verdict = egress_check::packet(&ctx).unwrap_or_else(|| egress::packet(&ctx));
    stats::count(verdict);
    match verdict {
        Verdict::EgressReturn => egress::back(&ctx),
        Verdict::EgressDropRewrite | Verdict::EgressDropCheck => TC_ACT_SHOT,
        // Not OK: that would keep the packet from programs that come after this one.
        _ => TC_ACT_UNSPEC,
    }
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
