//! bpf(2), for what aya has no call for.

use std::{io, ptr};

/// `attributes` is the beginning of `union bpf_attr`; the kernel takes the rest for zeros, and writes
/// back to it what the command gives.
///
/// # Safety
///
/// Addresses in `attributes` have to be those of memory that is as large as the command takes it to be.
pub unsafe fn bpf<T>(command: libc::c_long, attributes: &mut T) -> io::Result<i32> {
    // SAFETY: `attributes` is as long as we say; the caller answers for what it points to.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, ptr::from_mut(attributes), size_of::<T>()) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result as i32) }
}
