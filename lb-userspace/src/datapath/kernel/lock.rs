//! One agent to a pin directory: two would overwrite each other's maps.

use std::{os::fd::OwnedFd, path::Path};

use rustix::fs::{FlockOperation, Mode, OFlags, flock, open};

use super::error::EnvironmentError;

/// A lock (flock(2)) on the directory, held until this is dropped or the process ends.
#[derive(Debug)]
pub struct PinLock {
    _directory: OwnedFd,
}

/// Fails if another process has the lock.
pub fn lock_pin_dir(pin_dir: &Path) -> Result<PinLock, EnvironmentError> {
    let error = |e: rustix::io::Errno| EnvironmentError::PinDir { path: pin_dir.into(), source: e.into() };
    let directory = open(pin_dir, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
    let directory = directory.map_err(error)?;
    match flock(&directory, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(PinLock { _directory: directory }),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(EnvironmentError::InUse { path: pin_dir.into() }),
        Err(e) => Err(error(e)),
    }
}
