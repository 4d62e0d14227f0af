//! Plan, diff, apply, proof: from a cluster to the maps, synchronously.

#[cfg(test)]
mod tests;

use std::{collections::BTreeSet, net::IpAddr, sync::Arc, time::Instant};

use imbl::OrdMap;
use lb_common::maps::{Backend, Service, ServiceKey, backend_flags};
use tracing::{debug, info, trace_span};

use crate::{
    datapath::{self, Applied, TableError, Tables},
    neigh::NextHops,
    objects::model::Cluster,
    os::{memory, moment::Now},
    plan::{
        BackendKey, Dead, Identity, Plan, Planner, TunnelOrigin, backend_entry,
        diff::{ServiceChange, Stamp, diff},
        follow_next_hop,
        mirror::{Capacity, Mirror},
        names,
        needs::Doubts,
        op::Op,
        shortage::Shortage,
    },
};

/// Rounds of changes at once: there is another one if something was short and the last made room.
const MAX_ROUNDS: usize = 3;

/// What was planned, and how much of it the maps are known to hold. Cheap to copy.
#[derive(Clone, Debug, Default)]
pub struct Programmed {
    pub plan: Arc<Plan>,
    pub mirror: Arc<Mirror>,
    /// Services of which all that packets need was read back from the kernel, with their generation.
    pub proven: OrdMap<ServiceKey, u32>,
    pub generation: u32,
    pub shortages: Arc<BTreeSet<Shortage>>,
    /// The last change of a map failed, and why.
    pub failure: Option<String>,
    /// Something was planned since the start.
    pub is_planned: bool,
}

impl Programmed {
    /// The entry of a service, as the kernel has it.
    pub fn service(&self, key: &ServiceKey) -> Option<&Service> {
        self.mirror.services.get(key)
    }

    /// Is everything that was planned there, and proven?
    pub fn is_settled(&self) -> bool {
        self.is_planned
            && self.failure.is_none()
            && self.shortages.is_empty()
            && self.plan.waiting.is_empty()
            && self.proven.len() == self.plan.services.len()
    }
}

/// Owns the maps and knows what is in them.
pub struct Reconciler<T> {
    me: Identity,
    tables: T,
    capacity: Capacity,
    planner: Planner,
    programmed: Programmed,
    /// When to plan again: some rings are to grow then.
    due: Option<Instant>,
    /// There may be room now for what was short.
    has_new_room: bool,
    /// Something could not be read back as it was written.
    is_in_doubt: bool,
    /// Services that this step changed: their proofs are to be looked at.
    changed: BTreeSet<ServiceKey>,
    /// The last plan, if the maps hold all of it and nothing else.
    held: Option<Arc<Plan>>,
}

impl<T: Tables> Reconciler<T> {
    /// Begins with what is in the maps.
    pub fn new(me: Identity, mut tables: T, capacity: Capacity) -> Result<Self, TableError> {
        let mut mirror = datapath::adopt_maps(&tables)?;
        let orphans = datapath::delete_orphans(&mut tables, &mut mirror);
        let failure = describe_failures(&orphans.failures);
        let generation = mirror.services.values().map(|service| service.generation).max().unwrap_or(0);
        if !mirror.services.is_empty() {
            info!(services = mirror.services.len(), generation, "adopted what is pinned");
        }
        // All has just been read.
        let doubts = mirror.doubts();
        let proven = mirror.services.iter().filter(|(key, _)| mirror.is_proven(key, &doubts));
        let proven = proven.map(|(key, service)| (*key, service.generation)).collect();
        let is_in_doubt = !doubts.is_empty();
        let programmed =
            Programmed { mirror: Arc::new(mirror), proven, generation, failure, ..Programmed::default() };
        Ok(Self {
            me,
            tables,
            capacity,
            planner: Planner::default(),
            programmed,
            due: None,
            has_new_room: false,
            is_in_doubt,
            changed: BTreeSet::new(),
            held: None,
        })
    }

    #[cfg(test)]
    pub fn into_tables(self) -> T {
        self.tables
    }

    #[cfg(test)]
    pub fn tables_mut(&mut self) -> &mut T {
        &mut self.tables
    }

    /// This node.
    pub fn me(&self) -> &Identity {
        &self.me
    }

    /// What the maps have room for.
    pub fn capacity(&self) -> Capacity {
        self.capacity
    }

    pub fn programmed(&self) -> &Programmed {
        &self.programmed
    }

    pub fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Make the maps hold what the cluster says.
    pub fn reconcile(&mut self, cluster: &Cluster, hops: &NextHops, dead: &Dead, now: Now) {
        let plan = trace_span!("plan").in_scope(|| {
            self.planner.plan(&self.programmed.plan, cluster, &self.me, hops, dead, now.instant)
        });
        self.due = plan.due;
        self.programmed.plan = Arc::new(plan);
        let is_first = !std::mem::replace(&mut self.programmed.is_planned, true);
        self.converge_maps(now, Vec::new());
        if is_first {
            memory::give_back();
        }
    }

    /// Next hops answer otherwise than when they were planned with, and nothing else has changed.
    pub fn follow_hops(&mut self, cluster: &Cluster, hops: &NextHops, changed: &BTreeSet<IpAddr>) {
        self.planner.note_hops(hops);
        let origin = TunnelOrigin::new(cluster, &self.me);
        let renewed = |(key, old): (&BackendKey, &Backend)| {
            let mut entry = backend_entry(key, &origin, hops);
            entry.flags |= old.flags & backend_flags::DEAD;
            (entry != *old).then_some((*key, entry))
        };
        let old = self.programmed.plan.backends.iter();
        let new: Vec<_> =
            old.filter(|(key, _)| changed.contains(&key.addr.into())).filter_map(renewed).collect();
        if new.is_empty() {
            return;
        }
        Arc::make_mut(&mut self.programmed.plan).backends.extend(new);
        let plan = Arc::clone(&self.programmed.plan);
        let entry = |backend: &Backend| {
            let key = BackendKey::from_entry(backend);
            plan.backends.get(&key).filter(|_| !plan.waiting.contains(&key)).copied()
        };
        self.rewrite_backends(entry);
    }

    /// The same, before anything was planned: of what is pinned.
    pub fn follow_hops_of_adopted(&mut self, hops: &NextHops) {
        let entry = |backend: &Backend| {
            let reach = hops.get(&IpAddr::from(backend.outer_dst))?;
            Some(follow_next_hop(backend, reach))
        };
        self.rewrite_backends(entry);
    }

    fn rewrite_backends(&mut self, entry: impl Fn(&Backend) -> Option<Backend>) {
        let old = &self.programmed.mirror.backends;
        let new = old.iter().filter_map(|(id, old)| Some((*id, entry(old).filter(|new| new != old)?)));
        let ops: Vec<Op> = new.map(|(id, entry)| Op::SetBackend(id, entry)).collect();
        if ops.is_empty() {
            return;
        }
        // Maps that held the plan hold it with its new next hops.
        self.held = self.held.take().map(|_| Arc::clone(&self.programmed.plan));
        let mut failures = Vec::new();
        let mirror = Arc::make_mut(&mut self.programmed.mirror);
        let applied = datapath::write_all(&mut self.tables, mirror, ops);
        self.read_back(applied, &mut failures);
        self.update_proofs();
        if !failures.is_empty() {
            self.report_failures(&failures);
        }
    }

    /// A second has passed: old ids and ranges are free, and what failed may succeed now.
    /// True if something was tried again.
    pub fn tick(&mut self, now: Now) -> bool {
        let mut failures = Vec::new();
        // Ageing copies the mirror if a reader has it: only if there is something to age.
        if self.programmed.mirror.has_resting() && !self.programmed.mirror.may_name_freed() {
            self.release_oldest(&mut failures);
        }
        let Programmed { is_planned, failure, shortages, .. } = &self.programmed;
        let has_failed = failure.is_some() || !failures.is_empty();
        let must_retry = has_failed || (self.has_new_room && !shortages.is_empty());
        if must_retry && *is_planned {
            self.converge_maps(now, failures);
        } else if must_retry {
            self.mend_maps(&mut failures);
            self.update_proofs();
            self.report_failures(&failures);
        }
        must_retry
    }

    fn release_oldest(&mut self, failures: &mut Vec<TableError>) {
        let mirror = Arc::make_mut(&mut self.programmed.mirror);
        self.has_new_room |= mirror.release_oldest(self.tables.sweeps());
        if mirror.quarantine.needs_sweep {
            let swept = datapath::write_all(&mut self.tables, mirror, vec![Op::ForgetUnheld]);
            mirror.quarantine.await_sweep(self.tables.sweeps().asked);
            failures.extend(swept.failures);
        }
    }

    /// In several rounds, if something was short and a round has made room.
    /// `failures` are those of before, in the same step.
    fn converge_maps(&mut self, now: Now, mut failures: Vec<TableError>) {
        if self.programmed.failure.is_some() {
            self.mend_maps(&mut failures);
        }
        let mut held = self.held.take();
        for _ in 0..MAX_ROUNDS {
            self.has_new_room = self.run_round(held.take().as_ref(), now, &mut failures);
            if !self.has_new_room || self.programmed.shortages.is_empty() {
                break;
            }
        }
        self.update_proofs();
        self.report_failures(&failures);
        let Programmed { plan, mirror, shortages, failure, .. } = &self.programmed;
        if failure.is_none() && shortages.is_empty() && holds_all(mirror, plan) {
            self.held = Some(Arc::clone(plan));
        }
    }

    fn report_failures(&mut self, failures: &[TableError]) {
        if !failures.is_empty() {
            self.held = None;
        }
        self.programmed.failure = describe_failures(failures);
    }

    /// Deletes what changes that failed have left, and writes again what was not read back.
    fn mend_maps(&mut self, failures: &mut Vec<TableError>) {
        let mirror = Arc::make_mut(&mut self.programmed.mirror);
        let failed = std::mem::take(&mut mirror.failed);
        let orphans = datapath::delete_orphans(&mut self.tables, mirror);
        let restored = datapath::restore(&mut self.tables, mirror);
        self.read_back(orphans, failures);
        self.read_back(restored, failures);
        if !self.programmed.is_planned {
            // No plan tells whether they are still wanted; they have been since.
            let mirror = Arc::make_mut(&mut self.programmed.mirror);
            let again = datapath::write_all(&mut self.tables, mirror, failed.into_values().collect());
            self.read_back(again, failures);
        }
    }

    /// Adds what fails to `failures`. True if there is more room than before.
    fn run_round(&mut self, held: Option<&Arc<Plan>>, now: Now, failures: &mut Vec<TableError>) -> bool {
        let next = self.programmed.generation.wrapping_add(1);
        let stamp = Stamp { generation: next, now: now.monotonic };
        let Programmed { plan, mirror, .. } = &self.programmed;
        let held = held.map(|held| &**held);
        let mut diff = trace_span!("diff").in_scope(|| diff(held, plan, mirror, self.capacity, stamp));
        #[cfg(test)]
        tests::assert_same_diff(&diff, &crate::plan::diff::diff(None, plan, mirror, self.capacity, stamp));
        let shortages = std::mem::take(&mut diff.shortages).into_iter().collect();
        if shortages != *self.programmed.shortages {
            self.programmed.shortages = Arc::new(shortages);
        }
        if diff.is_empty() {
            return false;
        }
        let mirror = Arc::make_mut(&mut self.programmed.mirror);
        let name = |change: &ServiceChange| Some(Arc::clone(&mirror.written.get(&change.key)?.planned.name));
        let deleted: Vec<_> = diff.deleted.iter().map(|change| (change.key, name(change))).collect();
        let applied = trace_span!("apply").in_scope(|| datapath::apply(&mut self.tables, mirror, diff));
        for (key, name) in deleted.iter().filter(|(key, _)| !mirror.services.contains_key(key)) {
            info!(service = name.as_deref(), frontend = names::frontend(key), "removed");
        }
        if !applied.ops.is_empty() {
            debug!(ops = applied.ops.len(), generation = next, "changed the data path");
        }
        // Only if a service changes: after a restart the generation is read from their entries.
        if applied.ops.iter().any(|op| matches!(op, Op::SetService(..))) {
            self.programmed.generation = next;
        }
        let has_made_room = applied.ops.iter().any(Op::makes_room);
        self.read_back(applied, failures);
        has_made_room
    }

    /// Reads back what was written. Adds to `failures` what was not, or is not there.
    fn read_back(&mut self, applied: Applied, failures: &mut Vec<TableError>) {
        let _stage = trace_span!("prove").entered();
        let mirror = Arc::make_mut(&mut self.programmed.mirror);
        for op in &applied.ops {
            match op {
                Op::SetService(key, _) | Op::DeleteService(key) => drop(self.changed.insert(*key)),
                Op::SetVip(addr, _) | Op::DeleteVip(addr) => {
                    self.changed.extend(mirror.services_of(*addr).map(|(key, _)| *key));
                }
                _ => {}
            }
        }
        failures.extend(applied.failures);
        failures.extend(datapath::read_back(&self.tables, mirror, applied.ops));
    }

    /// At the end of a step, when all that failed before was tried again.
    fn update_proofs(&mut self) {
        let _stage = trace_span!("prove").entered();
        let changed = std::mem::take(&mut self.changed);
        let mirror = &self.programmed.mirror;
        let doubts = mirror.doubts();
        let was_in_doubt = std::mem::replace(&mut self.is_in_doubt, !doubts.is_empty());
        let others: Vec<ServiceKey> = if was_in_doubt || self.is_in_doubt {
            mirror.services.keys().filter(|key| !changed.contains(key)).copied().collect()
        } else {
            Vec::new()
        };
        for key in changed.into_iter().filter(|key| self.update_proof(key, &doubts)).collect::<Vec<_>>() {
            self.log_programmed(&key);
        }
        let others = others.iter().filter(|key| self.update_proof(key, &doubts)).count();
        if others > 0 {
            info!(services = others, proven = self.programmed.proven.len(), "proofs that a doubt concerned");
        }
    }

    /// True if it changes.
    fn update_proof(&mut self, key: &ServiceKey, doubts: &Doubts) -> bool {
        let Programmed { mirror, proven, .. } = &mut self.programmed;
        let generation = mirror.services.get(key).map(|service| service.generation);
        let generation = generation.filter(|_| mirror.is_proven(key, doubts));
        if proven.get(key).copied() == generation {
            return false;
        }
        match generation {
            Some(generation) => proven.insert(*key, generation),
            None => proven.remove(key),
        };
        true
    }

    fn log_programmed(&self, key: &ServiceKey) {
        let Programmed { plan, proven, .. } = &self.programmed;
        if let Some(generation) = proven.get(key) {
            let name = plan.services.get(key).map(|planned| planned.name.clone());
            info!(service = name.as_deref(), frontend = names::frontend(key), generation, "programmed");
        }
    }
}

/// After all of a plan was compared with the maps, and nothing has failed or was short: is nothing left
/// of an earlier plan, and does nothing of this one wait?
fn holds_all(mirror: &Mirror, plan: &Plan) -> bool {
    plan.waiting.is_empty()
        && plan.held == 0
        && mirror.unproven.is_empty()
        && mirror.failed.is_empty()
        && mirror.services.len() == plan.services.len()
        && mirror.vips.len() == plan.vips.len()
        && mirror.peers.len() == plan.peers.len()
        && mirror.backends.len() == plan.backends.len()
        && mirror.backend_ids.len() == plan.backends.len()
}

/// None if nothing has failed.
fn describe_failures(failures: &[TableError]) -> Option<String> {
    let (first, others) = failures.split_first()?;
    Some(match others.len() {
        0 => format!("{first}; it is tried again each second"),
        others => format!("{first}; other changes that failed: {others}; all are tried again each second"),
    })
}
