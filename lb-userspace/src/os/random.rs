//! Random numbers of the kernel.

use std::io;

use rustix::rand::{GetRandomFlags, getrandom};

/// One that nobody can predict.
pub fn random_number() -> io::Result<u32> {
    let mut bytes = [0; 4];
    getrandom(&mut bytes, GetRandomFlags::empty())?;
    Ok(u32::from_ne_bytes(bytes))
}
