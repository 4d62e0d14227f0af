//! The slabs `RINGS` and `HISTORY`, mapped into memory: writing is a copy.

use std::{
    os::fd::{AsFd, AsRawFd},
    path::Path,
    sync::atomic::{AtomicU16, Ordering, fence},
};

use aya::maps::MapData;
use memmap2::{MmapOptions, MmapRaw};

use super::{
    error::LoadError,
    pinned::{map_pin, open_map},
};

/// Backend ids, `width` of them to a slot.
pub struct Slab {
    memory: MmapRaw,
    ids: usize,
    width: usize,
}

impl Slab {
    /// The elements of the map have `chunk` ids.
    pub fn open(pin_dir: &Path, name: &str, chunk: usize, width: usize) -> Result<Self, LoadError> {
        let path = || map_pin(pin_dir, name);
        let map: MapData = open_map(pin_dir, name)?;
        let info = map.info().map_err(|source| LoadError::Pinned { path: path(), source })?;
        let ids = info.max_entries() as usize * chunk;
        let memory = MmapOptions::new()
            .len(ids * size_of::<u16>())
            .map_raw(map.fd().as_fd().as_raw_fd())
            .map_err(|source| LoadError::Slab { path: path(), source })?;
        Ok(Self { memory, ids, width })
    }

    /// Write to slots that no service names yet, from slot `offset` on. False if they are
    /// beyond the end of the map.
    pub fn write(&self, offset: u32, ids: impl ExactSizeIterator<Item = u16>) -> bool {
        let Some(range) = self.ids_at(offset, ids.len()) else { return false };
        for (place, id) in range.iter().zip(ids) {
            place.store(id, Ordering::Relaxed);
        }
        // The service that names the range is written by a system call after this.
        fence(Ordering::SeqCst);
        true
    }

    /// What is at a range of slots; none if there is no such range.
    pub fn read(&self, offset: u32, slots: u32) -> Option<Vec<u16>> {
        let range = self.ids_at(offset, slots as usize * self.width)?;
        Some(range.iter().map(|id| id.load(Ordering::Relaxed)).collect())
    }

    fn ids_at(&self, offset: u32, ids: usize) -> Option<&[AtomicU16]> {
        // SAFETY: the mapping is that long, lives as long as `self`, is
        // aligned to a page, and is shared with programs that only read.
        let all = unsafe { std::slice::from_raw_parts(self.memory.as_ptr().cast::<AtomicU16>(), self.ids) };
        all.get(offset as usize * self.width..)?.get(..ids)
    }
}
