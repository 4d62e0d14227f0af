//! What is in the maps, to compare.

use std::collections::BTreeMap;

use lb_common::{
    Addr,
    maps::{Backend, EndpointKey, Peer, Service, ServiceKey},
    ring::NO_BACKEND,
};

use crate::plan::{BackendKey, SourceRange, mirror::Mirror};

/// What the maps mean, whatever the ids and offsets.
#[derive(PartialEq, Debug)]
pub struct Contents {
    pub services: BTreeMap<ServiceKey, ServiceContents>,
    vips: Vec<Addr>,
    peers: BTreeMap<Addr, (u32, bool)>,
    backends: BTreeMap<BackendKey, Backend>,
    endpoints: usize,
}

#[derive(PartialEq, Debug)]
pub struct ServiceContents {
    pub entry: Service,
    pub ring: Vec<BackendKey>,
    pub owners: Vec<BackendKey>,
    pub endpoints: Vec<Addr>,
    pub ranges: Vec<SourceRange>,
}

impl Contents {
    pub fn new(mirror: &Mirror) -> Self {
        let service = |(key, entry): (&ServiceKey, &Service)| (*key, ServiceContents::new(mirror, entry));
        let peer = |peer: &Peer| (peer.roles, peer.backend != u32::from(NO_BACKEND));
        Self {
            services: mirror.services.iter().map(service).collect(),
            vips: mirror.vips.keys().copied().collect(),
            peers: mirror.peers.iter().map(|(addr, entry)| (*addr, peer(entry))).collect(),
            backends: mirror.backends.values().map(|entry| (BackendKey::from_entry(entry), *entry)).collect(),
            endpoints: mirror.endpoints.len(),
        }
    }
}

impl ServiceContents {
    fn new(mirror: &Mirror, entry: &Service) -> Self {
        let key = |id: u16| BackendKey::from_entry(&mirror.backends[&id]);
        let ring = mirror.ring_of(entry).into_iter().flat_map(|slots| slots.iter());
        let histories = mirror.history_of(entry).into_iter();
        let slot = |index| mirror.endpoints[&EndpointKey { service: entry.id, index }];
        let endpoint = |index| mirror.endpoint_slots.get(slot(index)).expect("held").endpoint.addr;
        Self {
            entry: Service {
                id: 0,
                flags: entry.flags & u32::from(u16::MAX),
                ring_offset: 0,
                history_offset: 0,
                generation: 0,
                changed: 0,
                ..*entry
            },
            ring: ring.map(|id| key(*id)).collect(),
            owners: histories.flat_map(|slots| slots.iter()).map(|owners| key(owners.ids[0])).collect(),
            endpoints: (0..entry.endpoints).map(endpoint).collect(),
            ranges: mirror.ranges.get(&entry.id).into_iter().flatten().copied().collect(),
        }
    }
}
