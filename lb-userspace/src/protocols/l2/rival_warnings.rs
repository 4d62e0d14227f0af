//! Warnings about other machines that announce a VIP of ours, not repeated each time.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    time::{Duration, Instant},
};

use tracing::warn;

use super::wire::Mac;
use crate::neigh;

/// Time between warnings about the same VIP.
const PAUSE: Duration = Duration::from_secs(60);

#[derive(Default)]
pub struct RivalWarnings {
    /// By VIP: when it was warned about last.
    warned: BTreeMap<IpAddr, Instant>,
}

impl RivalWarnings {
    pub fn warn_about(&mut self, vip: IpAddr, mac: Mac, now: Instant) {
        if self.is_due(vip, now) {
            let mac = neigh::next_hop::MacText(mac);
            warn!("{vip} is announced by {mac} too: another machine has the address, or another cluster");
        }
    }

    fn is_due(&mut self, vip: IpAddr, now: Instant) -> bool {
        let is_due = self.warned.get(&vip).is_none_or(|warned| now >= *warned + PAUSE);
        if is_due {
            self.warned.insert(vip, now);
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rival_is_warned_about_once_a_minute_for_each_vip() {
        let start = Instant::now();
        let [one, other] = [1, 2].map(|last| IpAddr::from([192, 0, 2, last]));
        let mut rivals = RivalWarnings::default();
        let mut warned = |vip, seconds| rivals.is_due(vip, start + Duration::from_secs(seconds));
        let all = [(one, 0), (one, 1), (other, 1), (one, 59), (one, 60), (other, 60), (one, 61), (other, 61)];
        let expected = [true, false, true, false, true, false, false, true];
        assert_eq!(all.map(|(vip, seconds)| warned(vip, seconds)), expected);
    }
}
