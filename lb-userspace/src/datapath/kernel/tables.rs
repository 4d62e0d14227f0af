//! The maps that the control plane writes, in the kernel.

use std::{path::Path, sync::Arc};

use lb_common::{
    Addr,
    maps::{Backend, EndpointKey, EndpointSlot, Peer, Service, ServiceKey, Vip, delivery, names},
    ring::{CHUNK_SLOTS, FORMER, Owners},
};

use super::{
    array::PinnedArray, error::LoadError, hash_map::PinnedHashMap, ranges::Ranges, slab::Slab, stats::Stats,
    sweep::Sweeper,
};
use crate::{
    datapath::{TableError, Tables},
    plan::{mirror::Mirror, op::Op, quarantine::Sweeps},
};

pub struct KernelTables {
    services: PinnedHashMap<ServiceKey, Service>,
    vips: PinnedHashMap<Addr, Vip>,
    peers: PinnedHashMap<Addr, Peer>,
    endpoints: PinnedHashMap<EndpointKey, u32>,
    endpoint_slots: PinnedArray<EndpointSlot>,
    ranges: Ranges,
    backends: PinnedArray<Backend>,
    rings: Slab,
    history: Slab,
    stats: Stats,
    sweeper: Sweeper,
}

impl KernelTables {
    /// Opens all of them by their pins, and starts the sweeper.
    pub fn open(pin_dir: &Path) -> Result<Self, LoadError> {
        Ok(Self {
            services: PinnedHashMap::open(pin_dir, names::SERVICES)?,
            vips: PinnedHashMap::open(pin_dir, names::VIPS)?,
            peers: PinnedHashMap::open(pin_dir, names::PEERS)?,
            endpoints: PinnedHashMap::open(pin_dir, names::ENDPOINTS)?,
            endpoint_slots: PinnedArray::open(pin_dir, names::ENDPOINT_SLOTS)?,
            ranges: Ranges::open(pin_dir)?,
            backends: PinnedArray::open(pin_dir, names::BACKENDS)?,
            rings: Slab::open(pin_dir, names::RINGS, CHUNK_SLOTS as usize, 1)?,
            history: Slab::open(pin_dir, names::HISTORY, OWNERS_PER_SLOT, OWNERS_PER_SLOT)?,
            stats: Stats::open(pin_dir)?,
            sweeper: Sweeper::start(pin_dir)?,
        })
    }
}

impl Tables for KernelTables {
    fn write(&mut self, op: &Op) -> Result<(), TableError> {
        match op {
            Op::SetPeer(addr, peer) => self.peers.set(addr, peer),
            Op::SetBackend(id, backend) => {
                self.sweeper.held().set_backend(*id);
                self.backends.set(u32::from(*id), *backend)
            }
            Op::WriteRing { offset, slots } => {
                check_fit(names::RINGS, *offset, self.rings.write(*offset, slots.iter().copied()))
            }
            Op::WriteHistory { offset, owners } => {
                let ids = owners.iter().flat_map(|owners| owners.ids).collect::<Vec<_>>();
                check_fit(names::HISTORY, *offset, self.history.write(*offset, ids.into_iter()))
            }
            Op::SetEndpoint(key, slot) => self.endpoints.set(key, slot),
            Op::SetEndpointSlot(slot, entry) | Op::ClearEndpointSlot(slot, entry) => {
                self.endpoint_slots.set(*slot, *entry)
            }
            Op::SetRange(service, range) => self.ranges.set(*service, range),
            Op::SetVip(addr, vip) => self.vips.set(addr, vip),
            Op::SetService(key, service) => {
                let before = self.sweeper.held().set_service(*key, service);
                let done = self.services.set(key, service);
                if done.is_err() {
                    self.sweeper.held().replace_service(*key, before);
                }
                done
            }
            Op::DeleteService(key) => {
                self.services.delete(key)?;
                self.sweeper.held().replace_service(*key, None);
                Ok(())
            }
            Op::DeleteVip(addr) => self.vips.delete(addr),
            Op::DeleteEndpoint(key) => self.endpoints.delete(key),
            Op::DeleteRange(service, range) => self.ranges.delete(*service, range),
            Op::ClearBackend(id) => {
                self.backends.set(u32::from(*id), Backend::CLEARED)?;
                self.sweeper.held().clear_backend(*id);
                Ok(())
            }
            Op::DeletePeer(addr) => self.peers.delete(addr),
            Op::ForgetUnheld => self.sweeper.ask(),
            Op::ResetServiceStats(id) => self.stats.reset_service(*id),
            Op::ResetBackendStats(id) => self.stats.reset_backend(*id),
        }
    }

    fn holds(&self, op: &Op) -> Result<bool, TableError> {
        Ok(match op {
            Op::SetPeer(addr, peer) => self.peers.get(addr)?.as_ref() == Some(peer),
            Op::DeletePeer(addr) => self.peers.get(addr)?.is_none(),
            Op::SetBackend(id, backend) => self.backends.get(u32::from(*id))? == *backend,
            Op::ClearBackend(id) => self.backends.get(u32::from(*id))? == Backend::CLEARED,
            Op::WriteRing { offset, slots } => {
                self.rings.read(*offset, slots.len() as u32).is_some_and(|ids| *ids == **slots)
            }
            Op::WriteHistory { offset, owners } => {
                let ids = self.history.read(*offset, owners.len() as u32);
                ids.is_some_and(|ids| ids.iter().eq(owners.iter().flat_map(|owners| &owners.ids)))
            }
            Op::SetEndpoint(key, slot) => self.endpoints.get(key)?.as_ref() == Some(slot),
            Op::SetEndpointSlot(slot, entry) | Op::ClearEndpointSlot(slot, entry) => {
                self.endpoint_slots.get(*slot)? == *entry
            }
            Op::DeleteEndpoint(key) => self.endpoints.get(key)?.is_none(),
            Op::SetRange(service, range) => self.ranges.contains(*service, range)?,
            Op::DeleteRange(service, range) => !self.ranges.contains(*service, range)?,
            Op::SetVip(addr, vip) => self.vips.get(addr)?.as_ref() == Some(vip),
            Op::DeleteVip(addr) => self.vips.get(addr)?.is_none(),
            Op::SetService(key, service) => self.services.get(key)?.as_ref() == Some(service),
            Op::DeleteService(key) => self.services.get(key)?.is_none(),
            // Flows and counters change all the time.
            Op::ForgetUnheld => true,
            Op::ResetServiceStats(_) | Op::ResetBackendStats(_) => true,
        })
    }

    fn sweeps(&self) -> Sweeps {
        self.sweeper.sweeps()
    }

    fn read_mirror(&self) -> Result<Mirror, TableError> {
        let mut mirror = Mirror {
            services: self.services.read_all()?,
            vips: self.vips.read_all()?,
            endpoints: self.endpoints.read_all()?,
            ranges: self.ranges.read_all()?.into(),
            ..Mirror::default()
        };
        let peers: Vec<(Addr, Peer)> = self.peers.read_all()?;
        peers.into_iter().for_each(|(addr, peer)| mirror.set_peer(addr, peer));
        for (id, backend) in (0..=u16::MAX).zip(self.backends.read_all()?) {
            if backend.delivery != delivery::NONE {
                mirror.set_backend(id, backend);
            } else if backend == Backend::CLEARED {
                mirror.quarantine.adopt_backend(id);
            }
        }
        for (slot, entry) in (0..).zip(self.endpoint_slots.read_all()?) {
            if entry != EndpointSlot::default() {
                mirror.endpoint_slots.adopt(slot, entry);
            }
        }
        mirror.adopt_slots(
            |offset, len| self.rings.read(offset, len).map(Arc::from),
            |offset, len| self.history.read(offset, len).map(|ids| group_owners(&ids)),
        );
        let mut held = self.sweeper.held();
        for (key, service) in &mirror.services {
            held.set_service(*key, service);
        }
        mirror.backends.keys().for_each(|id| held.set_backend(*id));
        Ok(mirror)
    }
}

/// Ids in an element of `HISTORY`.
const OWNERS_PER_SLOT: usize = 1 + FORMER;

fn group_owners(ids: &[u16]) -> Arc<[Owners]> {
    ids.as_chunks::<OWNERS_PER_SLOT>().0.iter().map(|ids| Owners { ids: *ids }).collect()
}

fn check_fit(map: &'static str, offset: u32, fits: bool) -> Result<(), TableError> {
    if fits {
        return Ok(());
    }
    Err(TableError { map, entry: format!("slot {offset}"), source: "beyond the end of the map".into() })
}
