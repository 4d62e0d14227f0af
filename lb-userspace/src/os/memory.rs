//! Memory that was freed.

/// Gives memory that was freed back to the kernel. By itself glibc keeps it, for each thread apart,
/// so that an agent would for good be as large as it was while it read all objects. Takes some
/// milliseconds: for after much work.
pub fn give_back() {
    // SAFETY: it takes no pointers, and locks what it looks at.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::malloc_trim(0)
    };
}
