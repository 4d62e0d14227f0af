//! Clients inside: on this very node, in a Pod or by themselves.
//!
//! What such a client sends to an endpoint here comes in again from outside, with a source that
//! is this node's own, which its kernel does not believe; and the reply would not leave by an
//! uplink, where it becomes the VIP's. So the endpoint gets to see the VIP as the client. Its
//! reply to the VIP does leave, and `egress::turn` has it taken in again as one to the client.

use aya_ebpf::{
    EbpfContext,
    bindings::{
        BPF_FIB_LKUP_RET_FRAG_NEEDED, BPF_FIB_LKUP_RET_NO_NEIGH, BPF_FIB_LKUP_RET_NOT_FWDED,
        BPF_FIB_LKUP_RET_SUCCESS, bpf_fib_lookup as RouteQuery, xdp_md,
    },
    helpers::bpf_fib_lookup,
    programs::XdpContext,
};
use lb_common::{Addr, roles};
use lb_ebpf::{cursor::Cursor, parse::Packet, rewrite::source};

use crate::{
    dry_run, maps,
    scratch::{self, FlowScratch},
};

/// Families of addresses (`include/linux/socket.h`).
const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;

/// Is the client of `scratch.flow`, which begins with `scratch.endpoint`, on this node?
#[inline(always)]
pub fn is_client(ctx: &XdpContext) -> bool {
    trigon_is_client_inside(ctx.as_ptr().cast()) != 0
}

/// Without forwarding, which nodes of Kubernetes have, the kernel tells no route: then it takes
/// an address that directors send to.
///
/// A global function: see [`super::owners`].
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn trigon_is_client_inside(ctx: *mut xdp_md) -> u32 {
    let Some(scratch) = scratch::flow() else { return 0 };
    let is_self = maps::peer(&scratch.flow.client, roles::SELF).is_some();
    (is_self || stays(&XdpContext::new(ctx), scratch)) as u32
}

/// Would a reply of the endpoint's to the client stay on this machine, rather than leave through
/// `trigon_egress`? If the kernel knows no way to the client, it does not matter.
#[inline(always)]
fn stays(ctx: &XdpContext, scratch: &mut FlowScratch) -> bool {
    let FlowScratch { flow, endpoint, route, .. } = scratch;
    ask(route, &endpoint.addr, &flow.client, dry_run::ingress(ctx));
    // SAFETY: the helper reads and writes so many bytes there, which are ours.
    let answer =
        unsafe { bpf_fib_lookup(ctx.as_ptr(), &raw mut *route, size_of::<RouteQuery>() as i32, 0) as u32 };
    match answer {
        // To the machine itself; or there is no route at all.
        BPF_FIB_LKUP_RET_NOT_FWDED => true,
        BPF_FIB_LKUP_RET_SUCCESS | BPF_FIB_LKUP_RET_NO_NEIGH | BPF_FIB_LKUP_RET_FRAG_NEEDED => {
            !maps::is_uplink(route.ifindex)
        }
        _ => false,
    }
}

/// All that the kernel reads of it; an answer is in the same memory.
#[inline(always)]
fn ask(route: &mut RouteQuery, from: &Addr, to: &Addr, ingress: u32) {
    route.l4_protocol = 0;
    route.sport = 0;
    route.dport = 0;
    route.__bindgen_anon_1.tot_len = 0;
    route.ifindex = ingress;
    route.__bindgen_anon_2.flowinfo = 0;
    if to.is_v4() {
        route.family = AF_INET;
        route.__bindgen_anon_3.ipv4_src = from.words()[3];
        route.__bindgen_anon_4.ipv4_dst = to.words()[3];
    } else {
        route.family = AF_INET6;
        route.__bindgen_anon_3.ipv6_src = from.words();
        route.__bindgen_anon_4.ipv6_dst = to.words();
    }
}

/// The VIP as the source of a packet to it, whose destination is the endpoint's already; false
/// if it is too short.
///
/// Not inlined, for the sake of the stack.
#[inline(never)]
pub fn hide_client(cursor: &Cursor, packet: &Packet) -> bool {
    source::rewrite(cursor, packet, &packet.dst.addr)
}
