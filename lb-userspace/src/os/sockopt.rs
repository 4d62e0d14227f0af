//! Socket options that no crate offers, and questions to the kernel that need a socket.

use std::{
    io,
    os::fd::{AsFd, AsRawFd},
};

use rustix::net::{AddressFamily, SocketType, netdevice::name_to_index, socket};

/// Sets an option. `value` must have the type that the option takes (see its header in
/// `linux/`).
pub fn set_option<T>(socket: &impl AsFd, level: libc::c_int, name: libc::c_int, value: &T) -> io::Result<()> {
    let (value, len) = (std::ptr::from_ref(value).cast(), size_of::<T>() as libc::socklen_t);
    // SAFETY: the kernel reads `len` bytes of the value.
    let result = unsafe { libc::setsockopt(socket.as_fd().as_raw_fd(), level, name, value, len) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// The index of an interface of this network namespace.
pub fn interface_index(interface: &str) -> io::Result<u32> {
    let any = socket(AddressFamily::INET, SocketType::DGRAM, None)?;
    Ok(name_to_index(any, interface)?)
}
