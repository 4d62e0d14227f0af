//! The current time, and waiting for a moment.

use std::{
    future::pending,
    time::{Duration, Instant},
};

/// One reading of the clock, passed to code that must not read the clock itself.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    pub instant: Instant,
    /// `CLOCK_MONOTONIC`, as `bpf_ktime_get_ns` reads it: the time since the machine started.
    pub monotonic: Duration,
}

impl Now {
    pub fn read() -> Self {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        let monotonic = Duration::try_from(now).unwrap_or_default();
        Self { instant: Instant::now(), monotonic }
    }
}

/// Waits until `moment`; without one, forever.
pub async fn wait_until(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment.into()).await,
        None => pending().await,
    }
}
