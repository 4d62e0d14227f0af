//! What an agent tells its speakers, and hears of them.

#[cfg(test)]
mod tests;

use std::{
    collections::BTreeSet,
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use lb_common::maps::Service;
use tracing::info;

use super::{reach, reconcile::Programmed, speakers::Heard};
use crate::{
    announce::{
        self, Announcements,
        departure::{Departure, Pace},
    },
    objects::model::Cluster,
    plan::{Identity, mirror::Mirror},
    protocols::{
        bgp::{self, PeerStatus, config::Leaving},
        l2::VipStatus,
    },
};

/// For how long routers are left with what they kept over a restart, if the data
/// path does not come to be what it should: then a part of it is better than
/// what nobody has looked after since.
const PATIENCE: Duration = Duration::from_secs(10);

/// Gives the speakers new orders whenever there is something new to say.
pub struct Dispatcher {
    outlook: Outlook,
    /// Orders may have to be given anew.
    is_stale: bool,
    /// The step that the last orders were about.
    ordered: Option<Leaving>,
    complete: Complete,
    /// The cluster in which [`Outlook::silent`] was found.
    searched: Arc<Cluster>,
}

/// What there is to be told about announcements. Cheap to copy.
#[derive(Clone)]
pub struct Outlook {
    departure: Departure,
    heard: Heard,
    /// Where advertisements contradict each other.
    problems: Arc<[String]>,
    /// Who is announced by nobody.
    silent: Arc<[String]>,
}

/// Whether orders hold all that was announced before a restart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Complete {
    /// Nothing was ordered yet.
    Unknown,
    /// Not everything is proven; that it ever will be is not waited for longer than this.
    Until(Instant),
    Yes,
}

impl Dispatcher {
    pub fn new(pace: Pace, heard: Heard) -> Self {
        let outlook = Outlook {
            departure: Departure::new(pace),
            heard,
            problems: Arc::default(),
            silent: Arc::default(),
        };
        Self { outlook, is_stale: true, ordered: None, complete: Complete::Unknown, searched: Arc::default() }
    }

    pub fn outlook(&self) -> &Outlook {
        &self.outlook
    }

    /// Objects have changed, or what the data path carries.
    pub fn invalidate(&mut self) {
        self.is_stale = true;
    }

    /// Drain, or come back.
    pub fn leave(&mut self, leave: bool, now: Instant) {
        if leave {
            info!("drain: routers are asked to choose others, then VIPs are withdrawn");
            self.outlook.departure.begin(now);
        } else {
            info!("no drain any more: VIPs are announced as ever");
            self.outlook.departure.undo();
        }
        self.invalidate();
    }

    /// When orders are to be given anew, even if nothing changes.
    pub fn due(&self, now: Instant) -> Option<Instant> {
        // Before the first orders there is nothing to be late with.
        let is_late = self.ordered.is_some_and(|ordered| ordered != self.outlook.leaving(now));
        let complete = match self.complete {
            Complete::Until(end) => Some(end),
            Complete::Unknown | Complete::Yes => None,
        };
        [is_late.then_some(now), self.outlook.departure.due(now), complete].into_iter().flatten().min()
    }

    /// None before the first plan: what an earlier agent announced, and peers
    /// keep for us, must not be withdrawn before we know better.
    pub fn orders(
        &mut self,
        cluster: &Arc<Cluster>,
        me: &Identity,
        programmed: &Programmed,
        now: Instant,
    ) -> Option<Announcements> {
        if !programmed.is_planned {
            return None;
        }
        let leaving = self.outlook.leaving(now);
        let was = (self.ordered.replace(leaving), self.complete);
        self.complete = self.complete.next(programmed.is_settled(), now);
        if !self.is_stale && was == (self.ordered, self.complete) {
            return None;
        }
        self.is_stale = false;
        let mut orders = announce::plan(cluster, me, &carried(programmed), leaving);
        orders.bgp.complete = self.complete == Complete::Yes;
        self.outlook.problems = orders.problems.iter().map(ToString::to_string).collect();
        self.look_for_silence(cluster);
        Some(orders)
    }

    /// Once for each cluster and not for each reader: there may be thousands of VIPs.
    fn look_for_silence(&mut self, cluster: &Arc<Cluster>) {
        if !Arc::ptr_eq(&self.searched, cluster) {
            let (unshared, silent) = (announce::unshared(cluster), announce::silent(cluster));
            self.outlook.silent = unshared.iter().chain(&silent).map(ToString::to_string).collect();
            self.searched = Arc::clone(cluster);
        }
    }
}

impl Outlook {
    pub fn leaving(&self, now: Instant) -> Leaving {
        self.departure.step(now)
    }

    /// The same, but not at its end before sessions are closed.
    pub fn left(&self, now: Instant) -> Leaving {
        let is_open = |peer: &PeerStatus| peer.state == bgp::State::Established;
        match self.leaving(now) {
            Leaving::Closed if self.heard.peers.borrow().iter().any(is_open) => Leaving::Withdrawn,
            step => step,
        }
    }

    pub fn peers(&self) -> Vec<PeerStatus> {
        self.heard.peers.borrow().to_vec()
    }

    pub fn l2(&self) -> Vec<VipStatus> {
        self.heard.vips.borrow().to_vec()
    }

    /// What is not as it should be, and may be meant to be so.
    pub fn warnings(&self, now: Instant) -> Vec<String> {
        if self.leaving(now) != Leaving::No {
            return vec![
                "this node is drained, or about to be: `trigon drain --undo` brings it back".to_owned(),
            ];
        }
        let peers = self.heard.peers.borrow();
        let lost = peers.iter().filter(|peer| peer.state != bgp::State::Established);
        let line = |peer: &PeerStatus| {
            format!("BgpPeer {}: no session for {} s: see `trigon bgp`", peer.name, peer.seconds)
        };
        lost.map(line).collect()
    }

    /// What is wrong with announcements, but for what [`Self::warnings`] has.
    pub fn problems(&self, cluster: &Cluster, me: &Identity) -> Vec<String> {
        let faults = announce::faults(cluster, me, &self.heard.vips.borrow());
        let faults = faults.iter().map(ToString::to_string);
        self.problems.iter().chain(self.silent.iter()).cloned().chain(faults).collect()
    }
}

impl Complete {
    /// Once complete, always: peers are told so but once.
    fn next(self, is_settled: bool, now: Instant) -> Self {
        match self {
            Self::Yes => Self::Yes,
            _ if is_settled => Self::Yes,
            Self::Unknown => Self::Until(now + PATIENCE),
            Self::Until(end) if end <= now => Self::Yes,
            Self::Until(end) => Self::Until(end),
        }
    }
}

/// VIPs of which at least one port has a ring in the kernel, with a backend that
/// packets can be sent to. A plan may be more than there was room for, or know
/// less of next hops than the kernel does (after a restart).
fn carried(programmed: &Programmed) -> BTreeSet<IpAddr> {
    let mirror = &programmed.mirror;
    let proven = mirror.services.iter().filter(|(key, _)| programmed.proven.contains_key(key));
    proven.filter(|(_, service)| is_usable(service, mirror)).map(|(key, _)| IpAddr::from(key.addr)).collect()
}

fn is_usable(service: &Service, mirror: &Mirror) -> bool {
    let Some(ring) = mirror.rings.get(&service.ring_offset).filter(|_| service.ring_len > 0) else {
        return false;
    };
    // Rings are long, and those in them few.
    let mut seen = BTreeSet::new();
    let ids = ring.iter().filter(|id| seen.insert(**id));
    ids.filter_map(|id| mirror.backends.get(id)).any(reach::is_known)
}
