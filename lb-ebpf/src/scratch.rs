//! What would be too much for the stack, which is 512 bytes for a program and
//! all that it calls: one of each for each CPU, on which XDP does not nest.

use aya_ebpf::{btf_maps::PerCpuArray, macros::btf_map};
use lb_common::{
    gue,
    maps::{Affinity, FlowKey, NodeFlow, Reply, ReplyKey},
};

use crate::parse::Room;

/// The packet that came within another one.
#[btf_map]
pub static TUNNEL_SCRATCH: PerCpuArray<Room, 1> = PerCpuArray::new();

/// Of the frame that is being looked at, while they are off.
#[btf_map]
pub static TAGS_SCRATCH: PerCpuArray<Tags, 1> = PerCpuArray::new();

#[btf_map]
pub static FLOW_SCRATCH: PerCpuArray<FlowScratch, 1> = PerCpuArray::new();

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
    pub reply_key: ReplyKey,
    pub reply: Reply,
    /// Another flow, which has the reply key.
    pub other: FlowKey,
    /// All flows of the client to the service: without a port.
    pub client: FlowKey,
    pub affinity: Affinity,
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
}

impl Arrival {
    /// Straight from a director.
    #[inline(always)]
    pub fn begin(&mut self, hash: u64) {
        self.hash = hash;
        self.hops = 0;
        self.tags = [0, 0, 0, 0, 0, 0, 0];
    }
}

/// This CPU's own, for as long as it is with a packet. Whoever calls a function
/// that takes it anew has to take it anew afterwards.
#[inline(always)]
pub fn flow() -> Option<&'static mut FlowScratch> {
    // SAFETY: XDP does not nest, and no two of these are alive at a time.
    FLOW_SCRATCH.get_ptr_mut(0).map(|scratch| unsafe { &mut *scratch })
}
