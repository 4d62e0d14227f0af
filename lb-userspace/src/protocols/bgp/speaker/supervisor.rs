//! Who has a task, and which call is for whom.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use rustix::rand::{GetRandomFlags, getrandom};
use tokio::{
    net::TcpStream,
    sync::{mpsc, watch},
    task::JoinSet,
    time::{MissedTickBehavior, interval},
};
use tracing::{Instrument, debug, info, info_span};

use super::{
    config::{BfdStates, SpeakerConfig},
    listeners::Listeners,
    socket,
    task::{Call, Report, Task, Told},
};
use crate::{
    os::sockopt,
    protocols::bgp::{
        PeerStatus, Wanted,
        config::{Peer, PeerConfig},
        fsm::Jitter,
        peering::Telling,
    },
};

/// Before a listener that could not be opened is tried again.
const REOPEN: Duration = Duration::from_secs(10);
/// After a call that could not be taken.
const PAUSE: Duration = Duration::from_millis(100);

/// Speaks until nothing is `wanted` any more (the sender is gone), or until it is dropped.
/// Then connections are closed without NOTIFICATION, and routers that know
/// graceful restart keep the routes for a while.
///
/// Sockets are of the network namespace of the thread that polls. Needs CAP_NET_ADMIN for MD5,
/// and CAP_NET_RAW for unnumbered peers and devices.
pub async fn run(
    options: SpeakerConfig,
    wanted: watch::Receiver<Arc<Wanted>>,
    bfd: watch::Receiver<BfdStates>,
    statuses: watch::Sender<Arc<Vec<PeerStatus>>>,
) -> anyhow::Result<()> {
    Supervisor::new(options, bfd, statuses).run(wanted).await
}

struct Supervisor {
    options: SpeakerConfig,
    bfd: watch::Receiver<BfdStates>,
    statuses: watch::Sender<Arc<Vec<PeerStatus>>>,
    listeners: Listeners,
    peers: BTreeMap<Arc<str>, Handle>,
    /// Ended with us.
    tasks: JoinSet<()>,
    reports: (mpsc::UnboundedSender<Report>, mpsc::UnboundedReceiver<Report>),
}

/// Of a peer's task.
struct Handle {
    config: Arc<PeerConfig>,
    told: watch::Sender<Option<Told>>,
    calls: mpsc::UnboundedSender<Call>,
    status: Option<PeerStatus>,
}

impl Supervisor {
    fn new(
        options: SpeakerConfig,
        bfd: watch::Receiver<BfdStates>,
        statuses: watch::Sender<Arc<Vec<PeerStatus>>>,
    ) -> Self {
        Self {
            options,
            bfd,
            statuses,
            listeners: Listeners::default(),
            peers: BTreeMap::new(),
            tasks: JoinSet::new(),
            reports: mpsc::unbounded_channel(),
        }
    }

    pub async fn run(mut self, mut wanted: watch::Receiver<Arc<Wanted>>) -> anyhow::Result<()> {
        let mut reopen = interval(REOPEN);
        reopen.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let now = wanted.borrow_and_update().clone();
        self.follow(&now);
        loop {
            let are_open = self.listeners.are_open();
            tokio::select! {
                changed = wanted.changed() => {
                    if changed.is_err() {
                        return Ok(());
                    }
                    let now = wanted.borrow_and_update().clone();
                    self.follow(&now);
                }
                accepted = self.listeners.accept() => match accepted {
                    Ok((stream, from)) => self.called(stream, from),
                    Err(error) => {
                        debug!(%error, "a call failed");
                        // Without file descriptors the next one would at once.
                        tokio::time::sleep(PAUSE).await;
                    }
                },
                Some(report) = self.reports.1.recv() => self.reported(report),
                // Whoever has no peers leaves the port to others.
                _ = reopen.tick(), if !are_open && !self.peers.is_empty() => {
                    if let Some(port) = self.options.listen {
                        self.listeners.open(port);
                    }
                }
                Some(_) = self.tasks.join_next() => {}
            }
        }
    }

    /// Peers come, go, and are told what is new; nobody else notices.
    fn follow(&mut self, wanted: &Wanted) {
        self.peers.retain(|name, handle| {
            let stays = wanted.peers.contains_key(name);
            if !stays {
                info!(peer = %name, "no longer a peer");
                handle.told.send_replace(None);
            }
            stays
        });
        for (name, peer) in &wanted.peers {
            let told = told(peer, wanted);
            match self.peers.get_mut(name) {
                Some(handle) => {
                    handle.config = told.config.clone();
                    handle.told.send_if_modified(|before| {
                        let is_new = before.as_ref() != Some(&told);
                        *before = Some(told);
                        is_new
                    });
                }
                None => self.begin(name, told),
            }
        }
        self.set_keys();
        self.publish();
    }

    fn begin(&mut self, name: &Arc<str>, told: Told) {
        let config = told.config.clone();
        let (told, receiver) = watch::channel(Some(told));
        let (calls, called) = mpsc::unbounded_channel();
        let task = Task {
            name: name.clone(),
            told: receiver,
            bfd: self.bfd.clone(),
            calls: called,
            reports: self.reports.0.clone(),
            restarted: self.options.restarted,
            jitter: Jitter::seeded(random()),
        };
        self.tasks.spawn(task.run().instrument(info_span!("bgp", peer = %name)));
        self.peers.insert(name.clone(), Handle { config, told, calls, status: None });
    }

    fn reported(&mut self, Report { name, status }: Report) {
        // Those of a task that was replaced don't matter any more.
        let Some(handle) = self.peers.get_mut(&name) else { return };
        let moved = handle.status.as_ref().map(|status| status.address) != Some(status.address);
        handle.status = Some(status);
        if moved {
            self.set_keys();
        }
        self.publish();
    }

    fn publish(&self) {
        let statuses = self.peers.values().filter_map(|handle| handle.status.clone()).collect();
        self.statuses.send_replace(Arc::new(statuses));
    }

    fn set_keys(&mut self) {
        let key = |handle: &Handle| Some((handle.address()?, handle.config.password.clone()?));
        self.listeners.set_keys(self.peers.values().filter_map(key).collect());
    }

    fn called(&self, stream: TcpStream, from: SocketAddr) {
        let local = stream.local_addr().ok().map(|local| local.ip());
        let expecting = self.peers.iter().filter(|(_, handle)| expects(&handle.config, from));
        // Peers may differ in nothing but our address.
        let called = |(_, handle): &(_, &Handle)| match handle.config.source {
            Some(source) if Some(source) == local => Some(0),
            None => Some(1),
            Some(_) => None,
        };
        let expecting = expecting.filter_map(|peer| Some((called(&peer)?, peer)));
        match expecting.min_by_key(|(rank, _)| *rank).map(|(_, peer)| peer) {
            // Found just now, or the kernel did not check: what it has sent was not signed.
            Some((name, handle))
                if handle.config.password.is_some()
                    && (handle.address() != Some(from.ip()) || self.listeners.is_unsigned(from.ip())) =>
            {
                debug!(peer = %name, %from, "a call that is not signed is refused");
            }
            Some((name, handle)) => {
                debug!(peer = %name, %from, "called");
                let _ = handle.calls.send(Call { stream, from: from.ip() });
            }
            None => debug!(%from, "a call of nobody who is a peer is refused"),
        }
    }
}

impl Handle {
    /// Configured or found.
    fn address(&self) -> Option<IpAddr> {
        self.config.address().or(self.status.as_ref()?.address)
    }
}

fn told(peer: &Peer, wanted: &Wanted) -> Told {
    let telling = Telling { routes: peer.routes.clone(), leaving: wanted.leaving, complete: wanted.complete };
    Told { config: peer.config.clone(), telling }
}

fn expects(config: &PeerConfig, from: SocketAddr) -> bool {
    if config.address().is_some_and(|address| address != from.ip()) {
        return false;
    }
    match (from, socket::interface(config)) {
        (SocketAddr::V6(from), Some(interface)) if from.ip().is_unicast_link_local() => {
            sockopt::index_of(interface).is_ok_and(|index| index == from.scope_id())
        }
        // Unnumbered peers have nothing but link-local addresses.
        _ => config.address().is_some(),
    }
}

/// Timers of several agents must not beat in time; nothing depends on it otherwise.
fn random() -> u64 {
    let mut bytes = [0; 8];
    match getrandom(&mut bytes, GetRandomFlags::empty()) {
        Ok(_) => u64::from_ne_bytes(bytes),
        Err(_) => 0,
    }
}
