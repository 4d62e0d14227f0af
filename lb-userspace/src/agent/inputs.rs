//! The inputs of an engine: source, next hops, health, path MTUs, requests to drain, and
//! time. Tasks follow the first four.

use std::{
    collections::{BTreeMap, BTreeSet},
    future::pending,
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::JoinSet,
    time::{Interval, sleep},
};
use tracing::warn;

use super::{
    config::HealthConfig,
    engine::{Effects, Input},
    snapshot::DrainRequest,
};
use crate::{
    datapath::kernel::Uplinks,
    health::{self, Healths, Targets},
    neigh::{self, Findings, NetworkFaults, NextHops, pmtu},
    objects::source::{Source, Update},
    os::moment::{ticks_every, wait_until},
};

/// How many reports of path MTUs can be queued.
const MAX_QUEUED_REPORTS: usize = 64;
/// Interval of [`Input::Tick`]. Ranges that were freed are used again after two ticks, ids after
/// three or when they are swept; path MTUs expire and failures are retried at a tick.
const TICK: Duration = Duration::from_secs(1);
/// Time until a write of the uplinks that has failed is repeated.
const RETRY: Duration = Duration::from_secs(10);

/// The tasks, and the channels from and to them. When it is dropped, the tasks end.
pub struct Inputs {
    tasks: JoinSet<anyhow::Result<()>>,
    updates: mpsc::Receiver<Update>,
    hops: watch::Receiver<Arc<NextHops>>,
    network_faults: watch::Receiver<NetworkFaults>,
    healths: watch::Receiver<Healths>,
    reports: mpsc::Receiver<pmtu::PathMtuReport>,
    leave: mpsc::Receiver<DrainRequest>,
    ticks: Interval,
    targets: watch::Sender<BTreeSet<IpAddr>>,
    probes: watch::Sender<Targets>,
}

impl Inputs {
    /// `expects_objects`: an earlier agent has served some; `uplinks` are names by index, and what
    /// stands on them goes to `uplinks_to`.
    pub fn start(
        source: Source,
        expects_objects: bool,
        uplinks: BTreeMap<u32, String>,
        uplinks_to: Uplinks,
        health: Option<HealthConfig>,
        leave: mpsc::Receiver<DrainRequest>,
    ) -> Self {
        let mut tasks = JoinSet::new();
        // One at a time: a source can wait, and has more to tell by then.
        let (updates_to, updates) = mpsc::channel(1);
        let (targets, targets_of) = watch::channel(BTreeSet::new());
        let (hops_to, hops) = watch::channel(Arc::new(NextHops::new()));
        let (found, uplinks_found) = watch::channel(BTreeSet::new());
        let (faults_to, network_faults) = watch::channel(NetworkFaults::default());
        let (probes, probes_of) = watch::channel(Targets::default());
        let (healths_to, healths) = watch::channel(Healths::new());
        let (reports_to, reports) = mpsc::channel(MAX_QUEUED_REPORTS);
        tasks.spawn(async move {
            source.follow(expects_objects, updates_to).await;
            bail!("the source ended")
        });
        tasks.spawn(async move {
            let out = Findings { hops: hops_to, uplinks: found, faults: faults_to };
            neigh::follow(uplinks, targets_of, out).await?;
            bail!("the task that follows netlink ended")
        });
        tasks.spawn(write_uplinks(uplinks_found, uplinks_to));
        if let Some(config) = health {
            // In two tasks: many checks must not delay the probes of nodes.
            let (targets, to) = (probes_of.clone(), healths_to.clone());
            tasks.spawn(async move {
                health::follow_probes(config.nodes, targets, to).await?;
                bail!("the task that probes nodes ended")
            });
            tasks.spawn(async move {
                health::follow_checks(config.servers, probes_of, healths_to).await?;
                bail!("the task that checks bare servers ended")
            });
        }
        tasks.spawn(listen_for_path_mtus(reports_to));
        // Ticks in a burst would free ids that have not waited for a second.
        let ticks = ticks_every(TICK);
        Self { tasks, updates, hops, network_faults, healths, reports, leave, ticks, targets, probes }
    }

    /// What the source has at the start: nothing is decided without it.
    pub async fn first_update(&mut self) -> anyhow::Result<Input> {
        self.updates.recv().await.map(Input::Source).context("the source ended")
    }

    /// Waits for the next input. At `due`, if it is earlier, that is [`Input::Due`].
    /// With a request to drain comes the channel to acknowledge it by. Fails if a task has ended.
    pub async fn next_input(
        &mut self,
        due: Option<Instant>,
    ) -> anyhow::Result<(Input, Option<oneshot::Sender<()>>)> {
        let input = tokio::select! {
            Some(update) = self.updates.recv() => Input::Source(update),
            Ok(()) = self.hops.changed() => self.next_network_input(),
            Ok(()) = self.network_faults.changed() => {
                Input::NetworkFaults(self.network_faults.borrow_and_update().clone())
            }
            Ok(()) = self.healths.changed() => Input::Healths(self.healths.borrow_and_update().clone()),
            Some(report) = self.reports.recv() => Input::PathMtu(report),
            Some((leave, noted)) = self.leave.recv() => return Ok((Input::Drain(leave), Some(noted))),
            () = wait_until(due) => Input::Due,
            _ = self.ticks.tick() => Input::Tick,
            Some(ended) = self.tasks.join_next() => {
                ended.context("a task of the agent ended")??;
                bail!("a task of the agent ended")
            }
        };
        Ok((input, None))
    }

    /// Faults first: who hears of next hops is to know already which uplinks are down.
    fn next_network_input(&mut self) -> Input {
        if self.network_faults.has_changed().unwrap_or_default() {
            self.hops.mark_changed();
            return Input::NetworkFaults(self.network_faults.borrow_and_update().clone());
        }
        Input::NextHops(self.hops.borrow_and_update().clone())
    }

    /// Hands new targets to the tasks; orders stay in `effects`.
    pub fn carry_out(&self, effects: &mut Effects) {
        if let Some(targets) = effects.targets.take() {
            self.targets.send_replace(targets);
        }
        if let Some(probes) = effects.probes.take() {
            self.probes.send_replace(probes);
        }
    }
}

/// Keeps the map of uplinks as they are. It ends with the task that finds them.
async fn write_uplinks(mut found: watch::Receiver<BTreeSet<u32>>, mut to: Uplinks) -> anyhow::Result<()> {
    while found.changed().await.is_ok() {
        let indices = found.borrow_and_update().clone();
        if let Err(error) = to.replace(&indices) {
            warn!("cannot write the uplinks: {error}; trying again");
            sleep(RETRY).await;
            found.mark_changed();
        }
    }
    pending().await
}

/// If it fails, the agent goes on without path MTUs: packets too big for a path are lost on it.
async fn listen_for_path_mtus(reports: mpsc::Sender<pmtu::PathMtuReport>) -> anyhow::Result<()> {
    if let Err(error) = pmtu::listen(reports).await {
        warn!("cannot hear of path MTUs (ICMP): {error}; the agent needs CAP_NET_RAW");
    }
    pending().await
}
