//! One agent to a pin directory: two would fight over the same maps.

use std::{os::fd::OwnedFd, path::Path};

use rustix::fs::{FlockOperation, Mode, OFlags, flock, open};

use super::error::EnvironmentError;

/// The directory is ours as long as this lives, or its process.
#[derive(Debug)]
pub struct PinLock {
    _directory: OwnedFd,
}

/// Fails if somebody else has it.
pub fn take(pin_dir: &Path) -> Result<PinLock, EnvironmentError> {
    let error = |e: rustix::io::Errno| EnvironmentError::PinDir { path: pin_dir.into(), source: e.into() };
    let directory = open(pin_dir, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
    let directory = directory.map_err(error)?;
    match flock(&directory, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(PinLock { _directory: directory }),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(EnvironmentError::InUse { path: pin_dir.into() }),
        Err(e) => Err(error(e)),
    }
}
