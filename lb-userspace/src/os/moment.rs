//! The current time, and waiting for a moment.

use std::{future::pending, time::Instant};

/// One reading of the clock, passed to code that must not read the clock itself.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    pub instant: Instant,
    /// Seconds of `CLOCK_MONOTONIC`, as `bpf_ktime_get_ns` counts them.
    pub monotonic_seconds: u32,
}

impl Now {
    pub fn read() -> Self {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        let monotonic_seconds = u32::try_from(now.tv_sec).unwrap_or(u32::MAX);
        Self { instant: Instant::now(), monotonic_seconds }
    }
}

/// Waits until `moment`; without one, forever.
pub async fn wait_until(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment.into()).await,
        None => pending().await,
    }
}
