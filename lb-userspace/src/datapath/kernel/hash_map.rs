//! A pinned hash map.

use std::path::Path;

use aya::{
    Pod,
    maps::{HashMap, MapData, MapError},
};

use super::{
    error::LoadError,
    pinned::{map_pin, open_map},
};
use crate::datapath::TableError;

/// A hash map whose errors say which map and which entry.
pub struct PinnedHashMap<K: Pod, V: Pod> {
    name: &'static str,
    map: HashMap<MapData, K, V>,
}

impl<K: Pod + std::fmt::Debug, V: Pod> PinnedHashMap<K, V> {
    pub fn open(pin_dir: &Path, name: &'static str) -> Result<Self, LoadError> {
        let map = HashMap::try_from(aya::maps::Map::HashMap(open_map(pin_dir, name)?))
            .map_err(|source| LoadError::Pinned { path: map_pin(pin_dir, name), source })?;
        Ok(Self { name, map })
    }

    pub fn set(&mut self, key: &K, value: &V) -> Result<(), TableError> {
        self.map.insert(key, value, 0).map_err(|e| table_error(self.name, format!("{key:?}"), e))
    }

    /// It is no error if there is nothing to delete.
    pub fn delete(&mut self, key: &K) -> Result<(), TableError> {
        match self.map.remove(key) {
            Err(e) if !is_not_found(&e) => Err(table_error(self.name, format!("{key:?}"), e)),
            _ => Ok(()),
        }
    }

    pub fn get(&self, key: &K) -> Result<Option<V>, TableError> {
        match self.map.get(key, 0) {
            Ok(value) => Ok(Some(value)),
            Err(MapError::KeyNotFound) => Ok(None),
            Err(e) => Err(table_error(self.name, format!("{key:?}"), e)),
        }
    }

    pub fn read_all<C: FromIterator<(K, V)>>(&self) -> Result<C, TableError> {
        let entries: Result<C, _> = self.map.iter().collect();
        entries.map_err(|e| table_error(self.name, "all entries".into(), e))
    }
}

/// Does the error say that there is no such entry?
pub fn is_not_found(error: &MapError) -> bool {
    match error {
        MapError::KeyNotFound => true,
        MapError::SyscallError(e) => e.io_error.raw_os_error() == Some(libc::ENOENT),
        _ => false,
    }
}

pub fn table_error(map: &'static str, entry: String, source: MapError) -> TableError {
    TableError { map, entry, source: Box::new(source) }
}
