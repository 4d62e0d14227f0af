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
use tokio::sync::Notify;
use tracing::info;

use super::{announcer::Heard, reach, reconcile::Reconciler};
use crate::{
    announce::{
        self, Announcements,
        departure::{Departure, Pace},
    },
    bgp::{self, PeerStatus, config::Leaving},
    datapath::Tables,
    l2::VipStatus,
    model::Cluster,
    plan::Identity,
    state::State,
};

/// For how long routers are left with what they kept over a restart, if the data
/// path does not come to be what it should: then a part of it is better than
/// what nobody has looked after since.
const PATIENCE: Duration = Duration::from_secs(10);

pub struct Announcing {
    departure: Departure,
    /// Orders may have to be given anew.
    is_stale: bool,
    /// The step that the last orders were about.
    ordered: Option<Leaving>,
    complete: Complete,
    woken: Arc<Notify>,
    heard: Heard,
    /// Where advertisements contradict each other.
    problems: Vec<String>,
    /// Who is announced by nobody, as of the cluster it was found in.
    silent: (Arc<Cluster>, Vec<String>),
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

impl Announcing {
    pub fn new(pace: Pace, heard: Heard) -> Self {
        Self {
            departure: Departure::new(pace),
            is_stale: true,
            ordered: None,
            complete: Complete::Unknown,
            woken: Arc::default(),
            heard,
            problems: Vec::new(),
            silent: Default::default(),
        }
    }

    /// Of objects, or of what the data path carries.
    pub fn changed(&mut self) {
        self.is_stale = true;
    }

    pub fn leave(&mut self, leave: bool, now: Instant) {
        if leave {
            info!("drain: routers are asked to choose others, then VIPs are withdrawn");
            self.departure.begin(now);
        } else {
            info!("no drain any more: VIPs are announced as ever");
            self.departure.undo();
        }
        self.changed();
        self.woken.notify_one();
    }

    pub fn leaving(&self, now: Instant) -> Leaving {
        self.departure.step(now)
    }

    /// How far the way out is gone, as sessions have it.
    pub fn left(&self, now: Instant) -> Leaving {
        let is_open = |peer: &PeerStatus| peer.state == bgp::State::Established;
        match self.leaving(now) {
            Leaving::Closed if self.heard.peers.borrow().iter().any(is_open) => Leaving::Withdrawn,
            step => step,
        }
    }

    /// When orders are to be given anew, even if nothing changes.
    pub fn due(&self, now: Instant) -> Option<Instant> {
        // Before the first orders there is nothing to be late with.
        let is_late = self.ordered.is_some_and(|ordered| ordered != self.leaving(now));
        let complete = match self.complete {
            Complete::Until(end) => Some(end),
            Complete::Unknown | Complete::Yes => None,
        };
        [is_late.then_some(now), self.departure.due(now), complete].into_iter().flatten().min()
    }

    pub fn woken(&self) -> Arc<Notify> {
        Arc::clone(&self.woken)
    }

    /// None before the first plan: what an earlier agent announced, and peers
    /// keep for us, must not be withdrawn before we know better.
    pub fn orders<T: Tables>(
        &mut self,
        cluster: &Arc<Cluster>,
        reconciler: &Reconciler<T>,
        now: Instant,
    ) -> Option<Announcements> {
        if !reconciler.planned {
            return None;
        }
        let leaving = self.leaving(now);
        let was = (self.ordered.replace(leaving), self.complete);
        self.complete = self.complete.next(reconciler.is_settled(), now);
        if !self.is_stale && was == (self.ordered, self.complete) {
            return None;
        }
        self.is_stale = false;
        let mut orders = announce::plan(cluster, reconciler.me(), &carried(reconciler), leaving);
        orders.bgp.complete = self.complete == Complete::Yes;
        self.problems = orders.problems.iter().map(ToString::to_string).collect();
        self.look_for_silence(cluster);
        Some(orders)
    }

    /// Here, since `trigon status` must not keep the agent waiting: there may be
    /// thousands of VIPs.
    fn look_for_silence(&mut self, cluster: &Arc<Cluster>) {
        if !Arc::ptr_eq(&self.silent.0, cluster) {
            let (unshared, silent) = (announce::unshared(cluster), announce::silent(cluster));
            let told = unshared.iter().chain(&silent).map(ToString::to_string).collect();
            self.silent = (Arc::clone(cluster), told);
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
        self.problems.iter().chain(&self.silent.1).cloned().chain(faults).collect()
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
fn carried<T>(reconciler: &Reconciler<T>) -> BTreeSet<IpAddr> {
    let state = &reconciler.state;
    let proven = state.services.iter().filter(|(key, _)| reconciler.proven.contains_key(key));
    proven.filter(|(_, service)| is_usable(service, state)).map(|(key, _)| IpAddr::from(key.addr)).collect()
}

fn is_usable(service: &Service, state: &State) -> bool {
    let Some(ring) = state.rings.get(&service.ring_offset).filter(|_| service.ring_len > 0) else {
        return false;
    };
    // Rings are long, and those in them few.
    let mut seen = BTreeSet::new();
    let ids = ring.iter().filter(|id| seen.insert(**id));
    ids.filter_map(|id| state.backends.get(id)).any(reach::is_known)
}
