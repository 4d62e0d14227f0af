//! What would be too much for the stack, which is 512 bytes for a program and
//! all that it calls: one of each for each CPU, on which XDP does not nest.

use aya_ebpf::{bindings::bpf_fib_lookup, btf_maps::PerCpuArray, macros::btf_map};
use lb_common::{
    gue,
    maps::{Affinity, Endpoint, FlowKey, NodeFlow, Reply, ReplyKey},
};
use lb_ebpf::parse::Room;

use crate::maps::own;

/// The packet that came within another one.
#[btf_map]
static TUNNEL_SCRATCH: PerCpuArray<Room, 1> = PerCpuArray::new();

/// Of the frame that is being looked at, while they are off.
#[btf_map]
static TAGS_SCRATCH: PerCpuArray<Tags, 1> = PerCpuArray::new();

#[btf_map]
static FLOW_SCRATCH: PerCpuArray<FlowScratch, 1> = PerCpuArray::new();

/// VLAN tags, two at most: outermost first, 0 where there is none. As they
/// stand in a frame.
pub type Tags = [u32; 2];

/// Of a packet at a node: where it comes from and has to go, and the keys and
/// values of the flow tables.
#[repr(C)]
pub struct FlowScratch {
    pub arrival: Arrival,
    pub flow: FlowKey,
    pub node_flow: NodeFlow,
    /// That a flow begins with.
    pub endpoint: Endpoint,
    pub reply_key: ReplyKey,
    pub reply: Reply,
    /// Another flow, which has the reply key.
    pub other: FlowKey,
    /// All flows of the client to the service: without a port.
    pub client: FlowKey,
    pub affinity: Affinity,
    /// The question for the way from the endpoint to the client, and the kernel's answer.
    pub route: bpf_fib_lookup,
}

/// How a packet came here, and where it has to go if not to an endpoint here.
pub struct Arrival {
    pub hash: u64,
    /// How many nodes it has been to; or `gue::OVER`, `DIRECT` or `FOUND`.
    pub hops: u32,
    /// These: the first `hops` are set, the rest are zero.
    pub tags: [u16; gue::TAGS],
    /// The backend that is the node it came from, if it came from a node.
    pub from: u32,
    /// The backend to hand on to, where the verdict is to hand on.
    pub next: u32,
    /// This machine is a director too, and keeps the packet by the ring by which it sends.
    pub is_by_own_ring: bool,
}

impl Arrival {
    /// Straight from a director.
    #[inline(always)]
    pub fn begin(&mut self, hash: u64) {
        self.hash = hash;
        self.hops = 0;
        self.tags = [0, 0, 0, 0, 0, 0, 0];
        self.is_by_own_ring = false;
    }
}

/// Of the packet that this CPU is with.
///
/// Global functions, which can be given nothing but numbers, take it anew while
/// their callers have it. Those read what has been changed from the map itself:
/// its memory came from a helper, so that to the compiler any call may write it.
#[inline(always)]
pub fn flow() -> Option<&'static mut FlowScratch> {
    own(&FLOW_SCRATCH, 0)
}

#[inline(always)]
pub fn tunnel() -> Option<&'static mut Room> {
    own(&TUNNEL_SCRATCH, 0)
}

#[inline(always)]
pub fn tags() -> Option<&'static mut Tags> {
    own(&TAGS_SCRATCH, 0)
}
