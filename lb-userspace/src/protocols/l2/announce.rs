//! When a VIP's place is announced without being asked: a few times when it
//! becomes ours, then now and then; and never too many at a time. Pure.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    time::{Duration, Instant},
};

use crate::hash::Random;

/// After becoming ours: neighbours may miss one.
const REPEATS: [Duration; 4] =
    [Duration::from_millis(200), Duration::from_secs(1), Duration::from_secs(2), Duration::from_secs(4)];
/// From then on; a little earlier at random, so that they spread.
const PERIOD: Duration = Duration::from_secs(30);
const SPREAD_MS: u64 = 10_000;
/// So many at a time, and then a pause: 20,000 a second.
const BATCH: usize = 100;
const PAUSE: Duration = Duration::from_millis(5);

pub struct Schedule {
    due: BTreeSet<(Instant, IpAddr)>,
    /// When it is due, and how often it was announced since it became ours.
    vips: BTreeMap<IpAddr, (Instant, usize)>,
    /// Not before.
    rested: Option<Instant>,
    random: Random,
}

impl Schedule {
    pub fn new(seed: u64) -> Self {
        Self { due: BTreeSet::new(), vips: BTreeMap::new(), rested: None, random: Random::new(seed) }
    }

    /// From the beginning.
    pub fn start(&mut self, vip: IpAddr, now: Instant) {
        self.put(vip, now, 0);
    }

    pub fn stop(&mut self, vip: &IpAddr) {
        if let Some((due, _)) = self.vips.remove(vip) {
            self.due.remove(&(due, *vip));
        }
    }

    /// What is to be announced now.
    pub fn take(&mut self, now: Instant) -> Vec<IpAddr> {
        if self.rested.is_some_and(|rested| rested > now) {
            return Vec::new();
        }
        let due = self.due.iter().take_while(|(due, _)| *due <= now).take(BATCH);
        let vips: Vec<_> = due.map(|(_, vip)| *vip).collect();
        self.rested = (vips.len() == BATCH).then_some(now + PAUSE);
        for vip in &vips {
            let times = self.vips.get(vip).map_or(0, |(_, times)| *times);
            let pause = REPEATS.get(times).copied().unwrap_or_else(|| self.period());
            self.put(*vip, now + pause, times + 1);
        }
        vips
    }

    pub fn next_deadline(&self) -> Option<Instant> {
        let (due, _) = self.due.first()?;
        Some(self.rested.map_or(*due, |rested| rested.max(*due)))
    }

    fn period(&mut self) -> Duration {
        PERIOD - Duration::from_millis(self.random.below(SPREAD_MS))
    }

    fn put(&mut self, vip: IpAddr, due: Instant, times: usize) {
        self.stop(&vip);
        self.vips.insert(vip, (due, times));
        self.due.insert((due, vip));
    }
}

#[cfg(test)]
mod tests;
