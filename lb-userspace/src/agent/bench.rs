//! The control plane without its tasks, step by step: for `cargo xtask bench --control`, which
//! measures what a change costs from the event to the proof.

use std::{
    collections::BTreeSet,
    ffi::OsString,
    net::IpAddr,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use tokio::sync::watch;

use super::{
    dispatcher::Dispatcher,
    engine::{Engine, Input},
    problem_log::ProblemLog,
    reconcile::Reconciler,
    snapshot::Snapshot,
    speakers::SpeakerStatus,
};
use crate::{
    announce::departure::DrainTimes,
    datapath::kernel::{self, DatapathConfig, KernelTables, PinLock},
    neigh::{Mac, NextHops},
    objects::{
        index::Index,
        source::file::{Directory, Look},
        translate::TranslateConfig,
    },
    os::moment::Now,
    plan::Identity,
};

/// An agent's source, engine and maps. Time stands still but for [`ControlPlane::advance`].
pub struct ControlPlane {
    directory: Directory,
    engine: Engine<KernelTables>,
    now: Now,
    /// As readers have it: what changes is copied first.
    snapshot: Arc<Snapshot>,
    problem_log: ProblemLog,
    _lock: PinLock,
}

impl ControlPlane {
    /// Adopts what is pinned. `device`: the index of the interface that next hops are at.
    pub fn start(dir: &Path, me: Identity, datapath: &DatapathConfig, device: u32) -> Result<Self> {
        let loaded = kernel::load(datapath)?;
        let reconciler = Reconciler::new(me, loaded.tables, loaded.capacity)?;
        let times = DrainTimes { drain: Duration::ZERO, settle: Duration::ZERO };
        let status =
            SpeakerStatus { peers: watch::channel(Arc::default()).1, vips: watch::channel(Arc::default()).1 };
        let dispatcher = Dispatcher::new(times, status);
        let index = Index::new(TranslateConfig::default());
        let engine = Engine::new(reconciler, dispatcher, index, BTreeSet::from([device]));
        let snapshot = Arc::new(engine.snapshot());
        Ok(Self {
            directory: Directory::new(dir, false),
            engine,
            now: Now::read(),
            snapshot,
            problem_log: ProblemLog::default(),
            _lock: loaded.lock,
        })
    }

    /// Reads the whole directory.
    pub fn read_all(&mut self) -> Result<()> {
        self.look(&Look::Everywhere)
    }

    /// Reads one file, which has changed.
    pub fn read(&mut self, file: &str) -> Result<()> {
        self.look(&Look::At(BTreeSet::from([OsString::from(file)])))
    }

    fn look(&mut self, look: &Look) -> Result<()> {
        let directory = &mut self.directory;
        let update = tracing::trace_span!("read").in_scope(|| directory.look(look));
        self.handle(Input::Source(update.context("nothing has changed")?));
        Ok(())
    }

    pub fn set_hops(&mut self, hops: NextHops) {
        self.handle(Input::NextHops(Arc::new(hops)));
    }

    /// What happens after this time, if anything is due.
    pub fn advance(&mut self, time: Duration) {
        self.now.instant += time;
        self.now.monotonic += time;
        if self.due().is_some_and(|due| due <= self.now.instant) {
            self.handle(Input::Due);
        }
    }

    pub fn tick(&mut self) {
        self.handle(Input::Tick);
    }

    pub fn due(&self) -> Option<Instant> {
        self.engine.due(self.now.instant)
    }

    fn handle(&mut self, input: Input) {
        let is_tick = matches!(input, Input::Tick);
        self.engine.handle(input, self.now);
        let before = std::mem::replace(&mut self.snapshot, Arc::new(self.engine.snapshot()));
        let _stage = tracing::trace_span!("problems").entered();
        self.problem_log.follow(&before, &self.snapshot, is_tick);
    }

    /// Fails if anything is not as it should be, or is not proven.
    pub fn check(&self, services: usize) -> Result<()> {
        let Snapshot { programmed, source, .. } = &*self.snapshot;
        ensure!(source.faults.is_empty(), "{}", source.faults[0]);
        ensure!(programmed.failure.is_none(), "{:?}", programmed.failure);
        ensure!(programmed.shortages.is_empty(), "{:?}", programmed.shortages);
        ensure!(programmed.is_settled(), "not everything is proven");
        ensure!(programmed.proven.len() == services, "{} services", programmed.proven.len());
        Ok(())
    }

    /// How often the maps have changed.
    pub fn generation(&self) -> u32 {
        self.snapshot.programmed.generation
    }

    /// How many addresses the maps accept tunnels from.
    pub fn peers(&self) -> usize {
        self.snapshot.programmed.mirror.peers.len()
    }

    /// The MAC address by which the maps send to a backend.
    pub fn mac_of(&self, backend: IpAddr) -> Option<Mac> {
        let mut entries = self.snapshot.programmed.mirror.backends.values();
        let entry = entries.find(|entry| IpAddr::from(entry.outer_dst) == backend)?;
        entry.macs.first_chunk().copied()
    }
}
