//! A table of flows, which changes all the time while it is looked through.

use std::path::Path;

use aya::{
    Pod,
    maps::{HashMap, Map, MapData, MapError},
};

use super::{
    error::LoadError,
    hash_map::{is_not_found, table_error},
    pinned::{map_pin, open_map},
};
use crate::datapath::TableError;

/// How often a pass may see as many keys as the table has room for: whenever the key that it
/// stands at is evicted, the kernel begins again at the first.
const MAX_ROUNDS: usize = 4;

pub struct FlowTable<K: Pod, V: Pod> {
    name: &'static str,
    /// The iteration borrows one of them, deletions the other.
    read: HashMap<MapData, K, V>,
    write: HashMap<MapData, K, V>,
    max_entries: usize,
}

impl<K: Pod + std::fmt::Debug, V: Pod> FlowTable<K, V> {
    pub fn open(pin_dir: &Path, name: &'static str) -> Result<Self, LoadError> {
        let error = |source| LoadError::Pinned { path: map_pin(pin_dir, name), source };
        let max_entries = open_map(pin_dir, name)?.info().map_err(error)?.max_entries() as usize;
        let open = || HashMap::try_from(Map::LruHashMap(open_map(pin_dir, name)?)).map_err(error);
        Ok(Self { name, read: open()?, write: open()?, max_entries })
    }

    /// Deletes the entries that are gone. Fails if it could not look at all of them.
    pub fn delete_where(&mut self, is_gone: impl Fn(&K, &V) -> bool) -> Result<(), TableError> {
        let error = |e| table_error(self.name, "all entries".into(), e);
        let mut keys = self.read.keys();
        let mut before: Option<K> = None;
        for _ in 0..=self.max_entries * MAX_ROUNDS {
            let next = keys.next().transpose().map_err(error)?;
            // Only now: without the key that it stands at, the iteration would begin again.
            if let Some(key) = before.take()
                && let Some(value) = find(&self.read, &key).map_err(error)?
                && is_gone(&key, &value)
            {
                // An error means that it was evicted meanwhile.
                let _ = self.write.remove(&key);
            }
            before = next;
            if before.is_none() {
                return Ok(());
            }
        }
        Err(TableError {
            map: self.name,
            entry: "all entries".into(),
            source: "it changes too fast to be looked through".into(),
        })
    }
}

fn find<K: Pod, V: Pod>(map: &HashMap<MapData, K, V>, key: &K) -> Result<Option<V>, MapError> {
    match map.get(key, 0) {
        Ok(value) => Ok(Some(value)),
        Err(e) if is_not_found(&e) => Ok(None),
        Err(e) => Err(e),
    }
}
