//! Pinned arrays.

use std::{
    io,
    path::{Path, PathBuf},
    ptr,
};

use aya::{
    Pod,
    maps::{Array, Map, MapData},
};

use super::{
    copy::Table,
    error::LoadError,
    hash_map::table_error,
    pinned::{map_pin, open_map},
};
use crate::datapath::TableError;

pub struct PinnedArray<V: Pod> {
    name: &'static str,
    pin: PathBuf,
    map: Array<MapData, V>,
}

impl<V: Pod> PinnedArray<V> {
    pub fn open(pin_dir: &Path, name: &'static str) -> Result<Self, LoadError> {
        let pin = map_pin(pin_dir, name);
        let map = Array::try_from(Map::Array(open_map(pin_dir, name)?))
            .map_err(|source| LoadError::Pinned { path: pin.clone(), source })?;
        Ok(Self { name, pin, map })
    }

    pub fn get(&self, index: u32) -> Result<V, TableError> {
        self.map.get(&index, 0).map_err(|e| table_error(self.name, format!("{index}"), e))
    }

    pub fn set(&mut self, index: u32, value: V) -> Result<(), TableError> {
        self.map.set(index, value, 0).map_err(|e| table_error(self.name, format!("{index}"), e))
    }

    /// By many at once: one at a time, 100,000 take a tenth of a second.
    pub fn read_all(&self) -> Result<Vec<V>, TableError> {
        let error = |source: Box<dyn std::error::Error + Send + Sync>| TableError {
            map: self.name,
            entry: "all entries".into(),
            source,
        };
        let mut values = Vec::new();
        let table = Table::open(&self.pin).map_err(|e| error(e.into()))?;
        let read = table.for_each(|_, value| {
            if value.len() != size_of::<V>() {
                return Err(io::ErrorKind::InvalidData.into());
            }
            // SAFETY: as many bytes as a `V` has, and any bytes are one.
            values.push(unsafe { ptr::read_unaligned(value.as_ptr().cast()) });
            Ok(())
        });
        read.map_err(|e| error(e.into()))?;
        Ok(values)
    }
}
