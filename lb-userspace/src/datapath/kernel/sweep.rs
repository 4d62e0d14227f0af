//! Deletes flows to endpoints, services and backends that are gone. A pass through a table of a
//! quarter of a million entries takes a while, so a thread of its own does it, and all
//! requests that are waiting are done in one pass.

use std::{
    collections::{BTreeMap, HashSet},
    path::Path,
    sync::mpsc::{Receiver, Sender, channel},
    thread,
};

use aya::{
    Pod,
    maps::{HashMap, Map, MapData},
};
use lb_common::maps::{Endpoint, FlowKey, Holder, NodeFlow, Reply, ReplyKey, names};

use super::{
    error::LoadError,
    pinned::{map_pin, open_map},
};
use crate::plan::op::Op;

pub struct Sweeper {
    jobs: Sender<Op>,
}

impl Sweeper {
    /// The thread ends when the sweeper is dropped.
    pub fn start(pin_dir: &Path) -> Result<Self, LoadError> {
        let tables = FlowTables::open(pin_dir)?;
        let (jobs, queue) = channel();
        thread::spawn(move || sweep_until_closed(tables, &queue));
        Ok(Self { jobs })
    }

    /// Has the thread delete the flows that `op`, one of the `Forget` ones, names. Returns at once.
    pub fn forget(&self, op: Op) {
        // The thread receives as long as this sender lives.
        let _ = self.jobs.send(op);
    }
}

fn sweep_until_closed(mut tables: FlowTables, queue: &Receiver<Op>) {
    while let Ok(first) = queue.recv() {
        let mut gone = GoneObjects::default();
        std::iter::once(first).chain(queue.try_iter()).for_each(|op| gone.add(op));
        tables.sweep(&gone);
    }
}

/// What is gone, by all requests of one pass.
#[derive(Default)]
struct GoneObjects {
    /// By service: the endpoints that are not gone, by the last request.
    remaining_endpoints: BTreeMap<u32, HashSet<Endpoint>>,
    services: HashSet<u32>,
    backends: HashSet<u32>,
}

impl GoneObjects {
    fn add(&mut self, op: Op) {
        match op {
            Op::ForgetOtherEndpoints { service, endpoints } => {
                self.remaining_endpoints.insert(service, endpoints.into_iter().collect());
            }
            Op::ForgetService { service } => drop(self.services.insert(service)),
            Op::ForgetBackend { backend } => drop(self.backends.insert(u32::from(backend))),
            _ => {}
        }
    }

    fn has_flow(&self, key: &FlowKey, flow: &NodeFlow) -> bool {
        let is_endpoint_gone = |kept: &HashSet<Endpoint>| !kept.contains(&flow.endpoint());
        self.services.contains(&key.service)
            || self.remaining_endpoints.get(&key.service).is_some_and(is_endpoint_gone)
    }

    fn has_reply(&self, reply: &Reply) -> bool {
        self.services.contains(&reply.service)
    }

    fn has_bare_flow(&self, key: &FlowKey, flow: &Holder) -> bool {
        self.services.contains(&key.service) || self.backends.contains(&flow.backend)
    }
}

struct FlowTables {
    bare: HashMap<MapData, FlowKey, Holder>,
    flows: HashMap<MapData, FlowKey, NodeFlow>,
    replies: HashMap<MapData, ReplyKey, Reply>,
}

impl FlowTables {
    fn open(pin_dir: &Path) -> Result<Self, LoadError> {
        Ok(Self {
            bare: open_table(pin_dir, names::BARE_FLOWS)?,
            flows: open_table(pin_dir, names::NODE_FLOWS)?,
            replies: open_table(pin_dir, names::NODE_REPLIES)?,
        })
    }

    fn sweep(&mut self, gone: &GoneObjects) {
        delete_where(&mut self.bare, |key, flow| gone.has_bare_flow(key, flow));
        delete_where(&mut self.flows, |key, flow| gone.has_flow(key, flow));
        // A Pod that is gone may still send a last FIN or RST, which must carry the
        // VIP. So replies are deleted only with their service.
        if !gone.services.is_empty() {
            delete_where(&mut self.replies, |_, reply| gone.has_reply(reply));
        }
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
