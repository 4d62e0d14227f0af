//! The services and backends of the world: a port for every fate.

use lb_common::{
    Addr,
    maps::{Backend, Service, ServiceKey, backend_flags, delivery, service_flags},
    ring::{CHUNK_SLOTS, NO_BACKEND},
};

use crate::{
    packet::Macs,
    world::{DIRECTOR, FAMILIES, FELLOWS, Family, Host, KINDS, Kind, NODE, OTHER_NODE, VIP, fellow},
};

/// `ingress_ifindex` in `BPF_PROG_TEST_RUN`: the loopback device's.
pub const LOOPBACK_IFINDEX: u32 = 1;
const OTHER_IFINDEX: u32 = 77;

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
// ... and by the outer family, of which these are for IPv4; [`over`] names that for IPv6.
/// For a director.
pub const GUE: u16 = 8015;
pub const GUE_ELSEWHERE: u16 = 8017;
/// Owned by this node, then by fellows 1, 2 and 3. It has one endpoint, as all
/// the following but `LEFT` have.
pub const OWNED: u16 = 8019;
/// Owned by fellow 1, and by this node before fellow 2 had it, and then 3.
pub const FORMERLY: u16 = 8021;
/// Owned by fellow 1, and then by this node, which has no endpoint any more.
pub const LEFT: u16 = 8023;
/// Owned by this node only.
pub const ALWAYS: u16 = 8025;
/// Owned by this node, then by `DISTANT`.
pub const FROM_AFAR: u16 = 8027;
/// Owned by this node, then by `SILENT`.
pub const FROM_SILENCE: u16 = 8029;
/// Owned by this node, then by `DEAD`.
pub const FROM_DEAD: u16 = 8043;
/// The same endpoint as `LOCAL`, `world::pod(1)`, by another port.
pub const LOCAL_TOO: u16 = 8031;
/// As `L2`, and as `LOCAL` on a node; it admits only the source ranges that `machine::fill` writes.
pub const RANGED: u16 = 8033;
/// As `LOCAL_THREE`, but clients stay with their endpoints, for `AFFINITY` seconds.
pub const STICKY: u16 = 8035;
/// Clients stay with its endpoint; owned by this node, before that by fellow 1.
/// See [`over`].
pub const STICKY_OWNED: u16 = 8037;
/// As `LOCAL` and as `BARE`, but `NEW_FLOWS` flows may begin in a second.
pub const LIMITED: u16 = 8039;
pub const BARE_LIMITED: u16 = 8041;
/// kube-proxy carries it.
pub const KUBE_PROXY: u16 = 8045;
/// No service has this port.
pub const NO_SERVICE: u16 = 8099;

/// A fellow that is reached by another interface.
pub const DISTANT: u8 = 8;
/// A fellow whose next hop is not known.
pub const SILENT: u8 = 9;
/// A fellow that does not answer probes.
pub const DEAD: u8 = 7;

/// The port for another outer family than IPv4.
pub fn port_over(outer: Family, port: u16) -> u16 {
    port + u16::from(outer == Family::V6)
}

/// Where all endpoints listen.
pub const TARGET_PORT: u16 = 3000;

/// Bare servers of `BARE`: two ids, of which the ring names the first.
pub const BARE_SERVERS: [u32; 2] = [20, 21];

/// Bare servers that no ring names: by an outer header of each family, by
/// another interface, and without a next hop.
pub const BARE_IPIP4: u16 = 22;
pub const BARE_IPIP6: u16 = 23;
pub const BARE_ELSEWHERE: u16 = 24;
pub const BARE_UNRESOLVED: u16 = 25;

/// Seconds for which clients stay with their endpoints where they do.
pub const AFFINITY: u32 = 100;
/// So many flows may begin in a second where there is a limit.
pub const NEW_FLOWS: u32 = 2;

/// A service in both families and protocols.
struct Entry {
    port: u16,
    /// The backend that all slots name; none if there is no ring.
    backend: Option<u16>,
    flags: u32,
    endpoints: u8,
    /// Who owned all slots, and before that, newest first; empty without history.
    owners: &'static [u16],
    new_flows: u32,
}

const fn director_entry(port: u16, backend: u16) -> Entry {
    Entry { port, backend: Some(backend), flags: 0, endpoints: 0, owners: &[], new_flows: 0 }
}

const fn node_entry(port: u16, owners: &'static [u16]) -> Entry {
    Entry { endpoints: 1, owners, ..director_entry(port, owners[0]) }
}

/// The backend that stands for this node.
pub const OWN_BACKEND: u16 = 9;

/// The backend by which packets are handed on to a fellow.
pub const fn fellow_id(outer: Family, number: u8) -> u16 {
    let first = match outer {
        Family::V4 => 30,
        Family::V6 => 40,
    };
    first + number as u16
}

const fn v4(fellow: u8) -> u16 {
    fellow_id(Family::V4, fellow)
}

const fn v6(fellow: u8) -> u16 {
    fellow_id(Family::V6, fellow)
}

const ENTRIES: [Entry; 40] = [
    director_entry(L2, 1),
    director_entry(IPIP4, 2),
    director_entry(IPIP6, 3),
    director_entry(L2_ELSEWHERE, 4),
    director_entry(IPIP4_ELSEWHERE, 5),
    director_entry(IPIP6_ELSEWHERE, 6),
    director_entry(UNRESOLVED, 7),
    director_entry(CLEARED, 8),
    director_entry(EMPTY_SLOT, NO_BACKEND),
    director_entry(BEYOND_THE_TABLE, u16::MAX),
    Entry { backend: None, ..director_entry(NO_RING, NO_BACKEND) },
    Entry { flags: service_flags::BARE, ..director_entry(BARE, BARE_SERVERS[0] as u16) },
    Entry { endpoints: 1, ..director_entry(LOCAL, OWN_BACKEND) },
    Entry { endpoints: 3, ..director_entry(LOCAL_THREE, OWN_BACKEND) },
    director_entry(GUE, 10),
    director_entry(GUE + 1, 11),
    director_entry(GUE_ELSEWHERE, 12),
    director_entry(GUE_ELSEWHERE + 1, 13),
    node_entry(OWNED, &[OWN_BACKEND, v4(1), v4(2), v4(3)]),
    node_entry(OWNED + 1, &[OWN_BACKEND, v6(1), v6(2), v6(3)]),
    node_entry(FORMERLY, &[v4(1), v4(2), OWN_BACKEND, v4(3)]),
    node_entry(FORMERLY + 1, &[v6(1), v6(2), OWN_BACKEND, v6(3)]),
    Entry { endpoints: 0, ..node_entry(LEFT, &[v4(1), OWN_BACKEND]) },
    Entry { endpoints: 0, ..node_entry(LEFT + 1, &[v6(1), OWN_BACKEND]) },
    node_entry(ALWAYS, &[OWN_BACKEND]),
    node_entry(ALWAYS + 1, &[OWN_BACKEND]),
    node_entry(FROM_AFAR, &[OWN_BACKEND, v4(DISTANT)]),
    node_entry(FROM_AFAR + 1, &[OWN_BACKEND, v6(DISTANT)]),
    node_entry(FROM_SILENCE, &[OWN_BACKEND, v4(SILENT)]),
    node_entry(FROM_SILENCE + 1, &[OWN_BACKEND, v6(SILENT)]),
    node_entry(FROM_DEAD, &[OWN_BACKEND, v4(DEAD)]),
    node_entry(FROM_DEAD + 1, &[OWN_BACKEND, v6(DEAD)]),
    Entry { flags: service_flags::AFFINITY, ..node_entry(STICKY_OWNED, &[OWN_BACKEND, v4(1)]) },
    Entry { flags: service_flags::AFFINITY, ..node_entry(STICKY_OWNED + 1, &[OWN_BACKEND, v6(1)]) },
    Entry { endpoints: 1, ..director_entry(LOCAL_TOO, OWN_BACKEND) },
    Entry { flags: service_flags::RANGES, endpoints: 1, ..director_entry(RANGED, 1) },
    Entry { flags: service_flags::AFFINITY, endpoints: 3, ..director_entry(STICKY, OWN_BACKEND) },
    Entry { endpoints: 1, new_flows: NEW_FLOWS, ..director_entry(LIMITED, OWN_BACKEND) },
    Entry {
        flags: service_flags::BARE,
        new_flows: NEW_FLOWS,
        ..director_entry(BARE_LIMITED, BARE_SERVERS[0] as u16)
    },
    Entry { backend: None, flags: service_flags::PASS, ..director_entry(KUBE_PROXY, NO_BACKEND) },
];

/// Service ids are below this, and backend ids too.
pub const IDS: u32 = (ENTRIES.len() * KINDS.len()) as u32 + 1;

fn position(port: u16) -> usize {
    ENTRIES.iter().position(|entry| entry.port == port).expect("a port of ENTRIES")
}

/// The id of a service; 0 is none's.
pub fn service_id(kind: Kind, port: u16) -> u32 {
    let within = KINDS.iter().position(|k| *k == kind).expect("all kinds are in KINDS");
    (position(port) * KINDS.len() + within) as u32 + 1
}

/// Do all flows of a client go to the same endpoint?
pub fn has_affinity(port: u16) -> bool {
    let mut entries = ENTRIES.iter().filter(|entry| entry.port == port);
    entries.any(|entry| entry.flags & service_flags::AFFINITY != 0)
}

/// The backend that owns all slots of the ring of `port`.
pub fn backend_of(port: u16) -> u32 {
    ENTRIES[position(port)].backend.map_or(0, u32::from)
}

pub fn service_key(kind: Kind, port: u16) -> ServiceKey {
    ServiceKey { addr: VIP.addr(kind.family), port: port.to_be(), protocol: kind.protocol(), pad: 0 }
}

/// `SERVICES`.
pub fn services() -> Vec<(ServiceKey, Service)> {
    let all = ENTRIES.iter().enumerate().flat_map(|item| KINDS.map(|kind| (item, kind)));
    all.map(|((position, entry), kind)| {
        // The first element of RINGS stays empty, for services without a ring.
        let chunk = if entry.backend.is_some() { 1 + position as u32 * RING_CHUNKS } else { 0 };
        let service = Service {
            id: service_id(kind, entry.port),
            flags: entry.flags,
            ring_offset: chunk * CHUNK_SLOTS,
            ring_len: if entry.backend.is_some() { RING_LEN } else { 0 },
            endpoints: u32::from(entry.endpoints),
            generation: 1,
            history_offset: if entry.owners.is_empty() { 0 } else { history_offset(position) },
            changed: monotonic_seconds(),
            affinity: if has_affinity(entry.port) { AFFINITY } else { 0 },
            new_flows: entry.new_flows,
            ..Service::default()
        };
        (service_key(kind, entry.port), service)
    })
    .collect()
}

/// As dense as may be: the map is not large.
fn history_offset(position: usize) -> u32 {
    let before = ENTRIES[..position].iter().filter(|entry| !entry.owners.is_empty()).count();
    (1 + before as u32 * RING_CHUNKS) * CHUNK_SLOTS
}

/// Seconds of `CLOCK_MONOTONIC`.
pub fn monotonic_seconds() -> u32 {
    rustix::time::clock_gettime(rustix::time::ClockId::Monotonic).tv_sec as u32
}

/// Histories to write: the service's port, and who had all slots.
pub fn histories() -> impl Iterator<Item = (u16, &'static [u16])> {
    let of = |entry: &'static Entry| (entry.port, entry.owners);
    ENTRIES.iter().map(of).filter(|(_, owners)| !owners.is_empty())
}

/// Rings to write: the service's port, and what all slots name.
pub fn rings() -> impl Iterator<Item = (u16, u16)> {
    ENTRIES.iter().filter_map(|entry| Some((entry.port, entry.backend?)))
}

/// `BACKENDS`.
pub fn backends() -> Vec<(u32, Backend)> {
    let entry = |delivery, family, ifindex| backend(delivery, family, OTHER_NODE, ifindex);
    let fellows = FAMILIES.into_iter().flat_map(|outer| {
        FELLOWS.map(move |number| (u32::from(fellow_id(outer, number)), fellow_backend(outer, number)))
    });
    let bare = |id| (id, Backend { flags: backend_flags::RESOLVED | backend_flags::BARE, ..bare_server(id) });
    let bare_too =
        |id: u16, flags, backend| (u32::from(id), Backend { flags: backend_flags::BARE | flags, ..backend });
    let others = [
        (1, entry(delivery::L2, Family::V4, LOOPBACK_IFINDEX)),
        (2, entry(delivery::IPIP4, Family::V4, LOOPBACK_IFINDEX)),
        (3, entry(delivery::IPIP6, Family::V6, LOOPBACK_IFINDEX)),
        (4, entry(delivery::L2, Family::V4, OTHER_IFINDEX)),
        (5, entry(delivery::IPIP4, Family::V4, OTHER_IFINDEX)),
        (6, entry(delivery::IPIP6, Family::V6, OTHER_IFINDEX)),
        (7, Backend { flags: 0, ..entry(delivery::IPIP4, Family::V4, LOOPBACK_IFINDEX) }),
        (
            u32::from(OWN_BACKEND),
            Backend {
                flags: backend_flags::LOCAL,
                ..backend(delivery::IPIP4, Family::V4, NODE, LOOPBACK_IFINDEX)
            },
        ),
        (10, entry(delivery::GUE4, Family::V4, LOOPBACK_IFINDEX)),
        (11, entry(delivery::GUE6, Family::V6, LOOPBACK_IFINDEX)),
        (12, entry(delivery::GUE4, Family::V4, OTHER_IFINDEX)),
        (13, entry(delivery::GUE6, Family::V6, OTHER_IFINDEX)),
        bare(BARE_SERVERS[0]),
        bare(BARE_SERVERS[1]),
        bare_too(BARE_IPIP4, backend_flags::RESOLVED, entry(delivery::IPIP4, Family::V4, LOOPBACK_IFINDEX)),
        bare_too(BARE_IPIP6, backend_flags::RESOLVED, entry(delivery::IPIP6, Family::V6, LOOPBACK_IFINDEX)),
        bare_too(BARE_ELSEWHERE, backend_flags::RESOLVED, entry(delivery::L2, Family::V4, OTHER_IFINDEX)),
        bare_too(BARE_UNRESOLVED, 0, entry(delivery::IPIP4, Family::V4, LOOPBACK_IFINDEX)),
    ];
    others.into_iter().chain(fellows).collect()
}

/// A fellow, its number in its MAC address.
fn fellow_backend(outer: Family, number: u8) -> Backend {
    let delivery = if outer == Family::V4 { delivery::GUE4 } else { delivery::GUE6 };
    let ifindex = if number == DISTANT { OTHER_IFINDEX } else { LOOPBACK_IFINDEX };
    let (src, dst) = (NODE.addr(outer), fellow(number).addr(outer));
    Backend {
        macs: macs_to_fellow(number),
        outer_src: src,
        outer_sum: Backend::outer_sum(&src, &dst),
        flags: match number {
            SILENT => 0,
            DEAD => backend_flags::RESOLVED | backend_flags::DEAD,
            _ => backend_flags::RESOLVED,
        },
        ..backend(delivery, outer, fellow(number), ifindex)
    }
}

/// A bare server on the same link, its id in its MAC address.
fn bare_server(id: u32) -> Backend {
    let mut backend = backend(delivery::L2, Family::V4, OTHER_NODE, LOOPBACK_IFINDEX);
    backend.macs = macs_to_bare_server(id);
    backend
}

/// What leaves for a bare server has these addresses.
pub fn macs_to_bare_server(id: u32) -> Macs {
    macs_to_fellow(id as u8)
}

/// What leaves for a fellow has these addresses.
pub fn macs_to_fellow(number: u8) -> Macs {
    let mut macs = TO_BACKEND;
    macs[5] = number;
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
        ..Backend::default()
    }
}
