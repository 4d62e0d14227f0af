//! Tables in memory that check after every change what must hold at every moment: an
//! agent may be killed there, and packets read them all the time.

use std::collections::{BTreeMap, BTreeSet};

use lb_common::{
    maps::{Backend, Endpoint, EndpointKey, EndpointSlot, Service, ServiceKey},
    ring::NO_BACKEND,
    roles,
};

use super::objects::service_number;
use crate::{
    datapath::{TableError, Tables, memory::MemoryTables},
    plan::{
        BackendKey,
        mirror::{Capacity, Mirror},
        op::Op,
        quarantine::Sweeps,
    },
};

/// Ticks after which something may be used again that was freed between two of them.
const REST: u64 = 2;

pub struct CheckedTables {
    pub inner: MemoryTables,
    /// Something else changes what is written after so many changes.
    pub overwrites_after: Option<usize>,
    /// Did any change fail in this step, and in the one before? Until deletions have been made, others
    /// may lack their room.
    failures: [bool; 2],
    room: Capacity,
    roles: u32,
    rings: Slab,
    histories: Slab,
    ticks: u64,
    /// When each id was freed.
    freed_backends: BTreeMap<u16, u64>,
    freed_services: BTreeMap<u32, u64>,
    freed_slots: BTreeMap<u32, u64>,
    flows: Flows,
    /// Those of what was freed since the last tick.
    late: Flows,
    /// What was held when each of the sweeps that are not done was asked for.
    sweeps: Vec<Flows>,
    /// The tick from which on sweeps are done.
    sweeps_from: u64,
}

/// Whom the flows that there may be belong to.
#[derive(Clone, Default)]
struct Flows {
    /// By id and incarnation.
    services: BTreeMap<(u32, u16), ServiceKey>,
    backends: BTreeMap<u16, BackendKey>,
    /// By slot and epoch: the service and the endpoint. Never swept.
    endpoints: BTreeMap<(u32, u16), (u32, Endpoint)>,
}

/// Ranges of slots, by offset.
#[derive(Default)]
struct Slab {
    written: BTreeMap<u32, Range>,
    freed: BTreeMap<u32, (u64, u32)>,
}

#[derive(PartialEq)]
struct Range {
    len: u32,
    ids: Vec<u16>,
    /// The backends that its ids stood for when it was written.
    names: BTreeMap<u16, BackendKey>,
}

impl CheckedTables {
    pub fn new(room: Capacity, roles: u32) -> Self {
        Self {
            inner: MemoryTables::default(),
            overwrites_after: None,
            failures: [false; 2],
            room,
            roles,
            rings: Slab::default(),
            histories: Slab::default(),
            ticks: 0,
            freed_backends: BTreeMap::new(),
            freed_services: BTreeMap::new(),
            freed_slots: BTreeMap::new(),
            flows: Flows::default(),
            late: Flows::default(),
            sweeps: Vec::new(),
            sweeps_from: 0,
        }
    }

    /// Sweeps that were asked for are done, if nothing slows them.
    pub fn tick(&mut self) {
        self.ticks += 1;
        if self.ticks >= self.sweeps_from {
            self.inner.sweeps.done = self.inner.sweeps.asked;
            std::mem::take(&mut self.sweeps).into_iter().for_each(|held| self.flows.retain(&held));
        }
        // Packets that were on their way when something was freed.
        let late = std::mem::take(&mut self.late);
        self.flows.begin(&late);
    }

    /// No sweep is done for so many ticks.
    pub fn stop_sweeps(&mut self, ticks: u64) {
        self.sweeps_from = self.ticks + ticks;
    }

    /// The agent is killed: its sweeps are lost, and the next one has no memory of what it
    /// freed. Nothing fails any more.
    pub fn forget_agent(&mut self) {
        (self.inner.fail_at, self.inner.failing) = (None, BTreeSet::new());
        self.inner.sweeps = Sweeps::default();
        self.sweeps.clear();
        self.late = Flows::default();
        self.freed_backends.clear();
        self.freed_services.clear();
        self.freed_slots.clear();
        self.rings.freed.clear();
        self.histories.freed.clear();
    }

    fn backend(&self, id: u16) -> Option<BackendKey> {
        let is_held = |entry: &&Backend| ![Backend::default(), Backend::CLEARED].contains(*entry);
        let entry = self.inner.backends.get(&id).filter(is_held);
        entry.map(BackendKey::from_entry)
    }

    /// What is held now.
    fn held(&self) -> Flows {
        let service = |(key, entry): (&ServiceKey, &Service)| ((entry.id, entry.incarnation()), *key);
        let backends = self.inner.backends.keys().filter_map(|id| Some((*id, self.backend(*id)?)));
        let held = self.inner.endpoint_slots.iter().filter(|(_, held)| held.is_held());
        let endpoint =
            |(slot, held): (&u32, &EndpointSlot)| ((*slot, held.epoch), (held.service, held.endpoint));
        Flows {
            services: self.inner.services.iter().map(service).collect(),
            backends: backends.collect(),
            endpoints: held.map(endpoint).collect(),
        }
    }

    /// Packets come to all that is held: they are counted, and flows begin.
    fn send_traffic(&mut self) {
        let held = self.held();
        self.flows.begin(&held);
        self.inner.service_packets.extend(held.services.keys().map(|(id, _)| (*id, 1)));
        self.inner.backend_packets.extend(held.backends.keys().map(|id| (*id, 1)));
    }

    /// What `ids` stand for now.
    fn names_of(&self, ids: impl Iterator<Item = u16>) -> BTreeMap<u16, BackendKey> {
        let ids: BTreeSet<u16> = ids.filter(|id| *id != NO_BACKEND).collect();
        let name = |id| (id, self.backend(id).unwrap_or_else(|| panic!("{id} names no backend")));
        ids.into_iter().map(name).collect()
    }

    fn check_before(&mut self, op: &Op) {
        match op {
            Op::SetBackend(id, new) => self.check_backend(*id, BackendKey::from_entry(new)),
            Op::ClearBackend(id) => match self.backend(*id) {
                Some(key) => {
                    self.late.backends.insert(*id, key);
                    self.freed_backends.insert(*id, self.ticks);
                }
                None => assert!(self.freed_backends.contains_key(id), "only what is there is cleared"),
            },
            Op::WriteRing { offset, slots } => {
                assert!(!slots.contains(&NO_BACKEND), "a ring has a hole");
                let ids = slots.to_vec();
                let names = self.names_of(ids.iter().copied());
                let live = self.live_ranges(|service| service.ring_offset);
                self.rings.write(*offset, Range { len: slots.len() as u32, ids, names }, &live, self.ticks);
                assert!(offset + slots.len() as u32 <= self.room.ring_slots);
            }
            Op::WriteHistory { offset, owners } => {
                let ids: Vec<u16> = owners.iter().flat_map(|owners| owners.ids).collect();
                let names = self.names_of(ids.iter().copied());
                let live = self.live_ranges(|service| service.history_offset);
                let range = Range { len: owners.len() as u32, ids, names };
                self.histories.write(*offset, range, &live, self.ticks);
                assert!(offset + owners.len() as u32 <= self.room.history_slots);
            }
            Op::SetEndpointSlot(slot, new) => self.check_slot(*slot, new),
            Op::ClearEndpointSlot(slot, _) => drop(self.freed_slots.insert(*slot, self.ticks)),
            Op::SetEndpoint(key, slot) => {
                let held = self.inner.endpoint_slots.get(slot).expect("a slot that was written");
                assert_eq!(held.service, key.service, "slot {slot} is another's");
            }
            Op::SetService(key, new) => self.check_service(*key, new),
            Op::DeleteService(key) => {
                let Some(old) = self.inner.services.get(key).copied() else { return };
                self.late.services.insert((old.id, old.incarnation()), *key);
                self.freed_services.insert(old.id, self.ticks);
                self.rings.free(old.ring_offset, old.ring_len, self.ticks);
                self.histories.free(old.history_offset, old.ring_len, self.ticks);
            }
            _ => {}
        }
    }

    fn live_ranges(&self, offset: impl Fn(&Service) -> u32) -> Vec<(u32, u32)> {
        let services = self.inner.services.values();
        services.map(|service| (offset(service), service.ring_len)).filter(|(at, _)| *at > 0).collect()
    }

    fn check_backend(&self, id: u16, key: BackendKey) {
        if let Some(old) = self.backend(id) {
            assert_eq!(old, key, "id {id} is in use");
        } else {
            let freed = self.freed_backends.get(&id);
            assert!(freed.is_none_or(|freed| self.ticks >= freed + REST), "id {id} has not rested");
            assert!(!self.inner.backend_packets.contains_key(&id), "the counters of id {id} are another's");
        }
        assert!(u32::from(id) < self.room.backends);
    }

    fn check_slot(&self, slot: u32, new: &EndpointSlot) {
        let old = self.inner.endpoint_slots.get(&slot).copied().unwrap_or_default();
        if !old.is_held() {
            let freed = self.freed_slots.get(&slot);
            assert!(freed.is_none_or(|freed| self.ticks >= freed + REST), "slot {slot} has not rested");
        } else {
            assert_eq!((old.service, old.endpoint, old.epoch), (new.service, new.endpoint, new.epoch));
        }
        assert!(slot < self.room.endpoint_slots());
    }

    fn check_service(&mut self, key: ServiceKey, new: &Service) {
        match self.inner.services.get(&key) {
            Some(old) => {
                assert_eq!(old.id, new.id);
                let old = *old;
                if old.ring_offset != new.ring_offset {
                    self.rings.free(old.ring_offset, old.ring_len, self.ticks);
                }
                if old.history_offset != new.history_offset {
                    self.histories.free(old.history_offset, old.ring_len, self.ticks);
                }
            }
            None => {
                let is_taken = self.inner.services.values().any(|service| service.id == new.id);
                assert!(!is_taken, "two services have id {}", new.id);
                let freed = self.freed_services.get(&new.id);
                assert!(freed.is_none_or(|freed| self.ticks >= freed + REST), "id {} has not rested", new.id);
                let is_counted = self.inner.service_packets.contains_key(&new.id);
                assert!(!is_counted, "the counters of id {} are another's", new.id);
            }
        }
    }

    fn check_all(&self) {
        for (key, service) in &self.inner.services {
            let has_no_slots = service.ring_offset == 0 && service.ring_len > 0;
            assert!(!has_no_slots || self.roles & roles::DIRECTOR == 0, "a director reads foreign slots");
            self.check_range(&self.rings, service.ring_offset, service.ring_len);
            self.check_range(&self.histories, service.history_offset, service.ring_len);
            for index in 0..service.endpoints {
                let endpoint = self.inner.endpoints.get(&EndpointKey { service: service.id, index });
                let slot = endpoint.expect("every endpoint that is counted is there");
                // Another program may have overwritten it.
                let Some(held) = self.inner.endpoint_slots.get(slot) else { continue };
                assert_eq!(
                    service_number(&held.endpoint),
                    u16::from_be(key.port),
                    "the endpoint of another service"
                );
            }
        }
        for (addr, peer) in &self.inner.peers {
            if peer.backend != u32::from(NO_BACKEND) {
                assert_eq!(self.backend(peer.backend as u16), Some(BackendKey::fellow_node(*addr)));
            }
        }
    }

    pub fn begin_step(&mut self) {
        self.failures = [false, self.failures[0]];
    }

    /// Has the map no room for a new entry?
    fn is_full(&self, op: &Op) -> bool {
        let (inner, room) = (&self.inner, &self.room);
        let (is_known, count, room) = match op {
            Op::SetService(key, _) => (inner.services.contains_key(key), inner.services.len(), room.services),
            Op::SetVip(addr, _) => (inner.vips.contains_key(addr), inner.vips.len(), room.vips),
            Op::SetPeer(addr, _) => (inner.peers.contains_key(addr), inner.peers.len(), room.peers),
            Op::SetEndpoint(key, _) => {
                (inner.endpoints.contains_key(key), inner.endpoints.len(), room.endpoints)
            }
            Op::SetRange(service, range) => {
                (inner.ranges.contains(&(*service, *range)), inner.ranges.len(), room.ranges)
            }
            _ => return false,
        };
        !is_known && count >= room as usize
    }

    /// Each slot leads to the backend that it was written for.
    fn check_range(&self, slab: &Slab, offset: u32, len: u32) {
        if offset == 0 {
            return;
        }
        let range = &slab.written[&offset];
        assert_eq!(range.len, len);
        range.names.iter().for_each(|(id, key)| assert_eq!(self.backend(*id), Some(*key), "of id {id}"));
    }
}

impl Flows {
    /// A packet must not find a flow of another service or backend.
    fn begin(&mut self, held: &Self) {
        for (id, key) in &held.services {
            assert_eq!(self.services.entry(*id).or_insert(*key), key, "flows of {id:?} are another's");
        }
        for (slot, endpoint) in &held.endpoints {
            let known = self.endpoints.entry(*slot).or_insert(*endpoint);
            assert_eq!(known, endpoint, "flows to {slot:?} are another's");
        }
        for (id, key) in &held.backends {
            assert_eq!(self.backends.entry(*id).or_insert(*key), key, "flows to {id} are another's");
        }
    }

    fn retain(&mut self, held: &Self) {
        self.services.retain(|id, _| held.services.contains_key(id));
        self.backends.retain(|id, _| held.backends.contains_key(id));
    }
}

impl Slab {
    /// What is in use may be written once more as it was.
    fn write(&mut self, offset: u32, range: Range, live: &[(u32, u32)], ticks: u64) {
        let overlaps = |at: u32, other: u32| at < offset + range.len && offset < at + other;
        let is_same = self.written.get(&offset) == Some(&range);
        let is_used = live.iter().any(|(at, other)| overlaps(*at, *other));
        assert!(!is_used || is_same, "slots at {offset} are in use");
        self.freed.retain(|_, (freed, _)| ticks < *freed + REST);
        let is_freed = self.freed.iter().any(|(at, (_, other))| overlaps(*at, *other));
        assert!(!is_freed || is_used, "{offset} has not rested");
        self.written.insert(offset, range);
    }

    fn free(&mut self, offset: u32, len: u32, ticks: u64) {
        if offset > 0 {
            self.freed.insert(offset, (ticks, len));
        }
    }
}

impl Tables for CheckedTables {
    fn write(&mut self, op: &Op) -> Result<(), TableError> {
        if self.is_full(op) {
            let may_fail = !self.inner.failing.is_empty()
                || self.inner.fail_at.is_some()
                || self.inner.refuses.is_some()
                || self.failures[1];
            self.failures[0] = true;
            assert!(may_fail, "there is no room for {op:?}, and no deletion has failed");
            return Err(TableError { map: "MEMORY", entry: format!("{op:?}"), source: "it is full".into() });
        }
        // Whether it is refused is not known yet: what is freed is noted too early at worst.
        self.check_before(op);
        self.inner.write(op).inspect_err(|_| self.failures[0] = true)?;
        if matches!(op, Op::ForgetUnheld) {
            self.sweeps.push(self.held());
        }
        self.check_all();
        self.send_traffic();
        self.overwrites_after = match self.overwrites_after {
            Some(0) if self.inner.overwrite(op) => None,
            Some(0) => Some(0),
            after => after.map(|after| after - 1),
        };
        Ok(())
    }

    fn holds(&self, op: &Op) -> Result<bool, TableError> {
        self.inner.holds(op)
    }

    fn sweeps(&self) -> Sweeps {
        self.inner.sweeps()
    }

    fn read_mirror(&self) -> Result<Mirror, TableError> {
        self.inner.read_mirror()
    }
}
