//! The one bounds-checked way to a packet's bytes. All pointer arithmetic of
//! the programs is here.
//!
//! A [`Cursor`] is the packet as the kernel shows it now; after the head has
//! moved, take a new one. A [`Window`] is a part of it of known length whose
//! bounds were checked once, so that the reads and writes inside cost a single
//! instruction each.

use core::mem::size_of;

use lb_common::checksum;

/// The bytes between `data` and `data_end` of a context.
#[derive(Clone, Copy)]
pub struct Cursor {
    start: usize,
    end: usize,
}

impl Cursor {
    /// # Safety
    /// The bytes between must be those of the packet, as the context of a program
    /// gives them; or, on the host, memory that stays and that nobody else uses.
    #[cfg(any(test, target_arch = "bpf"))]
    #[inline(always)]
    pub(crate) unsafe fn between(start: usize, end: usize) -> Self {
        Self { start, end }
    }

    /// Bytes there are.
    #[expect(clippy::len_without_is_empty, reason = "nobody asks")]
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
        // SAFETY: asserted.
        unsafe { self.load(AT) }
    }

    /// Write the word at byte `AT`, in memory order.
    #[inline(always)]
    pub fn set<T: Word, const AT: usize>(&self, value: T) {
        const { assert!(AT + size_of::<T>() <= N) };
        // SAFETY: asserted.
        unsafe { self.store(AT, value) }
    }

    /// Four words from byte `AT` on: an IPv6 address.
    #[inline(always)]
    pub fn words<const AT: usize>(&self) -> [u32; 4] {
        const { assert!(AT + 16 <= N) };
        // SAFETY: asserted.
        unsafe { [self.load(AT), self.load(AT + 4), self.load(AT + 8), self.load(AT + 12)] }
    }

    /// Write four words from byte `AT` on.
    #[inline(always)]
    pub fn set_words<const AT: usize>(&self, words: [u32; 4]) {
        const { assert!(AT + 16 <= N) };
        // SAFETY: asserted.
        unsafe {
            self.store(AT, words[0]);
            self.store(AT + 4, words[1]);
            self.store(AT + 8, words[2]);
            self.store(AT + 12, words[3]);
        }
    }

    /// Three words from byte `AT` on: the addresses of an Ethernet header.
    #[inline(always)]
    pub fn macs<const AT: usize>(&self) -> [u32; 3] {
        const { assert!(AT + 12 <= N) };
        // SAFETY: asserted.
        unsafe { [self.load(AT), self.load(AT + 4), self.load(AT + 8)] }
    }

    /// Write three words from byte `AT` on.
    #[inline(always)]
    pub fn set_macs<const AT: usize>(&self, macs: [u32; 3]) {
        const { assert!(AT + 12 <= N) };
        // SAFETY: asserted.
        unsafe {
            self.store(AT, macs[0]);
            self.store(AT + 4, macs[1]);
            self.store(AT + 8, macs[2]);
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
    #[cfg(target_arch = "bpf")]
    pub fn sum(&self) -> u64 {
        use aya_ebpf::helpers::bpf_csum_diff;
        const { assert!(N <= 512 && N.is_multiple_of(4), "more than the helper takes") };
        // SAFETY: reads `N` bytes, which are there: see `load`.
        unsafe { bpf_csum_diff(core::ptr::null_mut(), 0, self.0.cast::<u32>(), N as u32, 0) as u32 as u64 }
    }

    /// The same without the kernel's helper.
    #[cfg(not(target_arch = "bpf"))]
    pub fn sum(&self) -> u64 {
        const { assert!(N <= 512 && N.is_multiple_of(4), "more than the helper takes") };
        // SAFETY: all words are within the window.
        (0..N).step_by(4).map(|at| unsafe { self.load::<u32>(at) } as u64).sum()
    }

    /// # Safety
    /// The word must lie within the window.
    #[inline(always)]
    unsafe fn load<T: Word>(&self, at: usize) -> T {
        // SAFETY: within the bounds that `Cursor::window` checked. If they were
        // those of a packet that has moved since, the verifier would have refused
        // the program.
        let word = unsafe { self.0.add(at).cast::<T>() };
        if cfg!(target_arch = "bpf") {
            // SAFETY: as above. The address may be odd: BPF has no alignment faults
            // on the architectures that the verifier takes this from, and
            // `read_unaligned` would become a load for every byte.
            unsafe { *word }
        } else {
            // SAFETY: as above.
            unsafe { word.read_unaligned() }
        }
    }

    /// # Safety
    /// The word must lie within the window.
    #[inline(always)]
    unsafe fn store<T: Word>(&self, at: usize, value: T) {
        // SAFETY: as for `load`.
        let word = unsafe { self.0.add(at).cast::<T>() };
        if cfg!(target_arch = "bpf") {
            // SAFETY: as for `load`.
            unsafe { *word = value }
        } else {
            // SAFETY: as for `load`.
            unsafe { word.write_unaligned(value) }
        }
    }
}
