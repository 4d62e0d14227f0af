//! What was learnt of path MTUs, and for how long that holds. Pure.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use lb_common::mtu::least;

use super::Report;
use crate::neigh::{NextHop, NextHops, Reach};

/// How long until a larger packet is tried again (RFC 1191 section 6.3, RFC
/// 8201 section 4).
const LIFETIME: Duration = Duration::from_secs(600);

/// Path MTUs by target, of those to which less fits than to the next hop.
#[derive(Default, Debug)]
pub struct PathMtus(BTreeMap<IpAddr, Learnt>);

#[derive(Debug)]
struct Learnt {
    mtu: u32,
    until: Instant,
}

impl PathMtus {
    /// Take a report into account; true if that changes a path MTU. One that
    /// is not about a packet from here to a target, or tells of more than is
    /// known to fit, is somebody else's, or a lie.
    pub fn learn(&mut self, report: &Report, hops: &NextHops, now: Instant) -> bool {
        let Report { source, target, mtu } = *report;
        let Some(Reach::Via(hop)) = hops.get(&target) else { return false };
        let known = self.0.get(&target).map_or(hop.mtu, |learnt| learnt.mtu.min(hop.mtu));
        // Who says less than that is mistaken, or lying.
        let least = u32::from(least(target.is_ipv4()));
        if mtu > known || mtu >= hop.mtu || mtu < least || !is_ours(source, hops) {
            return false;
        }
        self.0.insert(target, Learnt { mtu, until: now + LIFETIME });
        mtu < known
    }

    /// Forget what is too old; true if there was any.
    pub fn expire(&mut self, now: Instant) -> bool {
        let before = self.0.len();
        self.0.retain(|_, learnt| learnt.until > now);
        self.0.len() < before
    }

    /// The next hops, with these MTUs where they are smaller.
    pub fn applied(&self, hops: &Arc<NextHops>) -> Arc<NextHops> {
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

/// Is it an address that our tunnels begin at?
fn is_ours(source: IpAddr, hops: &NextHops) -> bool {
    let is_source = |reach: &Reach| matches!(reach, Reach::Via(hop) if hop.source == source);
    hops.get(&source) == Some(&Reach::Local) || hops.values().any(is_source)
}

#[cfg(test)]
mod tests;
