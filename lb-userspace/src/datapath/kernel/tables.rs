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
    sweep::Sweeper,
};
use crate::{
    datapath::{TableError, Tables},
    plan::mirror::{Mirror, Op},
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
            sweeper: Sweeper::start(pin_dir)?,
        })
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
            Op::SetBackend(id, backend) => self.set_backend(*id, *backend),
            Op::WriteRing { offset, slots } => {
                check_fit(names::RINGS, *offset, self.rings.write(*offset, slots.iter().copied()))
            }
            Op::WriteHistory { offset, owners } => {
                let ids = owners.iter().flat_map(|owners| owners.ids).collect::<Vec<_>>();
                check_fit(names::HISTORY, *offset, self.history.write(*offset, ids.into_iter()))
            }
            Op::SetEndpoint(key, endpoint) => self.endpoints.set(key, endpoint),
            Op::SetRange(service, range) => self.ranges.set(*service, range),
            Op::SetVip(addr, vip) => self.vips.set(addr, vip),
            Op::SetService(key, service) => self.services.set(key, service),
            Op::DeleteService(key) => self.services.delete(key),
            Op::DeleteVip(addr) => self.vips.delete(addr),
            Op::DeleteEndpoint(key) => self.endpoints.delete(key),
            Op::DeleteRange(service, range) => self.ranges.delete(*service, range),
            Op::ClearBackend(id) => self.set_backend(*id, Backend::default()),
            Op::DeletePeer(addr) => self.peers.delete(addr),
            Op::ForgetOtherEndpoints { .. } | Op::ForgetService { .. } | Op::ForgetBackend { .. } => {
                self.sweeper.forget(op.clone());
                Ok(())
            }
        }
    }

    fn read_service(&self, key: &ServiceKey) -> Result<Option<Service>, TableError> {
        self.services.get(key)
    }

    fn read_mirror(&self) -> Result<Mirror, TableError> {
        let mut mirror = Mirror {
            services: self.services.read_all()?,
            vips: self.vips.read_all()?,
            peers: self.peers.read_all()?,
            endpoints: self.endpoints.read_all()?,
            ranges: self.ranges.read_all()?,
            ..Mirror::default()
        };
        for (id, backend) in (0..=u16::MAX).zip(self.backends.iter()) {
            let backend = backend.map_err(|e| table_error(names::BACKENDS, format!("{id}"), e))?;
            if backend.delivery != delivery::NONE {
                mirror.backends.insert(id, backend);
            }
        }
        for service in mirror.services.values() {
            let (ring, history) = (service.ring_offset, service.history_offset);
            if let Some(slots) = self.rings.read(ring, service.ring_len).filter(|_| ring > 0) {
                mirror.rings.insert(ring, slots.into());
            }
            if let Some(ids) = self.history.read(history, service.ring_len).filter(|_| history > 0) {
                mirror.histories.insert(history, group_owners(&ids));
            }
        }
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
