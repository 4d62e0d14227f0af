//! The current time, and waiting for a moment.

use std::{
    future::pending,
    time::{Duration, Instant},
};

use tokio::time::{Interval, MissedTickBehavior};

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

/// Ticks now, and then once in each period. After a late tick the next comes a whole period later: what has to
/// take time takes it, and no work is done in a burst.
#[expect(clippy::disallowed_methods, reason = "the one place that sets what becomes of missed ticks")]
pub fn ticks_every(period: Duration) -> Interval {
    let mut ticks = tokio::time::interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

/// Waits until `moment`; without one, forever.
pub async fn wait_until(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment.into()).await,
        None => pending().await,
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[tokio::test]
    async fn a_late_tick_is_followed_by_a_whole_period() {
        const PERIOD: Duration = Duration::from_millis(20);
        let mut ticks = ticks_every(PERIOD);
        ticks.tick().await;
        thread::sleep(PERIOD * 11 / 2);
        let late = Instant::now();
        ticks.tick().await;
        ticks.tick().await;
        let took = late.elapsed();
        assert!(took >= PERIOD, "{took:?}: a tick that was missed came late");
    }
}
