//! The one bounds-checked way to a packet's bytes. All pointer arithmetic of
//! the programs is here.
//!
//! A [`Cursor`] is the packet as the kernel shows it now; after the head has
//! moved, take a new one. A [`Window`] is a part of it of known length whose
//! bounds were checked once, so that the reads and writes inside cost a single
//! instruction each.

use core::mem::size_of;

use aya_ebpf::helpers::bpf_csum_diff;
use lb_common::checksum;

/// The bytes between `data` and `data_end` of a context.
#[derive(Clone, Copy)]
pub struct Cursor {
    start: usize,
    end: usize,
}

impl Cursor {
    /// `start` and `end` must be the context's own `data` and `data_end`.
    #[inline(always)]
    pub fn new(start: usize, end: usize) -> Self {
        Self { start, end }
    }

    /// Bytes there are.
    #[inline(always)]
    pub fn len(&self) -> usize {
        self.end - self.start
    }

    /// The `N` bytes from `offset` on, if the packet has them.
    #[inline(always)]
    pub fn window<const N: usize>(&self, offset: usize) -> Option<Window<N>> {
        // No header that is read here begins further in. The verifier has to be
        // told where an offset comes from a map and not from the stack.
        let at = self.start + (offset & 0x1ff);
        // The comparison must stand in this form, pointer plus constant
        // against `data_end`, for the verifier to learn the range of `at`.
        if at + N > self.end { None } else { Some(Window(at as *mut u8)) }
    }
}

/// `N` bytes of a packet.
///
/// Contract: lives only until the next helper that may move packet data.
#[derive(Clone, Copy)]
pub struct Window<const N: usize>(*mut u8);

/// What may be read from and written to a packet.
pub trait Word: Copy {}
impl Word for u8 {}
impl Word for u16 {}
impl Word for u32 {}

impl<const N: usize> Window<N> {
    /// The word at byte `AT`, in memory order.
    #[inline(always)]
    pub fn get<T: Word, const AT: usize>(&self) -> T {
        const { assert!(AT + size_of::<T>() <= N) };
        // SAFETY: within the bounds that `Cursor::window` checked. The address
        // may be odd; BPF has no alignment faults on the architectures that
        // the verifier takes this from, and `read_unaligned` would become a
        // load for every byte.
        unsafe { *self.0.add(AT).cast::<T>() }
    }

    /// Write the word at byte `AT`, in memory order.
    #[inline(always)]
    pub fn set<T: Word, const AT: usize>(&self, value: T) {
        const { assert!(AT + size_of::<T>() <= N) };
        // SAFETY: as for `get`.
        unsafe { *self.0.add(AT).cast::<T>() = value }
    }

    /// Four words from byte `AT` on: an IPv6 address.
    #[inline(always)]
    pub fn words<const AT: usize>(&self) -> [u32; 4] {
        const { assert!(AT + 16 <= N) };
        // SAFETY: as for `get`.
        unsafe {
            let at = self.0.add(AT).cast::<u32>();
            [*at, *at.add(1), *at.add(2), *at.add(3)]
        }
    }

    /// Bring the checksum at byte `CHECK` up to date, after the word at byte
    /// `AT` was `old` (RFC 1624).
    #[inline(always)]
    pub fn replace<const AT: usize, const CHECK: usize>(&self, old: u16) {
        let difference = checksum::difference(&[old as u32], &[self.get::<u16, AT>() as u32]);
        self.set::<u16, CHECK>(checksum::update(self.get::<u16, CHECK>(), difference));
    }

    /// The sum of all its 16-bit words, in memory order, not folded.
    #[inline(always)]
    pub fn sum(&self) -> u64 {
        const { assert!(N <= 512 && N % 4 == 0, "more than the helper takes") };
        // SAFETY: reads `N` bytes from within the bounds that `Cursor::window`
        // checked.
        unsafe { bpf_csum_diff(core::ptr::null_mut(), 0, self.0.cast::<u32>(), N as u32, 0) as u32 as u64 }
    }

    /// Write four words from byte `AT` on.
    #[inline(always)]
    pub fn set_words<const AT: usize>(&self, words: [u32; 4]) {
        const { assert!(AT + 16 <= N) };
        // SAFETY: as for `get`.
        unsafe {
            let at = self.0.add(AT).cast::<u32>();
            *at = words[0];
            *at.add(1) = words[1];
            *at.add(2) = words[2];
            *at.add(3) = words[3];
        }
    }

    /// Three words from byte `AT` on: the addresses of an Ethernet header.
    #[inline(always)]
    pub fn macs<const AT: usize>(&self) -> [u32; 3] {
        const { assert!(AT + 12 <= N) };
        // SAFETY: as for `get`.
        unsafe {
            let at = self.0.add(AT).cast::<u32>();
            [*at, *at.add(1), *at.add(2)]
        }
    }

    /// Write three words from byte `AT` on.
    #[inline(always)]
    pub fn set_macs<const AT: usize>(&self, macs: [u32; 3]) {
        const { assert!(AT + 12 <= N) };
        // SAFETY: as for `get`.
        unsafe {
            let at = self.0.add(AT).cast::<u32>();
            *at = macs[0];
            *at.add(1) = macs[1];
            *at.add(2) = macs[2];
        }
    }
}
