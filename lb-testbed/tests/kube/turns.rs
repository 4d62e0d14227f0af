//! Who runs beside whom. `cargo xtask test` runs two of these tests at a time, for they mostly wait. Those that may lose
//! nothing, are promised a time or count what is written by then run alone.

use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

static TURN: RwLock<()> = RwLock::new(());

/// Waits until no test runs alone. No other will, for as long as this is held.
pub fn beside_others() -> RwLockReadGuard<'static, ()> {
    TURN.read().unwrap_or_else(PoisonError::into_inner)
}

/// Waits until no other test runs. None will, for as long as this is held.
pub fn alone() -> RwLockWriteGuard<'static, ()> {
    TURN.write().unwrap_or_else(PoisonError::into_inner)
}
