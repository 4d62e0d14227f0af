//! When a VIP's MAC address is announced without a question: a few times after the VIP
//! became ours, then about twice a minute, and never too many VIPs at a time. Pure.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    time::{Duration, Instant},
};

use crate::hash::Random;

/// Times between the first announcements of a VIP: neighbours may miss one.
const REPEATS: [Duration; 4] =
    [Duration::from_millis(200), Duration::from_secs(1), Duration::from_secs(2), Duration::from_secs(4)];
/// Time between later announcements, less a random part of `SPREAD_MS`, so that the
/// announcements of several VIPs spread.
const PERIOD: Duration = Duration::from_secs(30);
const SPREAD_MS: u64 = 10_000;
/// VIPs announced at a time, before a pause: 20,000 a second at most.
const BATCH: usize = 100;
const PAUSE: Duration = Duration::from_millis(5);

pub struct AnnouncementSchedule {
    due: BTreeSet<(Instant, IpAddr)>,
    /// By VIP: when it is due, and how often it was announced since it became ours.
    vips: BTreeMap<IpAddr, (Instant, usize)>,
    /// Nothing is announced before this moment.
    paused_until: Option<Instant>,
    random: Random,
}

impl AnnouncementSchedule {
    pub fn new(seed: u64) -> Self {
        Self { due: BTreeSet::new(), vips: BTreeMap::new(), paused_until: None, random: Random::new(seed) }
    }

    /// Announces a VIP that has become ours, with its first repeats.
    pub fn start(&mut self, vip: IpAddr, now: Instant) {
        self.schedule_vip(vip, now, 0);
    }

    pub fn stop(&mut self, vip: &IpAddr) {
        if let Some((due, _)) = self.vips.remove(vip) {
            self.due.remove(&(due, *vip));
        }
    }

    /// The VIPs to announce now; each is scheduled anew.
    pub fn take_due(&mut self, now: Instant) -> Vec<IpAddr> {
        if self.paused_until.is_some_and(|paused_until| paused_until > now) {
            return Vec::new();
        }
        let due = self.due.iter().take_while(|(due, _)| *due <= now).take(BATCH);
        let vips: Vec<_> = due.map(|(_, vip)| *vip).collect();
        self.paused_until = (vips.len() == BATCH).then_some(now + PAUSE);
        for vip in &vips {
            let times = self.vips.get(vip).map_or(0, |(_, times)| *times);
            let pause = REPEATS.get(times).copied().unwrap_or_else(|| self.random_period());
            self.schedule_vip(*vip, now + pause, times + 1);
        }
        vips
    }

    pub fn next_deadline(&self) -> Option<Instant> {
        let (due, _) = self.due.first()?;
        Some(self.paused_until.map_or(*due, |paused_until| paused_until.max(*due)))
    }

    fn random_period(&mut self) -> Duration {
        PERIOD - Duration::from_millis(self.random.below(SPREAD_MS))
    }

    fn schedule_vip(&mut self, vip: IpAddr, due: Instant, times: usize) {
        self.stop(&vip);
        self.vips.insert(vip, (due, times));
        self.due.insert((due, vip));
    }
}

#[cfg(test)]
mod tests;
