//! The maps, by the names that `bpftool map dump name` and the agent know.
//! Sizes are those of the smallest use; the agent sets its own when it loads.

use aya_ebpf::{
    bindings::BPF_F_MMAPABLE,
    btf_maps::{Array, HashMap, LpmTrie, LruHashMap, PerCpuArray, RingBuf},
    macros::btf_map,
};
use lb_common::{
    Addr, Verdict,
    maps::{
        Affinity, Backend, Endpoint, EndpointKey, FlowKey, FragmentKey, Holder, NodeFlow, Peer, Ports,
        RangeKey, Reply, ReplyKey, Service, ServiceKey, Spent, Story, Traffic, Vip,
    },
    ring::{Owners, RingChunk},
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
pub static FLOWS: LruHashMap<FlowKey, Holder, 1024> = LruHashMap::new();

#[btf_map]
pub static NODE_FLOWS: LruHashMap<FlowKey, NodeFlow, 1024> = LruHashMap::new();

#[btf_map]
pub static NODE_REPLIES: LruHashMap<ReplyKey, Reply, 1024> = LruHashMap::new();

#[btf_map]
pub static ENDPOINTS: HashMap<EndpointKey, Endpoint, 1024> = HashMap::new();

#[btf_map]
pub static AFFINITIES: LruHashMap<FlowKey, Affinity, 1024> = LruHashMap::new();

/// By service: a second of `CLOCK_MONOTONIC` in the upper half, in the lower one
/// how many flows have begun in it.
#[btf_map]
pub static NEW_FLOWS: Array<u64, 1024> = Array::new();

#[btf_map]
pub static RANGES: LpmTrie<RangeKey, u32, 1024> = LpmTrie::new();

#[btf_map]
pub static PEERS: HashMap<Addr, Peer, 1024> = HashMap::new();

#[btf_map]
pub static COUNTERS: PerCpuArray<u64, { Verdict::COUNT }> = PerCpuArray::new();

#[btf_map]
pub static SERVICE_STATS: PerCpuArray<Traffic, 1024> = PerCpuArray::new();

#[btf_map]
pub static BACKEND_STATS: PerCpuArray<Traffic, 1024> = PerCpuArray::new();

#[btf_map]
pub static FRAGMENTS: LruHashMap<FragmentKey, Ports, 1024> = LruHashMap::new();

#[btf_map]
pub static HISTORY: Array<Owners, 1024, { BPF_F_MMAPABLE as usize }> = Array::new();

#[btf_map]
pub static STRAYS: PerCpuArray<Spent, 1> = PerCpuArray::new();

/// Of clients that were told that their packets are too big.
#[btf_map]
pub static TOLD: PerCpuArray<Spent, 1> = PerCpuArray::new();

/// What a dry run tells: see `dry_run`.
#[btf_map]
pub static STORY: Array<Story, 1> = Array::new();

/// Packets of unknown flows that each CPU hands on in a second. A constant, as
/// `ROLES` is.
#[unsafe(no_mangle)]
static STRAY_LIMIT: u32 = 50_000;

#[inline(always)]
pub fn stray_limit() -> u32 {
    // SAFETY: as in `role`.
    unsafe { core::ptr::read_volatile(&STRAY_LIMIT) }
}

/// For how many seconds after a change of owners datagrams of unknown flows
/// are offered to former owners. A constant, as `ROLES` is.
#[unsafe(no_mangle)]
static UDP_WINDOW: u32 = 120;

#[inline(always)]
pub fn udp_window() -> u32 {
    // SAFETY: as in `role`.
    unsafe { core::ptr::read_volatile(&UDP_WINDOW) }
}

/// The bits of an outer source address towards a bare server that are taken
/// from the flow hash, in memory order: of IPv4, and of the last word of IPv6.
/// Constants, as `ROLES` is.
#[unsafe(no_mangle)]
static SOURCE_MASK_V4: u32 = 0;

#[unsafe(no_mangle)]
static SOURCE_MASK_V6: u32 = 0;

#[inline(always)]
pub fn source_mask(is_v4: bool) -> u32 {
    let mask = if is_v4 { &SOURCE_MASK_V4 } else { &SOURCE_MASK_V6 };
    // SAFETY: as in `role`.
    unsafe { core::ptr::read_volatile(mask) }
}

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
