//! Path MTUs that routers reported, and for how long they hold. Pure.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use lb_common::mtu::least;

use super::PathMtuReport;
use crate::neigh::{NextHop, NextHops, Reach};

/// Time until a larger packet is tried again (RFC 1191, section 6.3; RFC 8201, section 4).
const LIFETIME: Duration = Duration::from_secs(600);

/// Path MTUs by target, for targets whose path has a smaller MTU than the next hop's.
#[derive(Default, Debug)]
pub struct PathMtus(BTreeMap<IpAddr, Learnt>);

#[derive(Debug)]
struct Learnt {
    mtu: u32,
    until: Instant,
}

impl PathMtus {
    /// Takes a report into account; true if that changes a path MTU. Ignores a report
    /// about a packet that did not go from here to a target, and one whose MTU is larger
    /// than the known one: it is meant for somebody else, or forged.
    pub fn learn_report(&mut self, report: &PathMtuReport, hops: &NextHops, now: Instant) -> bool {
        let PathMtuReport { source, target, mtu } = *report;
        let Some(Reach::Via(hop)) = hops.get(&target) else { return false };
        let known = self.0.get(&target).map_or(hop.mtu, |learnt| learnt.mtu.min(hop.mtu));
        // No IP path has a smaller MTU: a report of less is wrong or forged.
        let least = u32::from(least(target.is_ipv4()));
        if mtu > known || mtu >= hop.mtu || mtu < least || !is_ours(source, hops) {
            return false;
        }
        self.0.insert(target, Learnt { mtu, until: now + LIFETIME });
        mtu < known
    }

    /// Forgets path MTUs that are too old; true if there were any.
    pub fn expire(&mut self, now: Instant) -> bool {
        let before = self.0.len();
        self.0.retain(|_, learnt| learnt.until > now);
        self.0.len() < before
    }

    /// The next hops, with the path MTU in place of the MTU where it is smaller.
    pub fn adjusted_hops(&self, hops: &Arc<NextHops>) -> Arc<NextHops> {
        if self.0.is_empty() {
            return hops.clone();
        }
        let mut hops = NextHops::clone(hops);
        for (target, learnt) in &self.0 {
            if let Some(Reach::Via(NextHop { mtu, .. })) = hops.get_mut(target) {
                *mtu = learnt.mtu.min(*mtu);
            }
        }
        hops.into()
    }
}

/// Is it an address that our tunnel packets are sent from?
fn is_ours(source: IpAddr, hops: &NextHops) -> bool {
    let is_source = |reach: &Reach| matches!(reach, Reach::Via(hop) if hop.source == source);
    hops.get(&source) == Some(&Reach::Local) || hops.values().any(is_source)
}

#[cfg(test)]
mod tests;
