//! The maps that the control plane writes, in the kernel.

use std::{path::Path, sync::Arc};

use aya::maps::{Array, MapData};
use lb_common::{
    Addr,
    maps::{Backend, Endpoint, EndpointKey, Peer, Service, ServiceKey, Vip, delivery, names},
    ring::{CHUNK_SLOTS, FORMER, Owners},
};

use super::{
    error::LoadError,
    hash_map::{PinnedHashMap, table_error},
    pinned::open_map,
    ranges::Ranges,
    slab::Slab,
    stats::Stats,
    sweep::{Sweep, Sweeper},
};
use crate::{
    datapath::{TableError, Tables},
    plan::{mirror::Mirror, op::Op, quarantine::Sweeps},
};

pub struct KernelTables {
    services: PinnedHashMap<ServiceKey, Service>,
    vips: PinnedHashMap<Addr, Vip>,
    peers: PinnedHashMap<Addr, Peer>,
    endpoints: PinnedHashMap<EndpointKey, Endpoint>,
    ranges: Ranges,
    backends: Array<MapData, Backend>,
    rings: Slab,
    history: Slab,
    stats: Stats,
    sweeper: Sweeper,
}

impl KernelTables {
    /// Opens all of them by their pins, and starts the sweeper.
    pub fn open(pin_dir: &Path) -> Result<Self, LoadError> {
        let pinned = |source| LoadError::Pinned { path: pin_dir.into(), source };
        Ok(Self {
            services: PinnedHashMap::open(pin_dir, names::SERVICES)?,
            vips: PinnedHashMap::open(pin_dir, names::VIPS)?,
            peers: PinnedHashMap::open(pin_dir, names::PEERS)?,
            endpoints: PinnedHashMap::open(pin_dir, names::ENDPOINTS)?,
            ranges: Ranges::open(pin_dir)?,
            backends: Array::try_from(aya::maps::Map::Array(open_map(pin_dir, names::BACKENDS)?))
                .map_err(pinned)?,
            rings: Slab::open(pin_dir, names::RINGS, CHUNK_SLOTS as usize, 1)?,
            history: Slab::open(pin_dir, names::HISTORY, OWNERS_PER_SLOT, OWNERS_PER_SLOT)?,
            stats: Stats::open(pin_dir)?,
            sweeper: Sweeper::start(pin_dir)?,
        })
    }

    fn backend(&self, id: u16) -> Result<Backend, TableError> {
        self.backends.get(&u32::from(id), 0).map_err(|e| table_error(names::BACKENDS, format!("{id}"), e))
    }

    fn set_backend(&mut self, id: u16, backend: Backend) -> Result<(), TableError> {
        let entry = || format!("{id}");
        self.backends.set(u32::from(id), backend, 0).map_err(|e| table_error(names::BACKENDS, entry(), e))
    }
}

impl Tables for KernelTables {
    fn write(&mut self, op: &Op) -> Result<(), TableError> {
        match op {
            Op::SetPeer(addr, peer) => self.peers.set(addr, peer),
            Op::SetBackend(id, backend) => {
                self.sweeper.held().set_backend(*id);
                self.set_backend(*id, *backend)
            }
            Op::WriteRing { offset, slots } => {
                check_fit(names::RINGS, *offset, self.rings.write(*offset, slots.iter().copied()))
            }
            Op::WriteHistory { offset, owners } => {
                let ids = owners.iter().flat_map(|owners| owners.ids).collect::<Vec<_>>();
                check_fit(names::HISTORY, *offset, self.history.write(*offset, ids.into_iter()))
            }
            Op::SetEndpoint(key, endpoint) => {
                self.sweeper.held().add_endpoint(key.service, *endpoint);
                self.endpoints.set(key, endpoint)
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
                self.set_backend(*id, Backend::CLEARED)?;
                self.sweeper.held().clear_backend(*id);
                Ok(())
            }
            Op::DeletePeer(addr) => self.peers.delete(addr),
            Op::ForgetOtherEndpoints { service, endpoints } => {
                self.sweeper.held().keep_endpoints(*service, endpoints);
                self.sweeper.ask(Sweep::Endpoints)
            }
            Op::ForgetUnheld => self.sweeper.ask(Sweep::All),
            Op::ResetServiceStats(id) => self.stats.reset_service(*id),
            Op::ResetBackendStats(id) => self.stats.reset_backend(*id),
        }
    }

    fn holds(&self, op: &Op) -> Result<bool, TableError> {
        Ok(match op {
            Op::SetPeer(addr, peer) => self.peers.get(addr)?.as_ref() == Some(peer),
            Op::DeletePeer(addr) => self.peers.get(addr)?.is_none(),
            Op::SetBackend(id, backend) => self.backend(*id)? == *backend,
            Op::ClearBackend(id) => self.backend(*id)? == Backend::CLEARED,
            Op::WriteRing { offset, slots } => {
                self.rings.read(*offset, slots.len() as u32).is_some_and(|ids| *ids == **slots)
            }
            Op::WriteHistory { offset, owners } => {
                let ids = self.history.read(*offset, owners.len() as u32);
                ids.is_some_and(|ids| ids.iter().eq(owners.iter().flat_map(|owners| &owners.ids)))
            }
            Op::SetEndpoint(key, endpoint) => self.endpoints.get(key)?.as_ref() == Some(endpoint),
            Op::DeleteEndpoint(key) => self.endpoints.get(key)?.is_none(),
            Op::SetRange(service, range) => self.ranges.contains(*service, range)?,
            Op::DeleteRange(service, range) => !self.ranges.contains(*service, range)?,
            Op::SetVip(addr, vip) => self.vips.get(addr)?.as_ref() == Some(vip),
            Op::DeleteVip(addr) => self.vips.get(addr)?.is_none(),
            Op::SetService(key, service) => self.services.get(key)?.as_ref() == Some(service),
            Op::DeleteService(key) => self.services.get(key)?.is_none(),
            // Flows and counters change all the time.
            Op::ForgetOtherEndpoints { .. } | Op::ForgetUnheld => true,
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
        for (id, backend) in (0..=u16::MAX).zip(self.backends.iter()) {
            let backend = backend.map_err(|e| table_error(names::BACKENDS, format!("{id}"), e))?;
            if backend.delivery != delivery::NONE {
                mirror.set_backend(id, backend);
            } else if backend == Backend::CLEARED {
                mirror.quarantine.adopt_backend(id);
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
