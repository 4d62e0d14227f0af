//! BGP, BFD and layer 2, each on a thread of its own, so that work elsewhere does not
//! delay the messages by which neighbours see that this node lives.

use std::{
    collections::BTreeMap,
    future::Future,
    sync::Arc,
    thread::JoinHandle,
    time::{Duration, Instant},
};

use anyhow::{Context, anyhow};
use tokio::sync::watch;
use tracing::{error, warn};

use crate::{
    announce::Announcements,
    os::panics::catch_panic,
    protocols::{
        bfd,
        bgp::{self, PeerStatus, speaker},
        l2::{self, VipStatus},
    },
};

type Profiles = Arc<BTreeMap<bfd::SessionKey, bfd::Profile>>;

/// How long to wait for the speakers to end.
const STOP_TIMEOUT: Duration = Duration::from_secs(3);
/// How often it is checked whether they have.
const POLL_INTERVAL: Duration = Duration::from_millis(5);
/// From a failure of one of the speakers to its next start.
const RETRY_DELAY: Duration = Duration::from_secs(1);

/// What never changes while the agent runs.
#[derive(Clone, Debug)]
pub struct SpeakersConfig {
    pub bgp: speaker::SpeakerConfig,
    pub l2: l2::L2Config,
}

/// The agent's end of the speakers' channels.
pub struct Speakers {
    bgp: watch::Sender<Arc<bgp::BgpOrders>>,
    bfd: watch::Sender<Profiles>,
    l2: watch::Sender<Arc<l2::L2Orders>>,
    status: SpeakerStatus,
    threads: Vec<JoinHandle<()>>,
}

/// The state of peers and VIPs, as the speakers report it.
#[derive(Clone)]
pub struct SpeakerStatus {
    pub peers: watch::Receiver<Arc<Vec<PeerStatus>>>,
    pub vips: watch::Receiver<Arc<Vec<VipStatus>>>,
}

impl Speakers {
    /// The speakers use the network namespace of the calling thread.
    pub fn start(config: SpeakersConfig) -> anyhow::Result<Self> {
        let (bgp, bgp_wanted) = watch::channel(Arc::default());
        let (bfd, bfd_wanted) = watch::channel(Arc::default());
        let (l2, l2_wanted) = watch::channel(Arc::default());
        let (peers_to, peers) = watch::channel(Arc::default());
        let (vips_to, vips) = watch::channel(Arc::default());
        let (profiles_to, profiles) = watch::channel(Profiles::default());
        let (sessions_to, sessions) = watch::channel(Arc::default());
        let status = SpeakerStatus { peers: peers.clone(), vips };
        let threads = vec![
            spawn_thread("bfd", move || {
                keep_running("BFD", profiles.clone(), move || bfd::run(profiles.clone(), sessions_to.clone()))
            })?,
            spawn_thread("l2", move || {
                keep_running("layer 2", l2_wanted.clone(), move || {
                    l2::run(config.l2.clone(), l2_wanted.clone(), vips_to.clone())
                })
            })?,
            spawn_thread("bgp", move || async move {
                let found = follow_bfd_sessions(bgp_wanted.clone(), bfd_wanted, peers, profiles_to);
                let bgp = keep_running("BGP", bgp_wanted.clone(), || {
                    speaker::run(config.bgp, bgp_wanted.clone(), sessions.clone(), peers_to.clone())
                });
                tokio::join!(found, bgp);
            })?,
        ];
        Ok(Self { bgp, bfd, l2, status, threads })
    }

    /// Gives the speakers new orders; those that have not changed are not sent again.
    pub fn send_orders(&self, orders: Announcements) {
        set_if_new(&self.bfd, &Arc::new(orders.bfd));
        set_if_new(&self.l2, &Arc::new(orders.l2));
        set_if_new(&self.bgp, &Arc::new(orders.bgp));
    }

    pub fn status(&self) -> SpeakerStatus {
        self.status.clone()
    }

    /// Is nothing ordered of BGP and layer 2, so that there is nothing to withdraw?
    pub fn is_idle(&self) -> bool {
        self.bgp.borrow().peers.is_empty() && self.l2.borrow().vips.is_empty()
    }
}

impl Drop for Speakers {
    /// Without senders the speakers say goodbye to their peers and end.
    fn drop(&mut self) {
        self.bgp = watch::channel(Arc::default()).0;
        self.bfd = watch::channel(Arc::default()).0;
        self.l2 = watch::channel(Arc::default()).0;
        let until = Instant::now() + STOP_TIMEOUT;
        for thread in self.threads.drain(..) {
            while !thread.is_finished() && Instant::now() < until {
                std::thread::sleep(POLL_INTERVAL);
            }
            // A thread that is not done by then ends with the process.
            if thread.is_finished() && thread.join().is_err() {
                error!("the thread of a speaker panicked");
            }
        }
    }
}

/// Runs a future to its end, on a thread with a runtime of its own.
fn spawn_thread<F: Future<Output = ()>>(
    name: &str,
    run: impl FnOnce() -> F + Send + 'static,
) -> anyhow::Result<JoinHandle<()>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.with_context(|| format!("a runtime for {name}"))?;
    let thread = std::thread::Builder::new().name(name.into()).spawn(move || runtime.block_on(run()));
    thread.with_context(|| format!("a thread for {name}"))
}

/// Runs a speaker, and again a while after each failure or panic, until it ends without error or
/// the sender of `wanted` is gone.
async fn keep_running<T, R: Future<Output = anyhow::Result<()>>>(
    name: &str,
    wanted: watch::Receiver<T>,
    run: impl Fn() -> R,
) {
    while let Err(error) = catch_panic(run()).await.unwrap_or_else(|panic| Err(fault(&panic))) {
        warn!("{name}: {error:#}; trying again in a second");
        if wanted.has_changed().is_err() {
            return;
        }
        tokio::time::sleep(RETRY_DELAY).await;
    }
}

fn fault(panic: &str) -> anyhow::Error {
    anyhow!("panicked: {panic}; this is a fault of Trigon, please report it")
}

/// Sends the BFD sessions that are ordered, and those with unnumbered peers whose
/// addresses have been found.
async fn follow_bfd_sessions(
    mut bgp: watch::Receiver<Arc<bgp::BgpOrders>>,
    mut bfd: watch::Receiver<Profiles>,
    mut peers: watch::Receiver<Arc<Vec<PeerStatus>>>,
    to: watch::Sender<Profiles>,
) {
    loop {
        let mut profiles = BTreeMap::clone(&bfd.borrow_and_update());
        let (wanted, statuses) = (bgp.borrow_and_update().clone(), peers.borrow_and_update().clone());
        for status in statuses.iter() {
            let config = wanted.peers.get(status.name.as_str()).map(|peer| &peer.config);
            let Some((config, address)) = config.zip(status.address) else { continue };
            if let (None, Some(profile)) = (config.address(), config.bfd) {
                profiles.insert(config.bfd_key(address), profile);
            }
        }
        set_if_new(&to, &Arc::new(profiles));
        tokio::select! {
            changed = bgp.changed() => if changed.is_err() { return },
            changed = bfd.changed() => if changed.is_err() { return },
            changed = peers.changed() => if changed.is_err() { return },
        }
    }
}

fn set_if_new<T: Clone + PartialEq>(cell: &watch::Sender<T>, wanted: &T) {
    cell.send_if_modified(|now| {
        let differs = now != wanted;
        if differs {
            now.clone_from(wanted);
        }
        differs
    });
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use anyhow::ensure;

    use super::*;

    #[tokio::test]
    async fn a_speaker_that_fails_or_panics_is_started_again() {
        let (_orders, wanted) = watch::channel(());
        let starts = &Cell::new(0);
        let run = move || async move {
            starts.set(starts.get() + 1);
            ensure!(starts.get() != 1, "the first start fails");
            assert!(starts.get() != 2, "the second start panics");
            Ok(())
        };
        keep_running("test", wanted, run).await;
        assert_eq!(starts.get(), 3);
    }
}
