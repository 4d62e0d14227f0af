//! What API and commands read: an immutable copy of the agent's state after its last
//! step, and beside it the counters of the data path.

mod backends;
mod problems;
mod services;
mod status;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context;
use lb_common::Verdict;
use tokio::sync::{mpsc, oneshot, watch};

use super::{
    dispatcher::AnnouncementStatus,
    explain::story::StoryContext,
    liveness::Liveness,
    reconcile::Programmed,
    report::{DrainState, VerdictReport},
};
use crate::{
    datapath::kernel::{Attachment, DatapathConfig, Stats},
    neigh::{NetworkFaults, NextHops},
    objects::model::{Cluster, Problem},
    plan::{Identity, mirror::Capacity, names},
};

/// What of the source is in effect, and what is wrong with it now. Cheap to copy.
#[derive(Clone, Debug, Default)]
pub struct SourceState {
    pub cluster: Arc<Cluster>,
    /// Why some of the source is not in effect, or in an earlier version, and what of it is left out; empty if
    /// `cluster` is all that it has now.
    pub faults: Arc<[Problem]>,
    /// What is wrong with objects about announcing. Such an object is left out, or its last
    /// good state is kept; all other objects take effect.
    pub refused: Arc<[Problem]>,
    /// Was there a good state since the start?
    pub has_been_good: bool,
    pub version: SourceVersion,
}

/// Which versions of objects are in effect.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct SourceVersion {
    /// Those of all Services up to this `metadata.resourceVersion`; 0 where there are none.
    pub seen: u64,
    /// How often a Service in the data path has asked for something else.
    pub requests: u64,
    /// The `metadata.uid` of our own Node; None: there is no such object.
    pub node_uid: Option<Arc<str>>,
}

impl SourceState {
    /// Is nothing kept in an earlier version?
    pub fn is_good(&self) -> bool {
        self.faults.iter().all(|problem| problem.left_out)
    }
}

/// An agent's state after one step.
#[derive(Clone)]
pub struct Snapshot {
    pub me: Identity,
    pub source: SourceState,
    pub programmed: Programmed,
    /// What the maps have room for.
    pub capacity: Capacity,
    /// As the kernel has them.
    pub kernel_hops: Arc<NextHops>,
    /// The same, with path MTUs that routers told of.
    pub hops: Arc<NextHops>,
    pub network_faults: Arc<NetworkFaults>,
    pub liveness: Liveness,
    pub announcement_status: AnnouncementStatus,
}

impl Snapshot {
    pub fn story_context(&self) -> StoryContext<'_> {
        let Programmed { mirror, plan, .. } = &self.programmed;
        StoryContext { mirror, plan, cluster: &self.source.cluster, hops: &self.hops }
    }
}

/// What does not change while an agent runs.
pub struct Facts {
    pub started: Instant,
    pub source: String,
    pub datapath: DatapathConfig,
    pub attachments: Vec<Attachment>,
}

/// True to drain, false to announce again; and the channel that acknowledges it.
pub type DrainRequest = (bool, oneshot::Sender<()>);

/// Access to a running agent's state.
#[derive(Clone)]
pub struct Reader {
    pub facts: Arc<Facts>,
    pub stats: Arc<Stats>,
    pub snapshots: watch::Receiver<Arc<Snapshot>>,
    pub drain_requests: mpsc::Sender<DrainRequest>,
    /// Why the API server cannot be told what is programmed.
    pub report_fault: watch::Receiver<Option<String>>,
}

impl Reader {
    pub fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.snapshots.borrow())
    }

    pub fn verdicts(&self) -> Vec<VerdictReport> {
        let report = |verdict: Verdict| VerdictReport {
            reason: verdict.label().into(),
            fate: names::fate(verdict.fate()).into(),
            packets: self.stats.verdict(verdict).unwrap_or_default(),
            meaning: verdict.sentence().into(),
            remedy: verdict.remedy().map(Into::into),
        };
        Verdict::all().map(report).collect()
    }

    pub fn drain_state(&self) -> DrainState {
        DrainState::from_leaving(self.snapshot().announcement_status.completed_step(Instant::now()))
    }

    /// Drain (true), or announce again (false). Returns when the snapshot shows it.
    pub async fn set_drain(&self, leave: bool) -> anyhow::Result<()> {
        let (noted_to, noted) = oneshot::channel();
        self.drain_requests.send((leave, noted_to)).await.context("the agent is stopping")?;
        noted.await.context("the agent is stopping")
    }

    fn uptime(&self) -> Duration {
        self.facts.started.elapsed()
    }
}
