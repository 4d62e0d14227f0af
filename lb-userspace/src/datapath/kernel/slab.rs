//! The `RINGS` slab, mapped into memory: writing a ring is a copy.

use std::{
    os::fd::{AsFd, AsRawFd},
    path::Path,
    sync::atomic::{AtomicU16, Ordering, fence},
};

use aya::maps::MapData;
use lb_common::ring::{CHUNK_SLOTS, RingChunk};
use memmap2::{MmapOptions, MmapRaw};

use super::{
    load::{LoadError, open},
    map_pin,
};

pub struct Slab {
    memory: MmapRaw,
    slots: usize,
}

impl Slab {
    pub fn open(pin_dir: &Path) -> Result<Self, LoadError> {
        let path = || map_pin(pin_dir, "RINGS");
        let map: MapData = open(pin_dir, "RINGS")?;
        let info = map.info().map_err(|source| LoadError::Pinned { path: path(), source })?;
        let chunks = info.max_entries() as usize;
        let memory = MmapOptions::new()
            .len(chunks * size_of::<RingChunk>())
            .map_raw(map.fd().as_fd().as_raw_fd())
            .map_err(|source| LoadError::Slab { path: path(), source })?;
        Ok(Self { memory, slots: chunks * CHUNK_SLOTS as usize })
    }

    /// Write a ring to a range that no service names yet. False if it does
    /// not fit.
    pub fn write(&self, offset: u32, ring: &[u16]) -> bool {
        let Some(range) = self.range(offset, ring.len()) else { return false };
        for (slot, backend) in range.iter().zip(ring) {
            slot.store(*backend, Ordering::Relaxed);
        }
        // The service that names the ring is written by a system call after this.
        fence(Ordering::SeqCst);
        true
    }

    /// The ring at a range; none if there is no such range.
    pub fn read(&self, offset: u32, len: u32) -> Option<Vec<u16>> {
        let range = self.range(offset, len as usize)?;
        Some(range.iter().map(|slot| slot.load(Ordering::Relaxed)).collect())
    }

    fn range(&self, offset: u32, len: usize) -> Option<&[AtomicU16]> {
        // SAFETY: the mapping is that long, lives as long as `self`, is
        // aligned to a page, and is shared with programs that only read.
        let all = unsafe { std::slice::from_raw_parts(self.memory.as_ptr().cast::<AtomicU16>(), self.slots) };
        all.get(offset as usize..)?.get(..len)
    }
}
