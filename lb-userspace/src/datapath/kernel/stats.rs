//! The counters: sums over all CPUs, and a new beginning.

use std::path::Path;

use aya::maps::{Map, MapData, MapError, PerCpuArray, PerCpuValues};
use lb_common::{
    Verdict,
    maps::{Traffic, names},
};

use super::{
    error::LoadError,
    hash_map::table_error,
    pinned::{map_pin, open_map},
};
use crate::datapath::TableError;

pub struct Stats {
    verdicts: PerCpuArray<MapData, u64>,
    services: PerCpuArray<MapData, Traffic>,
    backends: PerCpuArray<MapData, Traffic>,
    searches: PerCpuArray<MapData, u64>,
}

impl Stats {
    pub fn open(pin_dir: &Path) -> Result<Self, LoadError> {
        Ok(Self {
            verdicts: open_array(pin_dir, names::VERDICTS)?,
            services: open_array(pin_dir, names::SERVICE_STATS)?,
            backends: open_array(pin_dir, names::BACKEND_STATS)?,
            searches: open_array(pin_dir, names::SEARCHES)?,
        })
    }

    /// Packets with this verdict since the maps were made.
    pub fn verdict(&self, verdict: Verdict) -> Result<u64, MapError> {
        Ok(self.verdicts.get(&(verdict as u32), 0)?.iter().sum())
    }

    /// Searches that ended here: see [`lb_common::maps::SEARCHES_LEN`].
    pub fn searches(&self, hops: u32) -> Result<u64, MapError> {
        Ok(self.searches.get(&hops, 0)?.iter().sum())
    }

    /// Packets and bytes to a service, by its id.
    pub fn service(&self, id: u32) -> Result<Traffic, MapError> {
        sum_over_cpus(&self.services, id)
    }

    /// Packets and bytes to a backend, by its id.
    pub fn backend(&self, id: u16) -> Result<Traffic, MapError> {
        sum_over_cpus(&self.backends, u32::from(id))
    }

    pub fn reset_service(&mut self, id: u32) -> Result<(), TableError> {
        let done = reset(&mut self.services, id);
        done.map_err(|e| table_error(names::SERVICE_STATS, format!("{id}"), e))
    }

    pub fn reset_backend(&mut self, id: u16) -> Result<(), TableError> {
        let done = reset(&mut self.backends, u32::from(id));
        done.map_err(|e| table_error(names::BACKEND_STATS, format!("{id}"), e))
    }
}

fn open_array<V: aya::Pod>(pin_dir: &Path, name: &str) -> Result<PerCpuArray<MapData, V>, LoadError> {
    PerCpuArray::try_from(Map::PerCpuArray(open_map(pin_dir, name)?))
        .map_err(|source| LoadError::Pinned { path: map_pin(pin_dir, name), source })
}

fn reset(map: &mut PerCpuArray<MapData, Traffic>, id: u32) -> Result<(), MapError> {
    let cpus = map.get(&id, 0)?.len();
    let zeros = PerCpuValues::try_from(vec![Traffic::default(); cpus])?;
    map.set(id, zeros, 0)
}

fn sum_over_cpus(map: &PerCpuArray<MapData, Traffic>, id: u32) -> Result<Traffic, MapError> {
    let total = map.get(&id, 0)?.iter().fold(Traffic::default(), |total, cpu| Traffic {
        packets: total.packets + cpu.packets,
        bytes: total.bytes + cpu.bytes,
    });
    Ok(total)
}
