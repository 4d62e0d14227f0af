//! Takes a link off its interface, for which aya has no call.
//!
//! Without it the kernel detaches a link some time after its last pin is removed: too late
//! if something else is to be attached there at once, or if it is checked that nothing is.

use std::{
    ffi::CString,
    io,
    os::{
        fd::{AsRawFd, FromRawFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::Path,
};

use crate::datapath::kernel::syscall::bpf;

const BPF_OBJ_GET: libc::c_long = 7;
/// Since Linux 5.9.
const BPF_LINK_DETACH: libc::c_long = 34;

/// The beginnings of `union bpf_attr`.
#[repr(C)]
struct ObjectGet {
    path: u64,
    fd: u32,
    flags: u32,
}

#[repr(C)]
struct LinkDetach {
    link: u32,
}

/// Detach the link that is pinned at `pin`, now; the pin stays.
pub fn detach_link(pin: &Path) -> io::Result<()> {
    let path = CString::new(pin.as_os_str().as_bytes())?;
    let mut get = ObjectGet { path: path.as_ptr() as u64, fd: 0, flags: 0 };
    // SAFETY: the path ends with a zero and lives until the call returns.
    let link = unsafe { bpf(BPF_OBJ_GET, &mut get) }?;
    // SAFETY: the kernel has just made this descriptor for us.
    let link = unsafe { OwnedFd::from_raw_fd(link) };
    // SAFETY: it has no addresses.
    unsafe { bpf(BPF_LINK_DETACH, &mut LinkDetach { link: link.as_raw_fd() as u32 }) }.map(drop)
}
