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
        Affinity, Backend, DROPPED_LEN, EndpointKey, EndpointSlot, FlowKey, FragmentKey, Holder, NodeFlow,
        Peer, Ports, RangeKey, Reply, ReplyKey, SEARCHES_LEN, Service, ServiceKey, Spent, Story, Traffic,
        Vip, backend_flags, uplinks,
    },
    ring::{Owners, RingChunk},
};

use crate::constants::has_former_replies;

#[btf_map]
static SERVICES: HashMap<ServiceKey, Service, 1024> = HashMap::new();

#[btf_map]
static VIPS: HashMap<Addr, Vip, 1024> = HashMap::new();

#[btf_map]
static RINGS: Array<RingChunk, 1024, { BPF_F_MMAPABLE as usize }> = Array::new();

#[btf_map]
static BACKENDS: Array<Backend, 1024> = Array::new();

#[btf_map]
pub static BARE_FLOWS: LruHashMap<FlowKey, Holder, 1024> = LruHashMap::new();

#[btf_map]
pub static NODE_FLOWS: LruHashMap<FlowKey, NodeFlow, 1024> = LruHashMap::new();

#[btf_map]
pub static NODE_REPLIES: LruHashMap<ReplyKey, Reply, 1024> = LruHashMap::new();

/// `NODE_REPLIES` as it was before it grew; one entry otherwise.
#[btf_map]
static FORMER_REPLIES: LruHashMap<ReplyKey, Reply, 1> = LruHashMap::new();

#[btf_map]
static ENDPOINTS: HashMap<EndpointKey, u32, 1024> = HashMap::new();

#[btf_map]
static ENDPOINT_SLOTS: Array<EndpointSlot, 1024> = Array::new();

#[btf_map]
pub static AFFINITIES: LruHashMap<FlowKey, Affinity, 1024> = LruHashMap::new();

/// By service: a second of `CLOCK_MONOTONIC` in the upper half, in the lower one
/// how many flows have begun in it.
#[btf_map]
pub static NEW_FLOWS: Array<u64, 1024> = Array::new();

#[btf_map]
pub static RANGES: LpmTrie<RangeKey, u32, 1024> = LpmTrie::new();

#[btf_map]
static PEERS: HashMap<Addr, Peer, 1024> = HashMap::new();

#[btf_map]
static UPLINKS: HashMap<u32, u32, 256> = HashMap::new();

#[btf_map]
pub static VERDICTS: PerCpuArray<u64, { Verdict::LIMIT as usize }> = PerCpuArray::new();

#[btf_map]
pub static SERVICE_STATS: PerCpuArray<Traffic, 1024> = PerCpuArray::new();

#[btf_map]
pub static BACKEND_STATS: PerCpuArray<Traffic, 1024> = PerCpuArray::new();

#[btf_map]
pub static FRAGMENTS: LruHashMap<FragmentKey, Ports, 1024> = LruHashMap::new();

#[btf_map]
static HISTORY: Array<Owners, 1024, { BPF_F_MMAPABLE as usize }> = Array::new();

#[btf_map]
pub static SEARCHES: PerCpuArray<u64, { SEARCHES_LEN as usize }> = PerCpuArray::new();

#[btf_map]
pub static STRAYS: PerCpuArray<Spent, 1> = PerCpuArray::new();

#[btf_map]
pub static TOLD: PerCpuArray<Spent, 1> = PerCpuArray::new();

#[btf_map]
pub static STORY: Array<Story, 1> = Array::new();

/// Dropped packets ([`lb_common::maps::Dropped`]), one by one, while somebody
/// listens. Untyped: libbpf refuses a ring that says how large its values are.
#[btf_map]
pub static DROPPED: RingBuf<(), { DROPPED_LEN as usize }> = RingBuf::new();

/// An element of a hash table, as a look-up found it.
///
/// An element that is replaced, removed or evicted may be filled anew for another
/// key at once, under a reader that has found it before: what he reads from then
/// on is the other entry. A program has an element for less than a microsecond,
/// and whoever uses it bears that: one packet, or the flow that begins with it,
/// goes where another one should, as it may in the moment of any change.
///
/// Not by `get_ptr`: an `Option` of a bare pointer costs each look-up some instructions.
#[inline(always)]
fn find<K, V, const N: usize, const F: usize>(
    table: &'static HashMap<K, V, N, F>,
    key: &K,
) -> Option<&'static V> {
    // SAFETY: these tables are preallocated, so that an element is memory of its
    // type, initialized and aligned, for as long as a program runs. That it can
    // change under the reference is told above; all bit patterns are valid.
    unsafe { table.get(key) }
}

/// The same of a table that evicts.
#[inline(always)]
fn find_lru<K, V, const N: usize, const F: usize>(
    table: &'static LruHashMap<K, V, N, F>,
    key: &K,
) -> Option<&'static V> {
    // SAFETY: as in `find`.
    unsafe { table.get(key) }
}

/// This CPU's own element of a map that has one for each. Both programs run with
/// softirqs off, so that none interrupts another on its CPU. One program takes an
/// element twice only as `scratch::flow` tells.
#[inline(always)]
pub fn own<V, const N: usize>(map: &PerCpuArray<V, N>, index: u32) -> Option<&'static mut V> {
    // SAFETY: memory of the map, which outlives the program; nobody else writes
    // it meanwhile, as said above. The agent only reads counters, word by word.
    map.get_ptr_mut(index).map(|element| unsafe { &mut *element })
}

#[inline(always)]
pub fn service(key: &ServiceKey) -> Option<&'static Service> {
    find(&SERVICES, key)
}

#[inline(always)]
pub fn vip(addr: &Addr) -> Option<Vip> {
    find(&VIPS, addr).copied()
}

#[inline(always)]
pub fn is_vip(addr: &Addr) -> bool {
    find(&VIPS, addr).is_some()
}

/// One that has one of these roles.
#[inline(always)]
pub fn peer(addr: &Addr, roles: u32) -> Option<&'static Peer> {
    find(&PEERS, addr).filter(|peer| peer.roles & roles != 0)
}

/// Does what leaves by this interface pass `trigon_egress`? Until the agent has told which ones
/// there are, all count as such.
#[inline(always)]
pub fn is_uplink(ifindex: u32) -> bool {
    // On the stack: LLVM makes one of a constant 0 and a global of `constants` that is 0 in the object,
    // which the agent may write before the load.
    let complete = uplinks::COMPLETE;
    find(&UPLINKS, &ifindex).is_some() || find(&UPLINKS, &complete).is_none()
}

#[inline(always)]
pub fn ring_chunk(index: u32) -> Option<&'static RingChunk> {
    RINGS.get(index)
}

#[inline(always)]
pub fn owners(index: u32) -> Option<&'static Owners> {
    HISTORY.get(index)
}

/// Arrays are written in place: in the moment of a change, a packet may leave for
/// half of an old next hop, and is lost.
#[inline(always)]
pub fn backend(id: u32) -> Option<&'static Backend> {
    BACKENDS.get(id)
}

/// Is the backend this machine?
#[inline(always)]
pub fn is_this_machine(id: u32) -> bool {
    backend(id).is_some_and(|backend| backend.flags & backend_flags::LOCAL != 0)
}

/// The slot of one of a service's endpoints that take new flows.
#[inline(always)]
pub fn endpoint(service: u32, index: u32) -> Option<u32> {
    find(&ENDPOINTS, &EndpointKey { service, index }).copied()
}

/// The epoch of the endpoint that has a slot.
#[inline(always)]
pub fn epoch(slot: u32) -> Option<u16> {
    ENDPOINT_SLOTS.get(slot).filter(|slot| slot.is_held()).map(|slot| slot.epoch)
}

/// The slot, if an endpoint of that service and epoch still has it. Slots are written in place: in the
/// moment in which it goes, one packet may find half of it, and is lost.
#[inline(always)]
pub fn held_slot(slot: u32, epoch: u16, service: u32) -> Option<&'static EndpointSlot> {
    ENDPOINT_SLOTS.get(slot).filter(|held| held.epoch == epoch && held.service == service)
}

#[inline(always)]
pub fn holder(flow: &FlowKey) -> Option<Holder> {
    find_lru(&BARE_FLOWS, flow).copied()
}

#[inline(always)]
pub fn node_flow(flow: &FlowKey) -> Option<&'static NodeFlow> {
    find_lru(&NODE_FLOWS, flow)
}

#[inline(always)]
pub fn reply(key: &ReplyKey) -> Option<&'static Reply> {
    find_lru(&NODE_REPLIES, key)
}

/// The same at egress, which meets replies of flows that began while the table grew.
#[inline(always)]
pub fn leaving_reply(key: &ReplyKey) -> Option<&'static Reply> {
    let reply = reply(key);
    if reply.is_none() && has_former_replies() { find_lru(&FORMER_REPLIES, key) } else { reply }
}

/// The flow that has a reply key, if it still goes to that endpoint, from that port. `flow` is what the
/// entry says: [`Reply::flow`].
#[inline(always)]
pub fn flow_of_reply(key: &ReplyKey, flow: &FlowKey) -> Option<&'static NodeFlow> {
    let found = node_flow(flow)?;
    let endpoint = &held_slot(found.slot(), found.epoch, flow.service)?.endpoint;
    let is_there = found.client_port == key.client_port
        && endpoint.port == key.endpoint_port
        && endpoint.addr.words() == key.endpoint.words();
    is_there.then_some(found)
}

#[inline(always)]
pub fn affinity(client: &FlowKey) -> Option<&'static Affinity> {
    find_lru(&AFFINITIES, client)
}

#[inline(always)]
pub fn ports(packet: &FragmentKey) -> Option<&'static Ports> {
    find_lru(&FRAGMENTS, packet)
}
