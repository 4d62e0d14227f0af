//! The maps in memory, for tests of everything above them. They behave as the kernel's
//! do and share no code with [`Mirror::apply`], which is under test.

use std::{
    cell::Cell,
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use imbl::OrdMap;
use lb_common::{
    Addr,
    maps::{Backend, EndpointKey, EndpointSlot, Peer, Service, ServiceKey, Vip},
    ring::Owners,
};

use super::{TableError, Tables};
use crate::plan::{SourceRange, mirror::Mirror, op::Op, quarantine::Sweeps};

/// Each map under its own name; optionally they fail at certain writes.
#[derive(Default)]
pub struct MemoryTables {
    pub services: OrdMap<ServiceKey, Service>,
    pub vips: OrdMap<Addr, Vip>,
    pub peers: OrdMap<Addr, Peer>,
    pub endpoints: OrdMap<EndpointKey, u32>,
    /// By index. An array has no absent entries: one that was never written is all zeros.
    pub endpoint_slots: OrdMap<u32, EndpointSlot>,
    pub ranges: BTreeSet<(u32, SourceRange)>,
    /// By id. An array has no absent entries: a cleared one is all zeros.
    pub backends: OrdMap<u16, Backend>,
    /// By slot.
    rings: Vec<u16>,
    history: Vec<Owners>,
    /// Counters that are not 0, by id.
    pub service_packets: BTreeMap<u32, u64>,
    pub backend_packets: BTreeMap<u16, u64>,
    pub sweeps: Sweeps,
    /// All changes, in their order.
    pub log: Vec<Op>,
    /// Changes that failed.
    pub refused: Vec<Op>,
    /// Fail when the log is this long.
    pub fail_at: Option<usize>,
    /// How many changes were tried.
    pub attempts: usize,
    /// The attempts that fail, by number from 0.
    pub failing: BTreeSet<usize>,
    /// Those that fail whenever they are tried.
    pub refuses: Option<fn(&Op) -> bool>,
    /// How often something was read.
    pub reads: Cell<usize>,
    /// The reads that fail, by number from 0.
    pub failing_reads: BTreeSet<usize>,
}

impl MemoryTables {
    /// Their change number `change`, from 0, fails, and so do those that follow.
    pub fn failing_at(change: usize) -> Self {
        Self { fail_at: Some(change), ..Self::default() }
    }

    /// All changes fail after so many more.
    pub fn fail_after(&mut self, changes: usize) {
        self.fail_at = Some(self.log.len() + changes);
    }

    /// Another program changes what `op` has written. False if it does not change such entries.
    pub fn overwrite(&mut self, op: &Op) -> bool {
        let is_there = match op {
            Op::SetPeer(addr, _) => self.peers.get_mut(addr).map(|peer| peer.roles ^= 1 << 31),
            Op::SetBackend(id, _) => self.backends.get_mut(id).map(|backend| backend.mtu ^= 1),
            Op::WriteRing { offset, slots } => {
                let slots = &mut self.rings[*offset as usize..][..slots.len()];
                slots.last().copied().map(|last| slots[0] = last)
            }
            Op::WriteHistory { offset, owners } => {
                let slots = &mut self.history[*offset as usize..][..owners.len()];
                slots.last().copied().map(|last| slots[0] = last)
            }
            Op::SetEndpoint(key, _) => self.endpoints.get_mut(key).map(|slot| *slot ^= 1 << 31),
            Op::SetEndpointSlot(slot, _) => self.endpoint_slots.get_mut(slot).map(|held| held.drained ^= 1),
            Op::SetRange(service, range) => self.ranges.remove(&(*service, *range)).then_some(()),
            Op::SetVip(addr, _) => self.vips.get_mut(addr).map(|vip| vip.flags ^= 1 << 31),
            Op::SetService(key, _) => self.services.get_mut(key).map(|service| service.new_flows ^= 1),
            _ => None,
        };
        is_there.is_some()
    }
}

impl Tables for MemoryTables {
    fn write(&mut self, op: &Op) -> Result<(), TableError> {
        self.attempts += 1;
        let is_refused = self.refuses.is_some_and(|refuses| refuses(op));
        if is_refused || self.fail_at == Some(self.log.len()) || self.failing.contains(&(self.attempts - 1)) {
            self.refused.push(op.clone());
            return Err(told_to_fail(op));
        }
        self.log.push(op.clone());
        match op.clone() {
            Op::SetPeer(addr, peer) => drop(self.peers.insert(addr, peer)),
            Op::DeletePeer(addr) => drop(self.peers.remove(&addr)),
            Op::SetBackend(id, backend) => drop(self.backends.insert(id, backend)),
            Op::ClearBackend(id) => drop(self.backends.insert(id, Backend::CLEARED)),
            Op::WriteRing { offset, slots } => write_slots(&mut self.rings, offset, &slots),
            Op::WriteHistory { offset, owners } => write_slots(&mut self.history, offset, &owners),
            Op::SetEndpoint(key, slot) => drop(self.endpoints.insert(key, slot)),
            Op::SetEndpointSlot(slot, entry) | Op::ClearEndpointSlot(slot, entry) => {
                self.endpoint_slots.insert(slot, entry);
            }
            Op::DeleteEndpoint(key) => drop(self.endpoints.remove(&key)),
            Op::SetRange(service, range) => drop(self.ranges.insert((service, range))),
            Op::DeleteRange(service, range) => drop(self.ranges.remove(&(service, range))),
            Op::SetVip(addr, vip) => drop(self.vips.insert(addr, vip)),
            Op::DeleteVip(addr) => drop(self.vips.remove(&addr)),
            Op::SetService(key, service) => drop(self.services.insert(key, service)),
            Op::DeleteService(key) => drop(self.services.remove(&key)),
            // There are no flows here.
            Op::ForgetUnheld => self.sweeps.asked += 1,
            Op::ResetServiceStats(id) => drop(self.service_packets.remove(&id)),
            Op::ResetBackendStats(id) => drop(self.backend_packets.remove(&id)),
        }
        Ok(())
    }

    fn holds(&self, op: &Op) -> Result<bool, TableError> {
        let number = self.reads.replace(self.reads.get() + 1);
        if self.failing_reads.contains(&number) {
            return Err(told_to_fail(op));
        }
        Ok(match op {
            Op::SetPeer(addr, peer) => self.peers.get(addr) == Some(peer),
            Op::DeletePeer(addr) => !self.peers.contains_key(addr),
            Op::SetBackend(id, backend) => self.backends.get(id) == Some(backend),
            Op::ClearBackend(id) => self.backends.get(id) == Some(&Backend::CLEARED),
            Op::WriteRing { offset, slots } => self.rings[*offset as usize..].starts_with(slots),
            Op::WriteHistory { offset, owners } => self.history[*offset as usize..].starts_with(owners),
            Op::SetEndpoint(key, slot) => self.endpoints.get(key) == Some(slot),
            Op::SetEndpointSlot(slot, entry) | Op::ClearEndpointSlot(slot, entry) => {
                self.endpoint_slots.get(slot) == Some(entry)
            }
            Op::DeleteEndpoint(key) => !self.endpoints.contains_key(key),
            Op::SetRange(service, range) => self.ranges.contains(&(*service, *range)),
            Op::DeleteRange(service, range) => !self.ranges.contains(&(*service, *range)),
            Op::SetVip(addr, vip) => self.vips.get(addr) == Some(vip),
            Op::DeleteVip(addr) => !self.vips.contains_key(addr),
            Op::SetService(key, service) => self.services.get(key) == Some(service),
            Op::DeleteService(key) => !self.services.contains_key(key),
            Op::ForgetUnheld => true,
            Op::ResetServiceStats(_) | Op::ResetBackendStats(_) => true,
        })
    }

    fn sweeps(&self) -> Sweeps {
        self.sweeps
    }

    fn read_mirror(&self) -> Result<Mirror, TableError> {
        let cleared = self.backends.iter().filter(|(_, backend)| **backend == Backend::CLEARED);
        let is_held = |backend: &Backend| ![Backend::default(), Backend::CLEARED].contains(backend);
        let backends = self.backends.iter().filter(|(_, backend)| is_held(backend));
        let mut ranges = BTreeMap::<u32, BTreeSet<SourceRange>>::new();
        for (service, range) in &self.ranges {
            ranges.entry(*service).or_default().insert(*range);
        }
        let mut mirror = Mirror {
            services: self.services.clone(),
            vips: self.vips.clone(),
            endpoints: self.endpoints.clone(),
            ranges: ranges.into(),
            ..Mirror::default()
        };
        backends.for_each(|(id, backend)| mirror.set_backend(*id, *backend));
        cleared.for_each(|(id, _)| mirror.quarantine.adopt_backend(*id));
        self.peers.iter().for_each(|(addr, peer)| mirror.set_peer(*addr, *peer));
        self.endpoint_slots.iter().for_each(|(slot, entry)| mirror.endpoint_slots.adopt(*slot, *entry));
        mirror.adopt_slots(
            |offset, len| read_slots(&self.rings, offset, len),
            |offset, len| read_slots(&self.history, offset, len),
        );
        Ok(mirror)
    }
}

fn told_to_fail(op: &Op) -> TableError {
    TableError { map: "MEMORY", entry: format!("{op:?}"), source: "told to fail".into() }
}

fn write_slots<S: Copy + Default>(slab: &mut Vec<S>, offset: u32, slots: &[S]) {
    let (start, end) = (offset as usize, offset as usize + slots.len());
    slab.resize(slab.len().max(end), S::default());
    slab[start..end].copy_from_slice(slots);
}

fn read_slots<S: Copy>(slab: &[S], offset: u32, len: u32) -> Option<Arc<[S]>> {
    slab.get(offset as usize..)?.get(..len as usize).map(Arc::from)
}
