//! The orders that an agent gives its speakers, and what they report.

mod carried;
#[cfg(test)]
mod tests;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

pub use carried::CarriedVips;
use tracing::info;

use super::{reconcile::Programmed, speakers::SpeakerStatus};
use crate::{
    announce::{
        self, Announcements,
        departure::{Departure, DrainTimes},
    },
    changes::{changed_keys, is_same_list},
    objects::model::{Cluster, Frontend},
    plan::Identity,
    protocols::{
        bgp::{self, PeerStatus, config::Leaving},
        l2::VipStatus,
    },
};

/// How long after a restart orders wait to be complete. Until they are, routers keep what an
/// earlier agent announced (graceful restart). If a part of the plan cannot be proven by then,
/// routes for the other part are better than stale ones.
const MAX_WAIT_FOR_PROOF: Duration = Duration::from_secs(10);

/// Gives the speakers new orders whenever there is something new to say.
pub struct Dispatcher {
    status: AnnouncementStatus,
    /// Something has changed since the last orders.
    is_stale: bool,
    /// The step that the last orders were about.
    ordered_step: Option<Leaving>,
    complete: Completeness,
    carried: CarriedVips,
    /// What the last orders were about. None: there were none.
    ordered: Option<Arc<Cluster>>,
}

/// The state of announcements, for API and commands. Cheap to copy.
#[derive(Clone)]
pub struct AnnouncementStatus {
    departure: Departure,
    speakers: SpeakerStatus,
    /// Peers that are this node itself, and where advertisements contradict each other.
    problems: Arc<[String]>,
    /// VIPs that cannot be shared as asked, and VIPs that nobody announces.
    vip_problems: Arc<[String]>,
}

/// Whether orders hold all that was announced before a restart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Completeness {
    /// Nothing was ordered yet.
    Unknown,
    /// Not everything is proven; from this moment on, orders are complete all the same.
    Until(Instant),
    Yes,
}

impl Dispatcher {
    pub fn new(times: DrainTimes, speakers: SpeakerStatus) -> Self {
        let status = AnnouncementStatus {
            departure: Departure::new(times),
            speakers,
            problems: Arc::default(),
            vip_problems: Arc::default(),
        };
        Self {
            status,
            is_stale: true,
            ordered_step: None,
            complete: Completeness::Unknown,
            carried: CarriedVips::default(),
            ordered: None,
        }
    }

    pub fn status(&self) -> &AnnouncementStatus {
        &self.status
    }

    /// Objects have changed, or what the data path carries.
    pub fn invalidate(&mut self) {
        self.is_stale = true;
    }

    /// Drain (true), or announce again (false).
    pub fn set_drain(&mut self, leave: bool, now: Instant) {
        if leave {
            info!("drain: routers are asked to choose others, then VIPs are withdrawn");
            self.status.departure.begin(now);
        } else {
            info!("no drain any more: VIPs are announced as ever");
            self.status.departure.undo();
        }
        self.invalidate();
    }

    /// When orders are to be given anew, even if nothing changes.
    pub fn due(&self, now: Instant) -> Option<Instant> {
        // Before the first orders, no step can be overdue.
        let is_late = self.ordered_step.is_some_and(|ordered| ordered != self.status.leaving_step(now));
        let complete = match self.complete {
            Completeness::Until(end) => Some(end),
            Completeness::Unknown | Completeness::Yes => None,
        };
        [is_late.then_some(now), self.status.departure.next_step_at(now), complete]
            .into_iter()
            .flatten()
            .min()
    }

    /// The orders to give now; None if nothing is new. Also None before the first plan: what an
    /// earlier agent announced, and peers keep, must not be withdrawn before it is known what to announce.
    pub fn next_orders(
        &mut self,
        cluster: &Arc<Cluster>,
        me: &Identity,
        programmed: &Programmed,
        now: Instant,
    ) -> Option<Announcements> {
        if !programmed.is_planned {
            return None;
        }
        let leaving = self.status.leaving_step(now);
        let was = (self.ordered_step.replace(leaving), self.complete);
        self.complete = self.complete.next(programmed.is_settled(), now);
        if !self.is_stale && was == (self.ordered_step, self.complete) {
            return None;
        }
        self.is_stale = false;
        let is_same_carried = !self.carried.follow(programmed);
        let ordered = self.ordered.replace(Arc::clone(cluster));
        let is_same_cluster = ordered.is_some_and(|ordered| is_same_for_announcements(&ordered, cluster));
        if is_same_cluster && is_same_carried && was == (self.ordered_step, self.complete) {
            return None;
        }
        let mut orders = announce::plan(cluster, me, self.carried.vips(), leaving);
        orders.bgp.complete = self.complete == Completeness::Yes;
        self.status.problems = orders.problems.iter().map(ToString::to_string).collect();
        if !is_same_cluster {
            self.update_vip_problems(cluster);
        }
        Some(orders)
    }

    /// Not for each reader: there may be thousands of VIPs.
    fn update_vip_problems(&mut self, cluster: &Cluster) {
        let (unshared, silent) =
            (announce::sharing_problems(cluster), announce::silent_vip_problems(cluster));
        self.status.vip_problems = unshared.iter().chain(&silent).map(ToString::to_string).collect();
    }
}

impl AnnouncementStatus {
    pub fn leaving_step(&self, now: Instant) -> Leaving {
        self.departure.current_step(now)
    }

    /// The same, but `Closed` only when no session with a peer is established any more.
    pub fn completed_step(&self, now: Instant) -> Leaving {
        let is_open = |peer: &PeerStatus| peer.state == bgp::State::Established;
        match self.leaving_step(now) {
            Leaving::Closed if self.speakers.peers.borrow().iter().any(is_open) => Leaving::Withdrawn,
            step => step,
        }
    }

    pub fn peers(&self) -> Vec<PeerStatus> {
        self.speakers.peers.borrow().to_vec()
    }

    pub fn l2_vips(&self) -> Vec<VipStatus> {
        self.speakers.vips.borrow().to_vec()
    }

    /// What may be intended, but is worth knowing: a drain, and peers without a session.
    pub fn warnings(&self, now: Instant) -> Vec<String> {
        if self.leaving_step(now) != Leaving::No {
            return vec![
                "this node is drained, or about to be: `trigon drain --undo` brings it back".to_owned(),
            ];
        }
        let peers = self.speakers.peers.borrow();
        let lost = peers.iter().filter(|peer| peer.state != bgp::State::Established);
        let line = |peer: &PeerStatus| {
            format!("BgpPeer {}: no session for {} s: see `trigon bgp`", peer.name, peer.seconds)
        };
        lost.map(line).collect()
    }

    /// May there be other [`Self::problems`] than before? But for those of interfaces, which speakers
    /// find at any time.
    pub fn may_differ(&self, before: &Self) -> bool {
        !is_same_list(&before.problems, &self.problems)
            || !is_same_list(&before.vip_problems, &self.vip_problems)
    }

    /// What is wrong with announcements, other than [`Self::warnings`].
    pub fn problems(&self, cluster: &Cluster, me: &Identity) -> Vec<String> {
        let faults = announce::interface_problems(cluster, me, &self.speakers.vips.borrow());
        let faults = faults.iter().map(ToString::to_string);
        self.problems.iter().chain(self.vip_problems.iter()).cloned().chain(faults).collect()
    }
}

impl Completeness {
    /// `Yes` is final: peers are told only once.
    fn next(self, is_settled: bool, now: Instant) -> Self {
        match self {
            Self::Yes => Self::Yes,
            _ if is_settled => Self::Yes,
            Self::Unknown => Self::Until(now + MAX_WAIT_FOR_PROOF),
            Self::Until(end) if end <= now => Self::Yes,
            Self::Until(end) => Self::Until(end),
        }
    }
}

/// Is all the same that announcements depend on, but for what the data path carries?
fn is_same_for_announcements(before: &Cluster, now: &Cluster) -> bool {
    let takes_new = |cluster: &Cluster, frontend: &Frontend| {
        cluster.services.get(frontend).is_some_and(|service| service.backends.take_new())
    };
    let mut changed = changed_keys(&before.services, &now.services).into_iter();
    before.announced == now.announced
        && before.announcing == now.announcing
        && before.nodes == now.nodes
        && changed.all(|frontend| takes_new(before, &frontend) == takes_new(now, &frontend))
}
