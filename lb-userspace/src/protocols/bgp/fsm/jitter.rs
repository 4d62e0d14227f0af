//! Timers that are not to beat in time with those of others (RFC 4271, section 10).

use std::time::Duration;

use crate::hash::Random;

/// Deterministic once seeded.
#[derive(Clone, Debug)]
pub struct Jitter(Random);

impl Jitter {
    pub fn seeded(seed: u64) -> Self {
        Self(Random::new(seed))
    }

    /// Another, that goes its own way.
    pub fn split(&mut self) -> Self {
        Self::seeded(self.0.next())
    }

    /// 75 % to 100 % of it.
    pub fn apply(&mut self, duration: Duration) -> Duration {
        let [byte, ..] = self.0.next().to_be_bytes();
        duration * 3 / 4 + duration * u32::from(byte) / 1024
    }
}
