//! All maps that are pinned, and what this release needs each of them to be.

#[cfg(test)]
mod tests;

use std::fmt;

use aya::maps::{MapInfo, MapType, lpm_trie::Key};
use lb_common::{
    Addr, Verdict,
    maps::{
        Affinity, Backend, DROPPED_LEN, EndpointKey, EndpointSlot, FlowKey, FragmentKey, Holder, NodeFlow,
        Peer, Ports, RangeKey, Reply, ReplyKey, SEARCHES_LEN, Service, ServiceKey, Spent, Traffic, Vip,
        names,
    },
    ring::{CHUNK_SLOTS, Owners, RingChunk},
    roles,
};

use super::load::DatapathConfig;

/// What a map is to be when it is made.
pub struct MapSpec {
    pub name: &'static str,
    pub shape: Shape,
    /// Of a ring, bytes.
    pub entries: u32,
}

/// What programs and agent take for granted of a map; sizes are in bytes.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Shape {
    kind: MapType,
    key: u32,
    value: u32,
}

impl Shape {
    const fn of<K, V>(kind: MapType) -> Self {
        Self { kind, key: size_of::<K>() as u32, value: size_of::<V>() as u32 }
    }

    /// The same with values of so many bytes.
    pub const fn with_values(self, value: u32) -> Self {
        Self { value, ..self }
    }

    /// Of a map that is there.
    pub fn read(info: &MapInfo) -> Self {
        // One that aya has no name for is none that we make.
        let kind = info.map_type().unwrap_or(MapType::Unspecified);
        Self { kind, key: info.key_size(), value: info.value_size() }
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, key, value } = self;
        write!(f, "{kind:?} with keys of {key} and values of {value} bytes")
    }
}

/// The entries of `UPLINKS`: all VLANs of a link that has as many as there can be.
const UPLINKS: u32 = 4096;

/// A map that no role of the agent has a use for has one entry. One per-CPU map of statistics goes
/// with services and backends.
pub fn map_specs(options: &DatapathConfig) -> [MapSpec; 23] {
    let size_for_role = |role, size| if options.roles & role != 0 { size } else { 1 };
    let capacity = options.capacity;
    let ring_chunks = size_for_role(roles::DIRECTOR, capacity.ring_slots.div_ceil(CHUNK_SLOTS));
    let node_flows = size_for_role(roles::NODE, options.node_flows);
    [
        hash::<ServiceKey, Service>(names::SERVICES, capacity.services),
        hash::<Addr, Vip>(names::VIPS, capacity.vips),
        array::<RingChunk>(names::RINGS, ring_chunks),
        array::<Owners>(names::HISTORY, size_for_role(roles::NODE, capacity.history_slots)),
        array::<Backend>(names::BACKENDS, capacity.backends),
        hash::<EndpointKey, u32>(names::ENDPOINTS, size_for_role(roles::NODE, capacity.endpoints)),
        array::<EndpointSlot>(names::ENDPOINT_SLOTS, size_for_role(roles::NODE, capacity.endpoint_slots())),
        spec::<Key<RangeKey>, u32>(MapType::LpmTrie, names::RANGES, capacity.ranges),
        hash::<Addr, Peer>(names::PEERS, capacity.peers),
        hash::<u32, u32>(names::UPLINKS, UPLINKS),
        lru::<FlowKey, Holder>(names::BARE_FLOWS, options.bare_flows),
        lru::<FlowKey, NodeFlow>(names::NODE_FLOWS, node_flows),
        lru::<ReplyKey, Reply>(names::NODE_REPLIES, node_flows),
        lru::<FlowKey, Affinity>(names::AFFINITIES, size_for_role(roles::NODE, options.affinities)),
        lru::<FragmentKey, Ports>(names::FRAGMENTS, options.fragments),
        array::<u64>(names::NEW_FLOWS, capacity.services),
        per_cpu::<u64>(names::VERDICTS, Verdict::LIMIT),
        per_cpu::<Traffic>(names::SERVICE_STATS, capacity.services),
        per_cpu::<Traffic>(names::BACKEND_STATS, capacity.backends),
        per_cpu::<u64>(names::SEARCHES, SEARCHES_LEN),
        per_cpu::<Spent>(names::STRAYS, 1),
        per_cpu::<Spent>(names::TOLD, 1),
        spec::<(), ()>(MapType::RingBuf, names::DROPPED, DROPPED_LEN),
    ]
}

const fn spec<K, V>(kind: MapType, name: &'static str, entries: u32) -> MapSpec {
    MapSpec { name, shape: Shape::of::<K, V>(kind), entries }
}

const fn hash<K, V>(name: &'static str, entries: u32) -> MapSpec {
    spec::<K, V>(MapType::Hash, name, entries)
}

const fn lru<K, V>(name: &'static str, entries: u32) -> MapSpec {
    spec::<K, V>(MapType::LruHash, name, entries)
}

const fn array<V>(name: &'static str, entries: u32) -> MapSpec {
    spec::<u32, V>(MapType::Array, name, entries)
}

const fn per_cpu<V>(name: &'static str, entries: u32) -> MapSpec {
    spec::<u32, V>(MapType::PerCpuArray, name, entries)
}
