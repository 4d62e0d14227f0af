//! The maps that the control plane writes, in the kernel.

use std::{collections::BTreeMap, path::Path};

use aya::{
    Pod,
    maps::{Array, HashMap, MapData, MapError},
};
use lb_common::{
    Addr,
    maps::{Backend, Endpoint, EndpointKey, Peer, Service, ServiceKey, Vip, delivery},
};

use super::{
    load::{LoadError, open},
    slab::Slab,
    sweep::Sweeper,
};
use crate::{
    datapath::{TableError, Tables},
    state::{Op, State},
};

pub struct KernelTables {
    services: Hash<ServiceKey, Service>,
    vips: Hash<Addr, Vip>,
    peers: Hash<Addr, Peer>,
    endpoints: Hash<EndpointKey, Endpoint>,
    backends: Array<MapData, Backend>,
    rings: Slab,
    sweeper: Sweeper,
}

impl KernelTables {
    /// All by their pins.
    pub fn open(pin_dir: &Path) -> Result<Self, LoadError> {
        let pinned = |source| LoadError::Pinned { path: pin_dir.into(), source };
        Ok(Self {
            services: Hash::open(pin_dir, "SERVICES")?,
            vips: Hash::open(pin_dir, "VIPS")?,
            peers: Hash::open(pin_dir, "PEERS")?,
            endpoints: Hash::open(pin_dir, "ENDPOINTS")?,
            backends: Array::try_from(aya::maps::Map::Array(open(pin_dir, "BACKENDS")?)).map_err(pinned)?,
            rings: Slab::open(pin_dir)?,
            sweeper: Sweeper::start(pin_dir)?,
        })
    }

    fn set_backend(&mut self, id: u16, backend: Backend) -> Result<(), TableError> {
        let entry = || format!("{id}");
        self.backends.set(u32::from(id), backend, 0).map_err(|e| table_error("BACKENDS", entry(), e))
    }

    fn write_ring(&mut self, offset: u32, slots: &[u16]) -> Result<(), TableError> {
        if self.rings.write(offset, slots) {
            return Ok(());
        }
        let entry = format!("slots {offset} to {}", offset as usize + slots.len());
        Err(TableError { map: "RINGS", entry, source: "beyond the end of the map".into() })
    }
}

impl Tables for KernelTables {
    fn write(&mut self, op: &Op) -> Result<(), TableError> {
        match op {
            Op::SetPeer(addr, peer) => self.peers.set(addr, peer),
            Op::SetBackend(id, backend) => self.set_backend(*id, *backend),
            Op::WriteRing { offset, slots } => self.write_ring(*offset, slots),
            Op::SetEndpoint(key, endpoint) => self.endpoints.set(key, endpoint),
            Op::SetVip(addr) => self.vips.set(addr, &Vip::default()),
            Op::SetService(key, service) => self.services.set(key, service),
            Op::DeleteService(key) => self.services.delete(key),
            Op::DeleteVip(addr) => self.vips.delete(addr),
            Op::DeleteEndpoint(key) => self.endpoints.delete(key),
            Op::ClearBackend(id) => self.set_backend(*id, Backend::default()),
            Op::DeletePeer(addr) => self.peers.delete(addr),
            Op::ForgetEndpoint { .. } | Op::ForgetService { .. } | Op::ForgetBackend { .. } => {
                self.sweeper.forget(op.clone());
                Ok(())
            }
        }
    }

    fn service(&self, key: &ServiceKey) -> Result<Option<Service>, TableError> {
        self.services.get(key)
    }

    fn read(&self) -> Result<State, TableError> {
        let mut state = State {
            services: self.services.all()?,
            vips: self.vips.all::<BTreeMap<_, _>>()?.into_keys().collect(),
            peers: self.peers.all()?,
            endpoints: self.endpoints.all()?,
            ..State::default()
        };
        for (id, backend) in (0..=u16::MAX).zip(self.backends.iter()) {
            let backend = backend.map_err(|e| table_error("BACKENDS", format!("{id}"), e))?;
            if backend.delivery != delivery::NONE {
                state.backends.insert(id, backend);
            }
        }
        for service in state.services.values().filter(|service| service.ring_len > 0) {
            if let Some(slots) = self.rings.read(service.ring_offset, service.ring_len) {
                state.rings.insert(service.ring_offset, slots.into());
            }
        }
        Ok(state)
    }
}

/// A hash map whose errors say which map and which entry.
struct Hash<K: Pod, V: Pod> {
    name: &'static str,
    map: HashMap<MapData, K, V>,
}

impl<K: Pod + std::fmt::Debug, V: Pod> Hash<K, V> {
    fn open(pin_dir: &Path, name: &'static str) -> Result<Self, LoadError> {
        let map = HashMap::try_from(aya::maps::Map::HashMap(open(pin_dir, name)?))
            .map_err(|source| LoadError::Pinned { path: super::map_pin(pin_dir, name), source })?;
        Ok(Self { name, map })
    }

    fn set(&mut self, key: &K, value: &V) -> Result<(), TableError> {
        self.map.insert(key, value, 0).map_err(|e| table_error(self.name, format!("{key:?}"), e))
    }

    /// It is no error if there is nothing to delete.
    fn delete(&mut self, key: &K) -> Result<(), TableError> {
        match self.map.remove(key) {
            Err(MapError::KeyNotFound) | Ok(()) => Ok(()),
            Err(MapError::SyscallError(e)) if e.io_error.raw_os_error() == Some(libc::ENOENT) => Ok(()),
            Err(e) => Err(table_error(self.name, format!("{key:?}"), e)),
        }
    }

    fn get(&self, key: &K) -> Result<Option<V>, TableError> {
        match self.map.get(key, 0) {
            Ok(value) => Ok(Some(value)),
            Err(MapError::KeyNotFound) => Ok(None),
            Err(e) => Err(table_error(self.name, format!("{key:?}"), e)),
        }
    }

    fn all<C: FromIterator<(K, V)>>(&self) -> Result<C, TableError> {
        let entries: Result<C, _> = self.map.iter().collect();
        entries.map_err(|e| table_error(self.name, "all entries".into(), e))
    }
}

fn table_error(map: &'static str, entry: String, source: MapError) -> TableError {
    TableError { map, entry, source: Box::new(source) }
}
