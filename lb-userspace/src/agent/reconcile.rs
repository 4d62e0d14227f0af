//! Plan, diff, apply, proof: from a cluster to the kernel, synchronously.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Instant,
};

use lb_common::maps::{Service, ServiceKey};
use tracing::{debug, error, info};

use crate::{
    datapath::{self, TableError, Tables},
    diff::{Shortage, Stamp, diff},
    health::Dead,
    model::Cluster,
    neigh::NextHops,
    plan::{self, Identity, Memory, Plan},
    state::{Capacity, Op, State},
};

/// Owns the maps and knows what is in them.
pub struct Reconciler<T> {
    me: Identity,
    tables: T,
    capacity: Capacity,
    memory: Memory,
    pub state: State,
    pub plan: Plan,
    /// Generation read back from the kernel, by service.
    pub proven: BTreeMap<ServiceKey, u32>,
    pub generation: u32,
    pub shortages: BTreeSet<Shortage>,
    /// The last change of a map failed, and why.
    pub failure: Option<String>,
    /// Something was planned since the start.
    pub planned: bool,
}

impl<T: Tables> Reconciler<T> {
    /// Begins with what is pinned.
    pub fn new(me: Identity, mut tables: T, capacity: Capacity) -> Result<Self, TableError> {
        let state = datapath::adopt(&mut tables)?;
        let generation = state.services.values().map(|service| service.generation).max().unwrap_or(0);
        if !state.services.is_empty() {
            info!(services = state.services.len(), generation, "adopted what is pinned");
        }
        Ok(Self {
            me,
            tables,
            capacity,
            memory: Memory::default(),
            state,
            plan: Plan::default(),
            proven: BTreeMap::new(),
            generation,
            shortages: BTreeSet::new(),
            failure: None,
            planned: false,
        })
    }

    /// Make the kernel hold what the cluster says.
    pub fn run(&mut self, cluster: &Cluster, hops: &NextHops, dead: &Dead) {
        self.plan = plan::plan(cluster, &self.me, hops, dead, &mut self.memory, Instant::now());
        self.planned = true;
        let result = self.converge();
        if let Err(e) = &result {
            error!("{e}; trying again in a second");
        }
        self.failure = result.err().map(|e| e.to_string());
    }

    /// A second has passed: old ids and ranges are free, failures may be over.
    /// True if something was tried again.
    pub fn rest(&mut self) -> bool {
        let freed = self.state.rest();
        let again = self.planned && (self.failure.is_some() || (freed && !self.shortages.is_empty()));
        if again {
            self.failure = self.converge().err().map(|e| e.to_string());
        }
        again
    }

    fn converge(&mut self) -> Result<(), TableError> {
        let next = self.generation.wrapping_add(1);
        let stamp = Stamp { generation: next, now: monotonic_seconds() };
        let diff = diff(&self.plan, &self.state, self.capacity, stamp);
        let news: BTreeSet<Shortage> = diff.shortages.iter().cloned().collect();
        news.difference(&self.shortages).for_each(|shortage| error!("{shortage}"));
        self.shortages = news;
        if !diff.ops.is_empty() {
            debug!(ops = diff.ops.len(), generation = next, "changing the data path");
        }
        // Of services alone, since it is found in their entries after a restart.
        if diff.ops.iter().any(|op| matches!(op, Op::SetService(..))) {
            self.generation = next;
        }
        let written: Vec<ServiceKey> = diff.written.iter().map(|(key, _)| *key).collect();
        datapath::apply(&mut self.tables, &mut self.state, diff)?;
        let state = &self.state;
        self.proven.retain(|key, _| state.services.contains_key(key));
        written.into_iter().try_for_each(|key| self.prove(key))
    }

    fn prove(&mut self, key: ServiceKey) -> Result<(), TableError> {
        match datapath::prove(&self.tables, &self.state, &key)? {
            Some(generation) => {
                if self.proven.insert(key, generation) != Some(generation) {
                    let name = self.plan.services.get(&key).map(|planned| planned.name.clone());
                    let (vip, port) = (key.addr, u16::from_be(key.port));
                    info!(service = name.as_deref(), %vip, port, generation, "programmed");
                }
            }
            None => {
                // Whatever wrote there: write it again, in a second.
                self.proven.remove(&key);
                self.state.written.remove(&key);
                return Err(TableError {
                    map: "SERVICES",
                    entry: format!("{key:?}"),
                    source: "what was read back is not what was written".into(),
                });
            }
        }
        Ok(())
    }

    /// The entry of a service, as the kernel has it.
    pub fn service(&self, key: &ServiceKey) -> Option<&Service> {
        self.state.services.get(key)
    }

    /// Is everything that was planned there, and proven?
    pub fn is_settled(&self) -> bool {
        self.planned
            && self.failure.is_none()
            && self.shortages.is_empty()
            && self.proven.len() == self.plan.services.len()
    }

    /// Who we are.
    pub fn me(&self) -> &Identity {
        &self.me
    }
}

/// Seconds of `CLOCK_MONOTONIC`, as `bpf_ktime_get_ns` counts them.
fn monotonic_seconds() -> u32 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    u32::try_from(now.tv_sec).unwrap_or(u32::MAX)
}
