//! The services and backends of the world: a port for every fate.

use lb_common::{
    Addr,
    maps::{Backend, Service, ServiceKey, backend_flags, delivery, service_flags},
    ring::{CHUNK_SLOTS, NO_BACKEND},
};

use crate::{
    packet::Macs,
    world::{DIRECTOR, Family, Host, KINDS, Kind, OTHER_NODE, VIP},
};

/// `ingress_ifindex` in `BPF_PROG_TEST_RUN`: the loopback device's.
pub const HERE: u32 = 1;
const ELSEWHERE: u32 = 77;

/// What leaves for a backend has these addresses.
pub const TO_BACKEND: Macs = [2, 0, 0, 0, 1, 0xb1, 2, 0, 0, 0, 0, 0xd1];

/// Slots of every ring: two elements of `RINGS`, the second not full.
pub const RING_LEN: u32 = CHUNK_SLOTS + 5;
const RING_CHUNKS: u32 = RING_LEN.div_ceil(CHUNK_SLOTS);

pub const MTU: usize = 1500;

// Ports, by what becomes of a packet to them on a director ...
pub const L2: u16 = 8001;
pub const IPIP4: u16 = 8002;
pub const IPIP6: u16 = 8003;
pub const L2_ELSEWHERE: u16 = 8004;
pub const IPIP4_ELSEWHERE: u16 = 8005;
pub const IPIP6_ELSEWHERE: u16 = 8006;
pub const UNRESOLVED: u16 = 8007;
pub const CLEARED: u16 = 8008;
pub const EMPTY_SLOT: u16 = 8009;
pub const BEYOND_THE_TABLE: u16 = 8010;
pub const NO_RING: u16 = 8011;
pub const BARE: u16 = 8012;
/// ... and on a node: this one has the endpoint `world::pod(1)`.
pub const LOCAL: u16 = 8013;
/// Three endpoints, `world::pod(1)` to `world::pod(3)`.
pub const LOCAL_THREE: u16 = 8014;
/// No service has this port.
pub const NO_SERVICE: u16 = 8099;

/// Where all endpoints listen.
pub const TARGET_PORT: u16 = 3000;

/// Bare servers of `BARE`: two ids, of which the ring names the first.
pub const BARE_SERVERS: [u32; 2] = [20, 21];

/// A service in both families and protocols.
struct Entry {
    port: u16,
    /// The backend that all slots name; none if there is no ring.
    backend: Option<u16>,
    flags: u32,
    endpoints: u8,
}

const fn director(port: u16, backend: u16) -> Entry {
    Entry { port, backend: Some(backend), flags: 0, endpoints: 0 }
}

const ENTRIES: [Entry; 14] = [
    director(L2, 1),
    director(IPIP4, 2),
    director(IPIP6, 3),
    director(L2_ELSEWHERE, 4),
    director(IPIP4_ELSEWHERE, 5),
    director(IPIP6_ELSEWHERE, 6),
    director(UNRESOLVED, 7),
    director(CLEARED, 8),
    director(EMPTY_SLOT, NO_BACKEND),
    director(BEYOND_THE_TABLE, u16::MAX),
    Entry { port: NO_RING, backend: None, flags: 0, endpoints: 0 },
    Entry { flags: service_flags::BARE, ..director(BARE, BARE_SERVERS[0] as u16) },
    Entry { endpoints: 1, ..director(LOCAL, 9) },
    Entry { endpoints: 3, ..director(LOCAL_THREE, 9) },
];

/// Service ids are below this, and backend ids too.
pub const IDS: u32 = (ENTRIES.len() * KINDS.len()) as u32 + 1;

fn position(port: u16) -> usize {
    ENTRIES.iter().position(|entry| entry.port == port).expect("a port of ENTRIES")
}

/// The id of a service; 0 is none's.
pub fn id(kind: Kind, port: u16) -> u32 {
    let within = KINDS.iter().position(|k| *k == kind).expect("all kinds are in KINDS");
    (position(port) * KINDS.len() + within) as u32 + 1
}

/// The backend that owns all slots of the ring of `port`.
pub fn backend_of(port: u16) -> u32 {
    ENTRIES[position(port)].backend.map_or(0, u32::from)
}

pub fn key(kind: Kind, port: u16) -> ServiceKey {
    ServiceKey { addr: VIP.addr(kind.family), port: port.to_be(), protocol: kind.protocol(), pad: 0 }
}

/// `SERVICES`.
pub fn services() -> Vec<(ServiceKey, Service)> {
    let all = ENTRIES.iter().enumerate().flat_map(|item| KINDS.map(|kind| (item, kind)));
    all.map(|((position, entry), kind)| {
        // The first element of RINGS stays empty, for services without a ring.
        let chunk = if entry.backend.is_some() { 1 + position as u32 * RING_CHUNKS } else { 0 };
        let service = Service {
            id: id(kind, entry.port),
            flags: entry.flags,
            ring_offset: chunk * CHUNK_SLOTS,
            ring_len: if entry.backend.is_some() { RING_LEN } else { 0 },
            endpoints: u32::from(entry.endpoints),
            generation: 1,
        };
        (key(kind, entry.port), service)
    })
    .collect()
}

/// Rings to write: the service's port, and what all slots name.
pub fn rings() -> impl Iterator<Item = (u16, u16)> {
    ENTRIES.iter().filter_map(|entry| Some((entry.port, entry.backend?)))
}

/// `BACKENDS`.
pub fn backends() -> Vec<(u32, Backend)> {
    let entry = |delivery, family, ifindex| backend(delivery, family, OTHER_NODE, ifindex);
    let bare = |id| (id, Backend { flags: backend_flags::RESOLVED | backend_flags::BARE, ..bare_server(id) });
    vec![
        (1, entry(delivery::L2, Family::V4, HERE)),
        (2, entry(delivery::IPIP4, Family::V4, HERE)),
        (3, entry(delivery::IPIP6, Family::V6, HERE)),
        (4, entry(delivery::L2, Family::V4, ELSEWHERE)),
        (5, entry(delivery::IPIP4, Family::V4, ELSEWHERE)),
        (6, entry(delivery::IPIP6, Family::V6, ELSEWHERE)),
        (7, Backend { flags: 0, ..entry(delivery::IPIP4, Family::V4, HERE) }),
        (9, Backend { flags: backend_flags::LOCAL, ..entry(delivery::IPIP4, Family::V4, HERE) }),
        bare(BARE_SERVERS[0]),
        bare(BARE_SERVERS[1]),
    ]
}

/// A bare server on the same link, its id in its MAC address.
fn bare_server(id: u32) -> Backend {
    let mut backend = backend(delivery::L2, Family::V4, OTHER_NODE, HERE);
    backend.macs = to_bare_server(id);
    backend
}

/// What leaves for a bare server has these addresses.
pub fn to_bare_server(id: u32) -> Macs {
    let mut macs = TO_BACKEND;
    macs[5] = id as u8;
    macs
}

fn backend(delivery: u8, family: Family, to: Host, ifindex: u32) -> Backend {
    let (outer_src, outer_dst): (Addr, Addr) = (DIRECTOR.addr(family), to.addr(family));
    Backend {
        macs: TO_BACKEND,
        ifindex,
        outer_src,
        outer_dst,
        delivery,
        flags: backend_flags::RESOLVED,
        mtu: MTU as u16,
        outer_sum: Backend::outer_sum(&outer_src, &outer_dst),
    }
}
