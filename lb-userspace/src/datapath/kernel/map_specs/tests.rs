use crate::plan::mirror::Capacity;

use super::*;

/// A change of it takes another `names::MAPS_DIR`; one more map, which releases before it have no use
/// for, does not.
const LAYOUT: (&str, [&str; 23]) = (
    "maps-2",
    [
        "SERVICES: Hash with keys of 20 and values of 44 bytes",
        "VIPS: Hash with keys of 16 and values of 4 bytes",
        "RINGS: Array with keys of 4 and values of 64 bytes",
        "HISTORY: Array with keys of 4 and values of 16 bytes",
        "BACKENDS: Array with keys of 4 and values of 64 bytes",
        "ENDPOINTS: Hash with keys of 8 and values of 4 bytes",
        "ENDPOINT_SLOTS: Array with keys of 4 and values of 32 bytes",
        "RANGES: LpmTrie with keys of 24 and values of 4 bytes",
        "PEERS: Hash with keys of 16 and values of 8 bytes",
        "UPLINKS: Hash with keys of 4 and values of 4 bytes",
        "BARE_FLOWS: LruHash with keys of 24 and values of 4 bytes",
        "NODE_FLOWS: LruHash with keys of 24 and values of 12 bytes",
        "NODE_REPLIES: LruHash with keys of 40 and values of 28 bytes",
        "AFFINITIES: LruHash with keys of 24 and values of 12 bytes",
        "FRAGMENTS: LruHash with keys of 40 and values of 12 bytes",
        "NEW_FLOWS: Array with keys of 4 and values of 8 bytes",
        "VERDICTS: PerCpuArray with keys of 4 and values of 8 bytes",
        "SERVICE_STATS: PerCpuArray with keys of 4 and values of 16 bytes",
        "BACKEND_STATS: PerCpuArray with keys of 4 and values of 16 bytes",
        "SEARCHES: PerCpuArray with keys of 4 and values of 8 bytes",
        "STRAYS: PerCpuArray with keys of 4 and values of 8 bytes",
        "TOLD: PerCpuArray with keys of 4 and values of 8 bytes",
        "DROPPED: RingBuf with keys of 0 and values of 0 bytes",
    ],
);

fn options(roles: u32) -> DatapathConfig {
    DatapathConfig {
        pin_dir: "/sys/fs/bpf/trigon".into(),
        interfaces: Vec::new(),
        roles,
        mode: Default::default(),
        capacity: Capacity {
            services: 11,
            backends: 12,
            endpoints: 13,
            ring_slots: 10 * CHUNK_SLOTS - 1,
            history_slots: 14,
            ranges: 15,
            vips: 16,
            peers: 17,
        },
        node_flows: 18,
        affinities: 19,
        bare_flows: 20,
        fragments: 21,
        log_drops: false,
        bare_sources: Vec::new(),
    }
}

#[test]
fn a_layout_is_for_ever() {
    let specs = map_specs(&options(roles::DIRECTOR | roles::NODE));
    let shapes: Vec<String> = specs.iter().map(|spec| format!("{}: {}", spec.name, spec.shape)).collect();
    assert_eq!((names::MAPS_DIR, &shapes[..]), (LAYOUT.0, &LAYOUT.1.map(String::from)[..]));
}

#[test]
fn maps_of_roles_that_the_machine_has_not_are_small() {
    let entries = |roles, name| {
        map_specs(&options(roles)).iter().find(|spec| spec.name == name).map(|spec| spec.entries)
    };
    assert_eq!(entries(roles::DIRECTOR, names::RINGS), Some(10));
    assert_eq!(entries(roles::DIRECTOR, names::NODE_FLOWS), Some(1));
    assert_eq!(entries(roles::NODE, names::RINGS), Some(1));
    assert_eq!(entries(roles::NODE, names::NODE_REPLIES), Some(18));
}
