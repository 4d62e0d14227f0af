//! Deletes flows to endpoints, services and backends that are gone. A pass through a table of a
//! quarter of a million entries takes a while, so a thread of its own does it, and all
//! requests that are waiting are done in one pass.

use std::{
    collections::{BTreeMap, HashSet},
    path::Path,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, Sender, channel},
    },
    thread,
};

use aya::{
    Pod,
    maps::{HashMap, Map, MapData},
};
use lb_common::maps::{Affinity, Endpoint, FlowKey, Holder, NodeFlow, Reply, ReplyKey, names};

use super::{
    error::LoadError,
    held::Held,
    pinned::{map_pin, open_map},
};
use crate::{
    datapath::TableError,
    plan::{op::Op, quarantine::Sweeps},
};

pub struct Sweeper {
    jobs: Sender<Op>,
    held: Arc<Mutex<Held>>,
    asked: u64,
    done: Arc<AtomicU64>,
}

impl Sweeper {
    /// The thread ends when the sweeper is dropped.
    pub fn start(pin_dir: &Path) -> Result<Self, LoadError> {
        let mut tables = FlowTables::open(pin_dir)?;
        let (jobs, queue) = channel();
        let (held, done) = (Arc::<Mutex<Held>>::default(), Arc::<AtomicU64>::default());
        let sweeper = Self { jobs, held: Arc::clone(&held), asked: 0, done: Arc::clone(&done) };
        thread::spawn(move || {
            while let Some((gone, count)) = next_pass(&queue) {
                tables.sweep(&gone, &held);
                done.fetch_add(count, Ordering::Release);
            }
        });
        Ok(sweeper)
    }

    /// Has the thread delete the flows that `op`, one of the `Forget` ones, is about.
    pub fn forget(&mut self, op: Op) -> Result<(), TableError> {
        self.jobs.send(op).map_err(|lost| TableError {
            map: names::NODE_FLOWS,
            entry: format!("{:?}", lost.0),
            source: "the thread that forgets flows has ended; restart the agent".into(),
        })?;
        self.asked += 1;
        Ok(())
    }

    pub fn sweeps(&self) -> Sweeps {
        Sweeps { asked: self.asked, done: self.done.load(Ordering::Acquire) }
    }

    /// What is not swept, to be kept up to date.
    pub fn held(&self) -> MutexGuard<'_, Held> {
        lock(&self.held)
    }
}

/// Each change of it is one step, so that a panic leaves nothing half done.
fn lock(held: &Mutex<Held>) -> MutexGuard<'_, Held> {
    held.lock().unwrap_or_else(PoisonError::into_inner)
}

/// All requests that wait, and how many there are; none if there will be no more.
fn next_pass(queue: &Receiver<Op>) -> Option<(GoneObjects, u64)> {
    let first = queue.recv().ok()?;
    let mut gone = GoneObjects::default();
    let count = std::iter::once(first).chain(queue.try_iter()).map(|op| gone.add(op)).count();
    Some((gone, count as u64))
}

/// What is gone, by all requests of one pass.
#[derive(Default)]
struct GoneObjects {
    /// By service: the endpoints that are not gone, by the last request.
    remaining_endpoints: BTreeMap<u32, HashSet<Endpoint>>,
    /// Services and backends that are not held.
    has_unheld: bool,
}

impl GoneObjects {
    fn add(&mut self, op: Op) {
        match op {
            Op::ForgetOtherEndpoints { service, endpoints } => {
                self.remaining_endpoints.insert(service, endpoints.into_iter().collect());
            }
            Op::ForgetUnheld => self.has_unheld = true,
            _ => {}
        }
    }

    fn has_endpoint(&self, key: &FlowKey, flow: &NodeFlow) -> bool {
        let kept = self.remaining_endpoints.get(&key.service);
        kept.is_some_and(|kept| !kept.contains(&flow.endpoint()))
    }
}

struct FlowTables {
    bare: HashMap<MapData, FlowKey, Holder>,
    flows: HashMap<MapData, FlowKey, NodeFlow>,
    replies: HashMap<MapData, ReplyKey, Reply>,
    affinities: HashMap<MapData, FlowKey, Affinity>,
}

impl FlowTables {
    fn open(pin_dir: &Path) -> Result<Self, LoadError> {
        Ok(Self {
            bare: open_table(pin_dir, names::BARE_FLOWS)?,
            flows: open_table(pin_dir, names::NODE_FLOWS)?,
            replies: open_table(pin_dir, names::NODE_REPLIES)?,
            affinities: open_table(pin_dir, names::AFFINITIES)?,
        })
    }

    fn sweep(&mut self, gone: &GoneObjects, held: &Mutex<Held>) {
        if !gone.has_unheld {
            delete_where(&mut self.flows, |key, flow| gone.has_endpoint(key, flow));
            return;
        }
        let is_unheld = |key: &FlowKey| !lock(held).has_service(key.service, key.incarnation);
        delete_where(&mut self.bare, |key, flow| is_unheld(key) || !lock(held).has_backend(flow.backend));
        delete_where(&mut self.flows, |key, flow| gone.has_endpoint(key, flow) || is_unheld(key));
        delete_where(&mut self.affinities, |key, _| is_unheld(key));
        // A Pod that is gone may still send a last FIN or RST, which must carry the
        // VIP. So replies are deleted only with their service.
        delete_where(&mut self.replies, |_, reply| !lock(held).has_service(reply.service, reply.incarnation));
    }
}

fn open_table<K: Pod, V: Pod>(pin_dir: &Path, name: &str) -> Result<HashMap<MapData, K, V>, LoadError> {
    HashMap::try_from(Map::LruHashMap(open_map(pin_dir, name)?))
        .map_err(|source| LoadError::Pinned { path: map_pin(pin_dir, name), source })
}

fn delete_where<K: Pod, V: Pod>(map: &mut HashMap<MapData, K, V>, is_gone: impl Fn(&K, &V) -> bool) {
    // If the table changes during the iteration, that may end early or see an
    // entry twice (bpf(2)). So collect first; entries that are missed are evicted
    // at some time.
    let gone_keys: Vec<K> =
        map.iter().flatten().filter(|(key, value)| is_gone(key, value)).map(|(key, _)| key).collect();
    for key in &gone_keys {
        // An error means that it was evicted meanwhile.
        let _ = map.remove(key);
    }
}
