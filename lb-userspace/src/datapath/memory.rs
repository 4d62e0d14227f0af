//! The maps in memory, for tests of everything above them. They behave as the kernel's
//! do and share no code with [`Mirror::apply`], which is under test.

use std::collections::{BTreeMap, BTreeSet};

use lb_common::{
    Addr,
    maps::{Backend, Endpoint, EndpointKey, Peer, Service, ServiceKey, Vip},
    ring::Owners,
};

use super::{TableError, Tables};
use crate::plan::{
    SourceRange,
    mirror::{Mirror, Op},
};

/// Each map under its own name; optionally they fail at certain writes.
#[derive(Default)]
pub struct MemoryTables {
    pub services: BTreeMap<ServiceKey, Service>,
    pub vips: BTreeMap<Addr, Vip>,
    pub peers: BTreeMap<Addr, Peer>,
    pub endpoints: BTreeMap<EndpointKey, Endpoint>,
    pub ranges: BTreeSet<(u32, SourceRange)>,
    /// By id. An array has no absent entries: a cleared one is all zeros.
    pub backends: BTreeMap<u16, Backend>,
    /// By slot.
    rings: Vec<u16>,
    history: Vec<Owners>,
    /// All changes, in their order.
    pub log: Vec<Op>,
    /// Fail when the log is this long.
    pub fail_at: Option<usize>,
    /// How many changes were tried.
    pub attempts: usize,
    /// The attempts that fail, by number from 0.
    pub failing: BTreeSet<usize>,
}

impl MemoryTables {
    /// Their change number `change`, from 0, fails, and so do those that follow.
    pub fn failing_at(change: usize) -> Self {
        Self { fail_at: Some(change), ..Self::default() }
    }
}

impl Tables for MemoryTables {
    fn write(&mut self, op: &Op) -> Result<(), TableError> {
        self.attempts += 1;
        if self.fail_at == Some(self.log.len()) || self.failing.contains(&(self.attempts - 1)) {
            return Err(TableError {
                map: "MEMORY",
                entry: format!("{op:?}"),
                source: "told to fail".into(),
            });
        }
        self.log.push(op.clone());
        match op.clone() {
            Op::SetPeer(addr, peer) => drop(self.peers.insert(addr, peer)),
            Op::DeletePeer(addr) => drop(self.peers.remove(&addr)),
            Op::SetBackend(id, backend) => drop(self.backends.insert(id, backend)),
            Op::ClearBackend(id) => drop(self.backends.insert(id, Backend::default())),
            Op::WriteRing { offset, slots } => write_slots(&mut self.rings, offset, &slots),
            Op::WriteHistory { offset, owners } => write_slots(&mut self.history, offset, &owners),
            Op::SetEndpoint(key, endpoint) => drop(self.endpoints.insert(key, endpoint)),
            Op::DeleteEndpoint(key) => drop(self.endpoints.remove(&key)),
            Op::SetRange(service, range) => drop(self.ranges.insert((service, range))),
            Op::DeleteRange(service, range) => drop(self.ranges.remove(&(service, range))),
            Op::SetVip(addr, vip) => drop(self.vips.insert(addr, vip)),
            Op::DeleteVip(addr) => drop(self.vips.remove(&addr)),
            Op::SetService(key, service) => drop(self.services.insert(key, service)),
            Op::DeleteService(key) => drop(self.services.remove(&key)),
            // There are no flows here.
            Op::ForgetOtherEndpoints { .. } | Op::ForgetService { .. } | Op::ForgetBackend { .. } => {}
        }
        Ok(())
    }

    fn read_service(&self, key: &ServiceKey) -> Result<Option<Service>, TableError> {
        Ok(self.services.get(key).copied())
    }

    fn read_mirror(&self) -> Result<Mirror, TableError> {
        let backends = self.backends.iter().filter(|(_, backend)| **backend != Backend::default());
        let mut ranges = BTreeMap::<u32, BTreeSet<SourceRange>>::new();
        for (service, range) in &self.ranges {
            ranges.entry(*service).or_default().insert(*range);
        }
        let services = || self.services.values();
        let rings = services().map(|service| (service.ring_offset, service.ring_len));
        let histories = services().map(|service| (service.history_offset, service.ring_len));
        Ok(Mirror {
            services: self.services.clone(),
            vips: self.vips.clone(),
            peers: self.peers.clone(),
            endpoints: self.endpoints.clone(),
            ranges,
            backends: backends.map(|(id, backend)| (*id, *backend)).collect(),
            rings: rings.filter_map(|place| read_slots(&self.rings, place)).collect(),
            histories: histories.filter_map(|place| read_slots(&self.history, place)).collect(),
            ..Mirror::default()
        })
    }
}

fn write_slots<S: Copy + Default>(slab: &mut Vec<S>, offset: u32, slots: &[S]) {
    let (start, end) = (offset as usize, offset as usize + slots.len());
    slab.resize(slab.len().max(end), S::default());
    slab[start..end].copy_from_slice(slots);
}

/// None at offset 0, which stands for no slots.
fn read_slots<S: Copy, C: FromIterator<S>>(slab: &[S], (offset, len): (u32, u32)) -> Option<(u32, C)> {
    let slots = slab.get(offset as usize..)?.get(..len as usize)?;
    (offset > 0).then(|| (offset, slots.iter().copied().collect()))
}
