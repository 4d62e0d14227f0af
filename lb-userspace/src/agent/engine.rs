//! The agent's decisions: state comes in, effects go out, and time is passed in.
//! There is no clock, no lock and no socket here, and no map but behind `Tables`.

#[cfg(test)]
mod tests;

use std::{collections::BTreeSet, net::IpAddr, sync::Arc, time::Instant};

use lb_common::{
    maps::{Backend, backend_flags},
    roles,
};
use tracing::{info, trace_span};

use super::{
    dispatcher::Dispatcher,
    liveness::Liveness,
    reconcile::Reconciler,
    snapshot::{Snapshot, SourceState},
};
use crate::{
    announce::Announcements,
    datapath::Tables,
    health::{self, Healths, PathsToBackends, Targets, TargetsBasis},
    neigh::{
        self, LastAnswers, Mac, NetworkFaults, NextHops,
        pmtu::{self, PathMtus},
    },
    objects::{
        index::Index,
        source::{Change, Kind, Object, Update},
    },
    os::moment::Now,
    plan::{self, BackendKey},
};

/// What happened outside.
#[derive(Debug)]
pub enum Input {
    /// The source has changed.
    Source(Update),
    /// The kernel's way to some address has changed.
    NextHops(Arc<NextHops>),
    /// Uplinks went up or down, or the kernel's tables of neighbours are too small or not any more.
    NetworkFaults(NetworkFaults),
    Healths(Healths),
    /// A router tells of a path MTU.
    PathMtu(pmtu::PathMtuReport),
    /// A second has passed.
    Tick,
    /// The time has come that [`Engine::due`] named.
    Due,
    /// Drain, or come back.
    Drain(bool),
}

/// What is to be done outside; nothing where nothing is new.
#[derive(Debug, Default)]
pub struct Effects {
    /// Addresses whose next hops are needed from now on.
    pub targets: Option<BTreeSet<IpAddr>>,
    /// Whom to probe from now on.
    pub probes: Option<Targets>,
    /// For the speakers.
    pub orders: Option<Announcements>,
}

/// All that an agent knows and decides.
pub struct Engine<T> {
    reconciler: Reconciler<T>,
    dispatcher: Dispatcher,
    index: Index,
    source: SourceState,
    /// The first plan is made though something is not good.
    starts_with_faults: bool,
    /// As the kernel has them.
    kernel_hops: Arc<NextHops>,
    last_answers: LastAnswers,
    path_mtus: PathMtus,
    /// All three together.
    hops: Arc<NextHops>,
    network_faults: Arc<NetworkFaults>,
    liveness: Liveness,
    /// Nodes that packets may be handed on to: those that were in a ring since we
    /// know of rings.
    fellows: BTreeSet<BackendKey>,
    /// The indices of our interfaces.
    devices: BTreeSet<u32>,
    targets: BTreeSet<IpAddr>,
    probes: Targets,
    /// What they were chosen by; None: they are to be chosen anew whatever has changed.
    probes_basis: Option<TargetsBasis>,
    /// What is new since the last step.
    effects: Effects,
}

impl<T: Tables> Engine<T> {
    pub fn new(
        reconciler: Reconciler<T>,
        dispatcher: Dispatcher,
        index: Index,
        devices: BTreeSet<u32>,
    ) -> Self {
        let mirror = &reconciler.programmed().mirror;
        let fellows = mirror.former_owners();
        let targets: BTreeSet<IpAddr> =
            mirror.backends.values().map(|backend| backend.outer_dst.into()).collect();
        let last_answers = LastAnswers::adopt(mirror.backends.values().filter_map(adopted_answer));
        Self {
            reconciler,
            dispatcher,
            index,
            source: SourceState::default(),
            starts_with_faults: false,
            kernel_hops: Arc::default(),
            last_answers,
            path_mtus: PathMtus::default(),
            hops: Arc::default(),
            network_faults: Arc::default(),
            liveness: Liveness::default(),
            fellows,
            devices,
            effects: Effects { targets: Some(targets.clone()), ..Effects::default() },
            targets,
            probes: Targets::default(),
            probes_basis: None,
        }
    }

    /// Has it begin as soon as all objects are there, with what is good of them. Without this, all have to be
    /// good: what is pinned from before is better than a part of what there is now.
    pub fn start_with_faults(mut self) -> Self {
        self.index.adopt_pinned(self.reconciler.programmed().mirror.pinned_settings());
        Self { starts_with_faults: true, ..self }
    }

    pub fn handle(&mut self, input: Input, now: Now) -> Effects {
        match input {
            Input::Source(update) => self.apply_update(update, now),
            Input::NextHops(hops) => {
                self.kernel_hops = hops;
                self.follow_hops(now);
            }
            Input::NetworkFaults(faults) => self.network_faults = Arc::new(faults),
            Input::Healths(healths) => self.set_healths(healths, now),
            Input::PathMtu(report) => self.learn_path_mtu(&report, now),
            Input::Tick => self.handle_tick(now),
            Input::Due => self.handle_due(now),
            Input::Drain(drain) => self.dispatcher.set_drain(drain, now.instant),
        }
        Effects { orders: self.next_orders(now), ..std::mem::take(&mut self.effects) }
    }

    /// When there will be something to do, even if nothing changes.
    pub fn due(&self, now: Instant) -> Option<Instant> {
        [self.reconciler.due(), self.dispatcher.due(now)].into_iter().flatten().min()
    }

    /// For everybody who wants to know. Cheap.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            me: self.reconciler.me().clone(),
            source: self.source.clone(),
            programmed: self.reconciler.programmed().clone(),
            capacity: self.reconciler.capacity(),
            kernel_hops: Arc::clone(&self.kernel_hops),
            hops: Arc::clone(&self.hops),
            network_faults: Arc::clone(&self.network_faults),
            liveness: self.liveness.clone(),
            announcement_status: self.dispatcher.status().clone(),
        }
    }

    fn next_orders(&mut self, now: Now) -> Option<Announcements> {
        let _stage = trace_span!("announce").entered();
        let (me, programmed) = (self.reconciler.me(), self.reconciler.programmed());
        self.dispatcher.next_orders(&self.source.cluster, me, programmed, now.instant)
    }

    /// What is not good keeps its last good version. The first time, all has to be there.
    fn apply_update(&mut self, update: Update, now: Now) {
        self.note_own_node(&update.changes);
        let cluster = trace_span!("index").in_scope(|| {
            self.index.apply_changes(update.changes);
            Arc::clone(self.index.cluster())
        });
        let faults: Vec<_> = update.faults.into_iter().chain(self.index.faults()).collect();
        let refused: Vec<_> = update.refused.into_iter().chain(self.index.refused()).collect();
        let is_first = !self.source.has_been_good;
        let may_start = self.starts_with_faults || faults.iter().all(|problem| problem.left_out);
        self.source.has_been_good |= may_start && self.index.is_synced();
        (self.source.faults, self.source.refused) = (faults.into(), refused.into());
        if self.source.has_been_good {
            (self.source.version.seen, self.source.version.requests) = (update.seen, self.index.requests());
            let before = std::mem::replace(&mut self.source.cluster, cluster);
            let _stage = trace_span!("targets").entered();
            if is_first || !plan::has_same_targets(&before, &self.source.cluster) {
                self.set_targets(plan::next_hop_targets(&self.source.cluster));
            }
        }
        self.reconcile(now);
    }

    /// Reports belong to it.
    fn note_own_node(&mut self, changes: &[Change]) {
        let me = &*self.reconciler.me().node;
        for change in changes {
            match change {
                Change::Put(Object::Node(node), _) if node.metadata.name.as_deref() == Some(me) => {
                    self.source.version.node_uid = node.metadata.uid.as_deref().map(Arc::from);
                }
                Change::Gone(this) if this.kind == Kind::Node && &*this.name == me => {
                    self.source.version.node_uid = None;
                }
                _ => {}
            }
        }
    }

    fn learn_path_mtu(&mut self, report: &pmtu::PathMtuReport, now: Now) {
        if self.path_mtus.learn_report(report, &self.kernel_hops, now.instant) {
            info!(target = %report.target, mtu = report.mtu, "a router tells of a smaller path MTU");
            self.follow_hops(now);
        }
    }

    /// Who is dead leaves the rings, who is back returns; all else can wait.
    fn set_healths(&mut self, healths: Healths, now: Now) {
        if self.liveness.set_healths(healths) {
            self.reconcile(now);
        }
    }

    fn handle_tick(&mut self, now: Now) {
        if self.path_mtus.expire(now.instant) {
            self.follow_hops(now);
        }
        if self.reconciler.tick(now) {
            self.dispatcher.invalidate();
            if self.reconciler.programmed().is_planned {
                self.renew_probes();
            }
        }
    }

    fn handle_due(&mut self, now: Now) {
        self.dispatcher.invalidate();
        if self.reconciler.due().is_some_and(|due| due <= now.instant) {
            self.reconcile(now);
        }
    }

    /// If only MAC addresses have changed, or whether neighbours answer, there is nothing to plan.
    fn follow_hops(&mut self, now: Now) {
        let usable = self.last_answers.usable_hops(&self.kernel_hops, &self.devices);
        let before = std::mem::replace(&mut self.hops, self.path_mtus.adjusted_hops(&usable));
        if !self.reconciler.programmed().is_planned {
            self.reconciler.follow_hops_of_adopted(&self.hops);
            self.reconcile(now);
        } else if let Some(changed) = neigh::changed_answers(&before, &self.hops) {
            self.dispatcher.invalidate();
            self.reconciler.follow_hops(&self.source.cluster, &self.hops, &changed);
        } else {
            self.reconcile(now);
        }
    }

    /// The first time not before the source was good once, and every next hop was looked up:
    /// what is pinned from before is better than a plan that knows less.
    fn reconcile(&mut self, now: Now) {
        self.dispatcher.invalidate();
        let are_hops_known = || self.targets.iter().all(|target| self.hops.contains_key(target));
        let is_planned = self.reconciler.programmed().is_planned;
        if !self.source.has_been_good || !(is_planned || are_hops_known()) {
            return;
        }
        self.reconciler.reconcile(&self.source.cluster, &self.hops, self.liveness.avoided(), now);
        self.renew_probes();
    }

    fn renew_probes(&mut self) {
        let _stage = trace_span!("probes").entered();
        let (me, programmed) = (self.reconciler.me(), self.reconciler.programmed());
        let plan = &programmed.plan;
        let basis = TargetsBasis::new(&self.source.cluster, plan, &self.hops);
        let before = self.probes_basis.replace(basis.clone());
        if before.is_some_and(|before| !before.differs(&basis)) {
            return;
        }
        if plan.members.keys().any(|key| key.bare) {
            self.probes_basis = None;
        }
        let paths = PathsToBackends { hops: &self.hops, backends: &programmed.mirror.backends };
        if me.roles & roles::NODE != 0 && me.asks_former_owners {
            let members = plan.members.keys().filter(|key| !key.bare);
            self.fellows.extend(members.map(|key| BackendKey::fellow_node(key.addr)));
        }
        self.fellows.retain(|key| plan.backends.contains_key(key));
        let probes = health::choose_targets(&self.source.cluster, me, &paths, plan, &self.fellows);
        self.set_probes(probes);
    }

    fn set_targets(&mut self, targets: BTreeSet<IpAddr>) {
        if self.targets != targets {
            self.targets.clone_from(&targets);
            self.effects.targets = Some(targets);
        }
    }

    fn set_probes(&mut self, probes: Targets) {
        if self.probes != probes {
            self.probes.clone_from(&probes);
            self.effects.probes = Some(probes);
        }
    }
}

/// Target, device, VLAN tags and MAC address of an entry that leads to another machine.
fn adopted_answer(entry: &Backend) -> Option<(IpAddr, u32, [u32; 2], Mac)> {
    let is_resolved = entry.flags & backend_flags::RESOLVED != 0;
    let mac = entry.macs.first_chunk().copied()?;
    is_resolved.then_some((entry.outer_dst.into(), entry.ifindex, entry.tags, mac))
}
