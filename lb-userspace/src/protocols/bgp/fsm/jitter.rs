//! Jitter, so that timers of several speakers do not run in step (RFC 4271, section 10).

use std::time::Duration;

use crate::hash::Random;

/// A source of jitter, deterministic for a seed.
#[derive(Clone, Debug)]
pub struct Jitter(Random);

impl Jitter {
    pub fn seeded(seed: u64) -> Self {
        Self(Random::new(seed))
    }

    /// Another source, independent of this one.
    pub fn split(&mut self) -> Self {
        Self::seeded(self.0.next())
    }

    /// 75 % to 100 % of `duration`.
    pub fn apply(&mut self, duration: Duration) -> Duration {
        let [byte, ..] = self.0.next().to_be_bytes();
        duration * 3 / 4 + duration * u32::from(byte) / 1024
    }
}
