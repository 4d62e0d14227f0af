//! Deletes flows of services, and to backends, that are gone. (Those to endpoints that are gone name an
//! epoch that is over.) A pass through a table of a quarter of a million entries takes a while, so a thread
//! of its own does it, and all requests that are waiting are done in one pass.

use std::{
    path::Path,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, Sender, channel},
    },
    thread,
    time::Duration,
};

use lb_common::maps::{Affinity, FlowKey, Holder, NodeFlow, Reply, ReplyKey, names};
use tracing::warn;

use super::{error::LoadError, flow_table::FlowTable, held::Held};
use crate::{datapath::TableError, plan::quarantine::Sweeps};

/// Time until a pass that has failed is repeated.
const RETRY: Duration = Duration::from_secs(1);

pub struct Sweeper {
    requests: Sender<()>,
    held: Arc<Mutex<Held>>,
    asked: u64,
    done: Arc<AtomicU64>,
}

impl Sweeper {
    /// The thread ends when the sweeper is dropped.
    pub fn start(pin_dir: &Path) -> Result<Self, LoadError> {
        let mut tables = FlowTables::open(pin_dir)?;
        let (requests, queue) = channel();
        let (held, done) = (Arc::<Mutex<Held>>::default(), Arc::<AtomicU64>::default());
        let sweeper = Self { requests, held: Arc::clone(&held), asked: 0, done: Arc::clone(&done) };
        thread::spawn(move || {
            while let Some(count) = next_pass(&queue) {
                while let Err(error) = tables.sweep(&held) {
                    warn!("flows of what is gone could not be forgotten: {error}; trying again");
                    thread::sleep(RETRY);
                }
                done.fetch_add(count, Ordering::Release);
            }
        });
        Ok(sweeper)
    }

    /// Returns at once.
    pub fn ask(&mut self) -> Result<(), TableError> {
        self.requests.send(()).map_err(|_| TableError {
            map: names::NODE_FLOWS,
            entry: "all entries".into(),
            source: "the thread that forgets flows has ended; restart the agent".into(),
        })?;
        self.asked += 1;
        Ok(())
    }

    pub fn sweeps(&self) -> Sweeps {
        Sweeps { asked: self.asked, done: self.done.load(Ordering::Acquire) }
    }

    /// What there is, to be kept up to date.
    pub fn held(&self) -> MutexGuard<'_, Held> {
        lock(&self.held)
    }
}

/// Each change of it is one step, so that a panic leaves nothing half done.
fn lock(held: &Mutex<Held>) -> MutexGuard<'_, Held> {
    held.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How many requests wait, which one pass does; none if there will be no more.
fn next_pass(queue: &Receiver<()>) -> Option<u64> {
    queue.recv().ok()?;
    Some(1 + queue.try_iter().count() as u64)
}

struct FlowTables {
    bare: FlowTable<FlowKey, Holder>,
    flows: FlowTable<FlowKey, NodeFlow>,
    replies: FlowTable<ReplyKey, Reply>,
    affinities: FlowTable<FlowKey, Affinity>,
}

impl FlowTables {
    fn open(pin_dir: &Path) -> Result<Self, LoadError> {
        Ok(Self {
            bare: FlowTable::open(pin_dir, names::BARE_FLOWS)?,
            flows: FlowTable::open(pin_dir, names::NODE_FLOWS)?,
            replies: FlowTable::open(pin_dir, names::NODE_REPLIES)?,
            affinities: FlowTable::open(pin_dir, names::AFFINITIES)?,
        })
    }

    /// What is held is asked for at each flow: services and backends come while a pass is going on.
    fn sweep(&mut self, held: &Mutex<Held>) -> Result<(), TableError> {
        let is_unheld = |key: &FlowKey| !lock(held).has_service(key.service, key.incarnation);
        // One that changes too fast does not hold up the others.
        let passes = [
            self.flows.delete_where(|key, _| is_unheld(key)),
            self.bare.delete_where(|key, flow| is_unheld(key) || !lock(held).has_backend(flow.index())),
            self.affinities.delete_where(|key, _| is_unheld(key)),
            // A Pod that is gone may still send a last FIN or RST, which must carry the
            // VIP. So replies are deleted only with their service.
            self.replies.delete_where(|_, reply| !lock(held).has_service(reply.service(), reply.incarnation)),
        ];
        passes.into_iter().collect()
    }
}
