//! What is in one map, in another one of the same kind: byte by byte, whatever keys and values are.

use std::{
    io,
    os::fd::{AsFd, AsRawFd},
    path::Path,
    ptr,
};

use aya::maps::{MapData, MapError, MapType};
use memmap2::MmapOptions;

use super::{error::LoadError, syscall::bpf};

/// Commands of bpf(2) (`include/uapi/linux/bpf.h`).
const BPF_MAP_LOOKUP_ELEM: libc::c_long = 1;
const BPF_MAP_UPDATE_ELEM: libc::c_long = 2;
const BPF_MAP_GET_NEXT_KEY: libc::c_long = 4;
/// Since Linux 5.6 of arrays and hash tables, later of others.
const BPF_MAP_LOOKUP_BATCH: libc::c_long = 24;

/// A flag of maps.
const BPF_F_MMAPABLE: u32 = 1 << 10;

/// Flags of updates.
const BPF_ANY: u64 = 0;
const BPF_NOEXIST: u64 = 1;

/// Entries that are read at once: more than the entries of any one bucket, which come together.
const BATCH: usize = 4096;

#[repr(C)]
struct Element {
    map: u32,
    pad: u32,
    key: u64,
    /// Or the next key.
    value: u64,
    flags: u64,
}

#[repr(C)]
struct Batch {
    from: u64,
    to: u64,
    keys: u64,
    values: u64,
    count: u32,
    map: u32,
    element_flags: u64,
    flags: u64,
}

/// Copies what `to` has no entry for. Elements of an array are all there: those that are not zero
/// are copied.
pub fn copy_map(from: &Path, to: &Path) -> Result<(), LoadError> {
    let (old, new) = (Table::open(from)?, Table::open(to)?);
    old.copy_to(&new).map_err(|source| LoadError::Copy { from: from.into(), to: to.into(), source })
}

/// A map, as bytes.
pub struct Table {
    map: MapData,
    kind: MapType,
    /// Of the whole array, if it can be mapped into memory.
    memory_len: Option<usize>,
    key_len: usize,
    /// For all CPUs, if each has its own.
    value_len: usize,
}

impl Table {
    pub fn open(path: &Path) -> Result<Self, LoadError> {
        let error = |source| LoadError::Pinned { path: path.into(), source };
        let map = MapData::from_pin(path).map_err(error)?;
        let info = map.info().map_err(error)?;
        let kind = info.map_type().map_err(error)?;
        let cpus = aya::util::nr_cpus().map_err(|(_, e)| error(MapError::IoError(e)))?;
        let value_len = match kind {
            MapType::PerCpuArray => info.value_size().next_multiple_of(8) as usize * cpus,
            _ => info.value_size() as usize,
        };
        let stride = info.value_size().next_multiple_of(8) as usize;
        let is_mappable = info.map_flags() & BPF_F_MMAPABLE != 0;
        let memory_len = is_mappable.then_some(info.max_entries() as usize * stride);
        Ok(Self { map, kind, memory_len, key_len: info.key_size() as usize, value_len })
    }

    fn copy_to(&self, new: &Self) -> io::Result<()> {
        if let (Some(len), Some(room)) = (self.memory_len, new.memory_len) {
            return self.copy_memory(new, len.min(room));
        }
        self.for_each(|key, value| new.add(key, value))
    }

    /// All entries, key and value, one after the other.
    pub fn for_each(&self, each: impl FnMut(&[u8], &[u8]) -> io::Result<()>) -> io::Result<()> {
        match self.kind {
            MapType::Array | MapType::Hash | MapType::LruHash => self.read_by_batch(each),
            // What is in it is for who listens now.
            MapType::RingBuf => Ok(()),
            _ => self.read_one_by_one(each),
        }
    }

    /// The slabs, of which most is empty: an entry at a time would take a second.
    fn copy_memory(&self, new: &Self, len: usize) -> io::Result<()> {
        let map = |table: &Self| MmapOptions::new().len(len).map_raw(table.map.fd().as_fd().as_raw_fd());
        let (from, to) = (map(self)?, map(new)?);
        // SAFETY: each is as long, and not the other. Programs read the old one; nobody has the new one yet.
        unsafe { ptr::copy_nonoverlapping(from.as_ptr(), to.as_mut_ptr(), len) };
        Ok(())
    }

    fn read_by_batch(&self, mut each: impl FnMut(&[u8], &[u8]) -> io::Result<()>) -> io::Result<()> {
        let (mut keys, mut values) = (vec![0; self.key_len * BATCH], vec![0; self.value_len * BATCH]);
        // The kernel's own: a key, or the number of a bucket.
        let mut position = vec![0; self.key_len.max(size_of::<u64>())];
        let mut is_first = true;
        loop {
            let mut batch = Batch {
                from: if is_first { 0 } else { position.as_ptr() as u64 },
                to: position.as_mut_ptr() as u64,
                keys: keys.as_mut_ptr() as u64,
                values: values.as_mut_ptr() as u64,
                count: BATCH as u32,
                map: self.fd(),
                element_flags: 0,
                flags: 0,
            };
            // SAFETY: `position` has room for a key and for a number, `keys` and `values` for a batch.
            let read = unsafe { bpf(BPF_MAP_LOOKUP_BATCH, &mut batch) };
            let is_last = match read {
                Ok(_) => false,
                Err(e) if e.raw_os_error() == Some(libc::ENOENT) => true,
                Err(e) => return Err(e),
            };
            let entries = keys.chunks(self.key_len).zip(values.chunks(self.value_len));
            entries.take(batch.count as usize).try_for_each(|(key, value)| each(key, value))?;
            if is_last {
                return Ok(());
            }
            is_first = false;
        }
    }

    fn read_one_by_one(&self, mut each: impl FnMut(&[u8], &[u8]) -> io::Result<()>) -> io::Result<()> {
        let mut key: Option<Vec<u8>> = None;
        let mut value = vec![0; self.value_len];
        loop {
            let mut next = vec![0; self.key_len];
            let from = key.as_ref().map_or(0, |key| key.as_ptr() as u64);
            if !self.call(BPF_MAP_GET_NEXT_KEY, from, next.as_mut_ptr() as u64, BPF_ANY)? {
                return Ok(());
            }
            if self.call(BPF_MAP_LOOKUP_ELEM, next.as_ptr() as u64, value.as_mut_ptr() as u64, BPF_ANY)? {
                each(&next, &value)?;
            }
            key = Some(next);
        }
    }

    /// If there is no such entry yet. `key` and `value` are as long as those of the map.
    pub fn add(&self, key: &[u8], value: &[u8]) -> io::Result<()> {
        if (key.len(), value.len()) != (self.key_len, self.value_len) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let is_array = matches!(self.kind, MapType::Array | MapType::PerCpuArray);
        if is_array && value.iter().all(|byte| *byte == 0) {
            return Ok(());
        }
        let flags = if is_array { BPF_ANY } else { BPF_NOEXIST };
        self.call(BPF_MAP_UPDATE_ELEM, key.as_ptr() as u64, value.as_ptr() as u64, flags).map(drop)
    }

    /// False if there is no such entry, or if there is one already. The addresses are of buffers of
    /// `key_len` and `value_len`.
    fn call(&self, command: libc::c_long, key: u64, value: u64, flags: u64) -> io::Result<bool> {
        let mut element = Element { map: self.fd(), pad: 0, key, value, flags };
        // SAFETY: as said above.
        match unsafe { bpf(command, &mut element) } {
            Ok(_) => Ok(true),
            Err(e) if matches!(e.raw_os_error(), Some(libc::ENOENT | libc::EEXIST)) => Ok(false),
            Err(e) => Err(e),
        }
    }

    fn fd(&self) -> u32 {
        self.map.fd().as_fd().as_raw_fd() as u32
    }
}
