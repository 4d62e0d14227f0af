//! The orders that an agent gives its speakers, and what they report.

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
        departure::{Departure, DrainTimes},
    },
    objects::model::Cluster,
    plan::{Identity, mirror::Mirror},
    protocols::{
        bgp::{self, PeerStatus, config::Leaving},
        l2::VipStatus,
    },
};

/// How long after a restart orders wait to be complete. Until they are, routers keep what an
/// earlier agent announced (graceful restart). If a part of the plan cannot be proven by then,
/// routes for the other part are better than stale ones.
const PATIENCE: Duration = Duration::from_secs(10);

/// Gives the speakers new orders whenever there is something new to say.
pub struct Dispatcher {
    outlook: Outlook,
    /// Something has changed since the last orders.
    is_stale: bool,
    /// The step that the last orders were about.
    ordered: Option<Leaving>,
    complete: Complete,
    /// The cluster whose VIPs were last checked for problems.
    searched: Arc<Cluster>,
}

/// The state of announcements, for API and commands. Cheap to copy.
#[derive(Clone)]
pub struct Outlook {
    departure: Departure,
    heard: Heard,
    /// Where advertisements contradict each other.
    problems: Arc<[String]>,
    /// VIPs that cannot be shared as asked, and VIPs that nobody announces.
    silent: Arc<[String]>,
}

/// Whether orders hold all that was announced before a restart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Complete {
    /// Nothing was ordered yet.
    Unknown,
    /// Not everything is proven; from this moment on, orders are complete all the same.
    Until(Instant),
    Yes,
}

impl Dispatcher {
    pub fn new(pace: DrainTimes, heard: Heard) -> Self {
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

    /// Drain (true), or announce again (false).
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
        // Before the first orders, no step can be overdue.
        let is_late = self.ordered.is_some_and(|ordered| ordered != self.outlook.leaving(now));
        let complete = match self.complete {
            Complete::Until(end) => Some(end),
            Complete::Unknown | Complete::Yes => None,
        };
        [is_late.then_some(now), self.outlook.departure.next_step_at(now), complete]
            .into_iter()
            .flatten()
            .min()
    }

    /// The orders to give now; None if nothing is new. Also None before the first plan: what an
    /// earlier agent announced, and peers keep, must not be withdrawn before it is known what to announce.
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

    /// Once for each cluster, not for each reader: there may be thousands of VIPs.
    fn look_for_silence(&mut self, cluster: &Arc<Cluster>) {
        if !Arc::ptr_eq(&self.searched, cluster) {
            let (unshared, silent) =
                (announce::sharing_problems(cluster), announce::silent_vip_problems(cluster));
            self.outlook.silent = unshared.iter().chain(&silent).map(ToString::to_string).collect();
            self.searched = Arc::clone(cluster);
        }
    }
}

impl Outlook {
    pub fn leaving(&self, now: Instant) -> Leaving {
        self.departure.current_step(now)
    }

    /// The same, but `Closed` only when no session with a peer is established any more.
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

    /// What may be intended, but is worth knowing: a drain, and peers without a session.
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

    /// What is wrong with announcements, other than [`Self::warnings`].
    pub fn problems(&self, cluster: &Cluster, me: &Identity) -> Vec<String> {
        let faults = announce::interface_problems(cluster, me, &self.heard.vips.borrow());
        let faults = faults.iter().map(ToString::to_string);
        self.problems.iter().chain(self.silent.iter()).cloned().chain(faults).collect()
    }
}

impl Complete {
    /// `Yes` is final: peers are told only once.
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
/// packets can be sent to. The mirror is asked, not the plan: the plan may be more than
/// there was room for, or have fewer next hops than the kernel (after a restart).
fn carried(programmed: &Programmed) -> BTreeSet<IpAddr> {
    let mirror = &programmed.mirror;
    let proven = mirror.services.iter().filter(|(key, _)| programmed.proven.contains_key(key));
    proven.filter(|(_, service)| is_usable(service, mirror)).map(|(key, _)| IpAddr::from(key.addr)).collect()
}

fn is_usable(service: &Service, mirror: &Mirror) -> bool {
    let Some(ring) = mirror.rings.get(&service.ring_offset).filter(|_| service.ring_len > 0) else {
        return false;
    };
    // A ring has many slots, and few backends.
    let mut seen = BTreeSet::new();
    let ids = ring.iter().filter(|id| seen.insert(**id));
    ids.filter_map(|id| mirror.backends.get(id)).any(reach::is_known)
}
