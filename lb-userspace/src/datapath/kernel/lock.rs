//! One agent to a pin directory: two would overwrite each other's maps.

use std::{
    os::fd::OwnedFd,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use rustix::{
    fs::{FlockOperation, Mode, OFlags, flock, open},
    io::Errno,
};

use super::error::EnvironmentError;

/// A lock (flock(2)) on the directory, held until this is dropped or the process ends.
#[derive(Debug)]
pub struct PinLock {
    _directory: OwnedFd,
}

/// For how long to wait for an agent whose socket is silent already.
const LEAVE: Duration = Duration::from_secs(2);

/// Fails if another process has the lock, and keeps it.
pub fn lock_pin_dir(pin_dir: &Path) -> Result<PinLock, EnvironmentError> {
    let error = |e: Errno| EnvironmentError::PinDir { path: pin_dir.into(), source: e.into() };
    let directory = open(pin_dir, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
    let directory = directory.map_err(error)?;
    let end = Instant::now() + LEAVE;
    loop {
        match flock(&directory, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(PinLock { _directory: directory }),
            Err(Errno::WOULDBLOCK) if Instant::now() < end => thread::sleep(Duration::from_millis(20)),
            Err(Errno::WOULDBLOCK) => return Err(EnvironmentError::InUse { path: pin_dir.into() }),
            Err(e) => return Err(error(e)),
        }
    }
}
