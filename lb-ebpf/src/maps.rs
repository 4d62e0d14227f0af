//! The maps, by the names that `bpftool map dump name` and the agent know.
//! Sizes are those of the smallest use; the agent sets its own when it loads.

use aya_ebpf::{
    bindings::BPF_F_MMAPABLE,
    btf_maps::{Array, HashMap, LruHashMap, PerCpuArray, RingBuf},
    macros::btf_map,
};
use lb_common::{
    Addr, Verdict,
    maps::{
        Backend, BareFlow, Endpoint, EndpointKey, FlowKey, Peer, Reply, ReplyKey, Service, ServiceKey,
        Traffic, Vip,
    },
    ring::RingChunk,
};

#[btf_map]
pub static SERVICES: HashMap<ServiceKey, Service, 1024> = HashMap::new();

#[btf_map]
pub static VIPS: HashMap<Addr, Vip, 1024> = HashMap::new();

#[btf_map]
pub static RINGS: Array<RingChunk, 1024, { BPF_F_MMAPABLE as usize }> = Array::new();

#[btf_map]
pub static BACKENDS: Array<Backend, 1024> = Array::new();

#[btf_map]
pub static FLOWS: LruHashMap<FlowKey, BareFlow, 1024> = LruHashMap::new();

#[btf_map]
pub static NODE_FLOWS: LruHashMap<FlowKey, Endpoint, 1024> = LruHashMap::new();

#[btf_map]
pub static NODE_REPLIES: LruHashMap<ReplyKey, Reply, 1024> = LruHashMap::new();

#[btf_map]
pub static ENDPOINTS: HashMap<EndpointKey, Endpoint, 1024> = HashMap::new();

#[btf_map]
pub static PEERS: HashMap<Addr, Peer, 1024> = HashMap::new();

#[btf_map]
pub static COUNTERS: PerCpuArray<u64, { Verdict::COUNT }> = PerCpuArray::new();

#[btf_map]
pub static SERVICE_STATS: PerCpuArray<Traffic, 1024> = PerCpuArray::new();

#[btf_map]
pub static BACKEND_STATS: PerCpuArray<Traffic, 1024> = PerCpuArray::new();

/// Dropped packets ([`lb_common::maps::Dropped`]), one by one, while somebody
/// listens. Untyped: libbpf refuses a ring that says how large its values are.
#[btf_map]
pub static DROPPED: RingBuf<(), 65536> = RingBuf::new();

/// Are dropped packets to be reported one by one? A constant, as `ROLES` is.
#[unsafe(no_mangle)]
static LOG_DROPS: u32 = 0;

#[inline(always)]
pub fn log_drops() -> bool {
    // SAFETY: as in `role`.
    unsafe { core::ptr::read_volatile(&LOG_DROPS) != 0 }
}

/// The roles of this machine, `lb_common::roles`. A constant by the time the
/// verifier reads the program, so that it removes what is switched off.
#[unsafe(no_mangle)]
static ROLES: u32 = 0;

#[inline(always)]
pub fn role(bit: u32) -> bool {
    // SAFETY: a plain read; volatile, so that the compiler does not take the
    // value from the source file for the one that the loader writes.
    unsafe { core::ptr::read_volatile(&ROLES) & bit != 0 }
}
