//! How rings lie in the `RINGS` slab.

/// Slots in one element of `RINGS`: 64 bytes, a cache line. An array map
/// rounds its elements up to 8 bytes, so a slot of its own would take four
/// times the memory and the cache.
pub const CHUNK_SLOTS: u32 = 32;

/// `CHUNK_SLOTS` consecutive slots of the slab; each is an index of `BACKENDS`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(C, align(8))]
pub struct RingChunk {
    pub slots: [u16; CHUNK_SLOTS as usize],
}

/// How many former owners of a slot are remembered. Scaling 2 -> 20 -> 3
/// endpoints changes a slot's owner four times on average and seldom more
/// than seven.
pub const FORMER: usize = 7;

/// `HISTORY`: who owns a slot, and who owned it before, newest first, each
/// once. Ids of `BACKENDS`; [`NO_BACKEND`] from the last one on.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[repr(C, align(8))]
pub struct Owners {
    pub ids: [u16; 1 + FORMER],
}

/// The backend id that no backend has: an empty slot.
pub const NO_BACKEND: u16 = 0;
