//! What is in the maps, to compare.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use imbl::OrdMap;
use lb_common::{
    Addr,
    maps::{Backend, EndpointKey, EndpointSlot, Peer, Service, ServiceKey, Vip},
    ring::{NO_BACKEND, Owners},
    roles,
};

use crate::plan::{
    BackendKey, Plan, PlannedService, Ring, SourceRange,
    mirror::Mirror,
    uses::{history_backends, ring_backends},
};

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
    pub fn new(mirror: &Mirror, entry: &Service) -> Self {
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

    /// Of a plan that there was room for.
    pub fn assert_as_planned(&self, planned: &PlannedService, roles: u32) {
        let slots = |keys: Vec<BackendKey>, ring: &Ring| -> Vec<BackendKey> {
            ring.iter().map(|member| keys[usize::from(member)]).collect()
        };
        if roles & roles::DIRECTOR != 0 {
            let members = planned.members.iter().map(|(key, _)| *key).collect();
            assert_eq!(self.ring, slots(members, &planned.live));
        }
        if !planned.owners.is_empty() {
            assert_eq!(self.owners, slots(planned.owners.to_vec(), &planned.ring));
        }
        assert_eq!(
            self.endpoints,
            planned.endpoints.iter().map(|endpoint| endpoint.addr).collect::<Vec<_>>()
        );
        assert_eq!(self.ranges, planned.policy.ranges);
    }
}

/// All that packets to a service need, with ids and offsets.
#[derive(PartialEq, Debug)]
pub struct Needs {
    pub entry: Service,
    vip: Vip,
    ring: Option<Arc<[u16]>>,
    history: Option<Arc<[Owners]>>,
    /// Those that ring and history name.
    pub backends: BTreeMap<u16, Backend>,
    endpoints: Vec<EndpointSlot>,
    /// Of the endpoints that drain, too.
    slots: Vec<(u32, EndpointSlot)>,
    ranges: Option<BTreeSet<SourceRange>>,
    /// None if no packet of the service comes from a peer, or goes to one.
    peers: Option<OrdMap<Addr, Peer>>,
}

impl Needs {
    /// None: something is not there.
    pub fn find(mirror: &Mirror, key: &ServiceKey) -> Option<Self> {
        let entry = *mirror.services.get(key)?;
        let ring = if entry.ring_offset > 0 { Some(mirror.ring_of(&entry)?) } else { None };
        let history = if entry.history_offset > 0 { Some(mirror.history_of(&entry)?) } else { None };
        let named = ring.into_iter().flat_map(|slots| ring_backends(slots));
        let named = named.chain(history.into_iter().flat_map(|slots| history_backends(slots)));
        let slot = |index| mirror.endpoints.get(&EndpointKey { service: entry.id, index });
        let all_slots = mirror.endpoint_slots.held().filter(|(_, held)| held.service == entry.id);
        Some(Self {
            entry,
            vip: *mirror.vips.get(&key.addr)?,
            ring: ring.cloned(),
            history: history.cloned(),
            backends: named.map(|id| Some((id, *mirror.backends.get(&id)?))).collect::<Option<_>>()?,
            endpoints: (0..entry.endpoints)
                .map(|index| mirror.endpoint_slots.get(*slot(index)?).copied())
                .collect::<Option<_>>()?,
            slots: all_slots.map(|(slot, held)| (slot, *held)).collect(),
            ranges: mirror.ranges.get(&entry.id).cloned(),
            peers: (entry.endpoints > 0 || entry.history_offset > 0).then(|| mirror.peers.clone()),
        })
    }

    /// But for those whose next hops were not looked up yet.
    pub fn are_backends_as_planned(&self, plan: &Plan) -> bool {
        self.backends.values().all(|backend| {
            let key = BackendKey::from_entry(backend);
            let planned = plan.backends.get(&key).filter(|_| !plan.waiting.contains(&key));
            planned.is_none_or(|planned| planned == backend)
        })
    }
}
