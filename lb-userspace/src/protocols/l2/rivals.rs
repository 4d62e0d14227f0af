//! Others who announce what is ours: told, but not each time they do.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    time::{Duration, Instant},
};

use tracing::warn;

use super::wire::Mac;
use crate::neigh;

/// For each VIP.
const PAUSE: Duration = Duration::from_secs(60);

#[derive(Default)]
pub struct Rivals {
    /// When each was told last.
    told: BTreeMap<IpAddr, Instant>,
}

impl Rivals {
    pub fn tell(&mut self, vip: IpAddr, mac: Mac, now: Instant) {
        if self.is_due(vip, now) {
            let mac = neigh::next_hop::Mac(mac);
            warn!("{vip} is announced by {mac} too: another machine has the address, or another cluster");
        }
    }

    fn is_due(&mut self, vip: IpAddr, now: Instant) -> bool {
        let is_due = self.told.get(&vip).is_none_or(|told| now >= *told + PAUSE);
        if is_due {
            self.told.insert(vip, now);
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rival_is_told_of_once_a_minute_for_each_vip() {
        let start = Instant::now();
        let [one, other] = [1, 2].map(|last| IpAddr::from([192, 0, 2, last]));
        let mut rivals = Rivals::default();
        let mut told = |vip, seconds| rivals.is_due(vip, start + Duration::from_secs(seconds));
        let all = [(one, 0), (one, 1), (other, 1), (one, 59), (one, 60), (other, 60), (one, 61), (other, 61)];
        let expected = [true, false, true, false, true, false, false, true];
        assert_eq!(all.map(|(vip, seconds)| told(vip, seconds)), expected);
    }
}
