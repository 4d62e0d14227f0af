//! Plan, diff, apply, proof: from a cluster to the maps, synchronously.

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Instant,
};

use lb_common::maps::{Service, ServiceKey, names};
use tracing::{debug, error, info};

use crate::{
    datapath::{self, TableError, Tables},
    neigh::NextHops,
    objects::model::Cluster,
    os::moment::Now,
    plan::{
        Dead, Identity, Plan, Planner,
        diff::{Stamp, diff},
        mirror::{Capacity, Mirror, Op},
        shortage::Shortage,
    },
};

/// How often a shortage is tried again because changes have made room.
const MAX_ROUNDS: usize = 3;

/// What was planned, and how much of it the maps are known to hold. Cheap to copy.
#[derive(Clone, Debug, Default)]
pub struct Programmed {
    pub plan: Arc<Plan>,
    pub mirror: Arc<Mirror>,
    /// Generation read back from the kernel, by service.
    pub proven: Arc<BTreeMap<ServiceKey, u32>>,
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
}

impl<T: Tables> Reconciler<T> {
    /// Begins with what is in the maps.
    pub fn new(me: Identity, mut tables: T, capacity: Capacity) -> Result<Self, TableError> {
        let mirror = datapath::adopt_maps(&mut tables)?;
        let generation = mirror.services.values().map(|service| service.generation).max().unwrap_or(0);
        if !mirror.services.is_empty() {
            info!(services = mirror.services.len(), generation, "adopted what is pinned");
        }
        // They have just been read.
        let proven = mirror.services.iter().map(|(key, service)| (*key, service.generation)).collect();
        let programmed = Programmed {
            mirror: Arc::new(mirror),
            proven: Arc::new(proven),
            generation,
            ..Programmed::default()
        };
        Ok(Self { me, tables, capacity, planner: Planner::default(), programmed, due: None })
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

    pub fn programmed(&self) -> &Programmed {
        &self.programmed
    }

    pub fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Make the maps hold what the cluster says.
    pub fn reconcile(&mut self, cluster: &Cluster, hops: &NextHops, dead: &Dead, now: Now) {
        let plan = self.planner.plan(cluster, &self.me, hops, dead, now.instant);
        self.due = plan.due;
        self.programmed.plan = Arc::new(plan);
        self.programmed.is_planned = true;
        self.converge_maps(now);
    }

    /// A second has passed: old ids and ranges are free, and what failed may succeed now.
    /// True if something was tried again.
    pub fn tick(&mut self, now: Now) -> bool {
        // `make_mut` copies the mirror if a reader has it: only if there is something to age.
        let is_waiting = !self.programmed.mirror.quarantine.is_empty();
        let freed = is_waiting && Arc::make_mut(&mut self.programmed.mirror).quarantine.release_oldest();
        let Programmed { is_planned, failure, shortages, .. } = &self.programmed;
        let must_retry = *is_planned && (failure.is_some() || (freed && !shortages.is_empty()));
        if must_retry {
            self.converge_maps(now);
        }
        must_retry
    }

    /// In several rounds, if something was short and a round has made room.
    fn converge_maps(&mut self, now: Now) {
        let mut failures = Vec::new();
        if self.programmed.failure.is_some() {
            let mirror = Arc::make_mut(&mut self.programmed.mirror);
            failures.extend(datapath::delete_orphans(&mut self.tables, mirror).err());
        }
        for _ in 0..MAX_ROUNDS {
            let has_made_room = self.run_round(now, &mut failures);
            if !has_made_room || self.programmed.shortages.is_empty() {
                break;
            }
        }
        self.programmed.failure = failures.first().map(|first| match failures.len() - 1 {
            0 => first.to_string(),
            others => format!("{first}; other changes that failed: {others}"),
        });
        if let Some(failure) = &self.programmed.failure {
            error!("{failure}; trying again in a second");
        }
    }

    /// Adds what fails to `failures`. True if entries were deleted.
    fn run_round(&mut self, now: Now, failures: &mut Vec<TableError>) -> bool {
        let next = self.programmed.generation.wrapping_add(1);
        let stamp = Stamp { generation: next, now: now.monotonic_seconds };
        let mut diff = diff(&self.programmed.plan, &self.programmed.mirror, self.capacity, stamp);
        self.note_shortages(std::mem::take(&mut diff.shortages).into_iter().collect());
        if diff.is_empty() {
            return false;
        }
        let ops = diff.ops().count();
        if ops > 0 {
            debug!(ops, generation = next, "changing the data path");
        }
        // Only if a service changes: after a restart the generation is read from their entries.
        if diff.ops().any(|op| matches!(op, Op::SetService(..))) {
            self.programmed.generation = next;
        }
        let deletions = diff.services.iter().filter(|change| change.written.is_none());
        let deleted: Vec<ServiceKey> = deletions.map(|change| change.key).collect();
        let has_made_room = diff.makes_room();
        let mirror = Arc::make_mut(&mut self.programmed.mirror);
        let applied = datapath::apply(&mut self.tables, mirror, diff);
        self.withdraw_proofs(&deleted);
        failures.extend(applied.failures);
        failures.extend(applied.written.into_iter().filter_map(|key| self.prove_service(key).err()));
        has_made_room
    }

    fn withdraw_proofs(&mut self, deleted: &[ServiceKey]) {
        let Programmed { mirror, proven, .. } = &mut self.programmed;
        for key in deleted.iter().filter(|key| !mirror.services.contains_key(key)) {
            Arc::make_mut(proven).remove(key);
        }
    }

    /// Each shortage is logged when it begins.
    fn note_shortages(&mut self, shortages: BTreeSet<Shortage>) {
        shortages.difference(&self.programmed.shortages).for_each(|shortage| error!("{shortage}"));
        if shortages != *self.programmed.shortages {
            self.programmed.shortages = Arc::new(shortages);
        }
    }

    fn prove_service(&mut self, key: ServiceKey) -> Result<(), TableError> {
        let Programmed { plan, mirror, proven, .. } = &mut self.programmed;
        match datapath::proven_generation(&self.tables, mirror, &key)? {
            Some(generation) => {
                if Arc::make_mut(proven).insert(key, generation) != Some(generation) {
                    let name = plan.services.get(&key).map(|planned| planned.name.clone());
                    let (vip, port) = (key.addr, u16::from_be(key.port));
                    info!(service = name.as_deref(), %vip, port, generation, "programmed");
                }
                Ok(())
            }
            None => {
                Arc::make_mut(proven).remove(&key);
                Arc::make_mut(mirror).overwritten.insert(key);
                Err(TableError {
                    map: names::SERVICES,
                    entry: format!("{key:?}"),
                    source: "what was read back is not what was written".into(),
                })
            }
        }
    }
}
