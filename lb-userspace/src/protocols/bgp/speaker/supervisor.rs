//! Starts and ends the peers' tasks, and passes incoming connections to them.

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
};
use tracing::{Instrument, debug, info, info_span};

use super::{
    config::{BfdStates, SpeakerConfig},
    listeners::Listeners,
    socket,
    task::{IncomingConnection, PeerTask, StatusReport, TaskOrders},
};
use crate::{
    os::{moment::ticks_every, sockopt},
    protocols::bgp::{
        BgpOrders, PeerStatus,
        config::{PeerConfig, PeerOrders},
        fsm::Jitter,
        peering::RouteOrders,
    },
};

/// Time until a listener that could not be opened is tried again.
const REOPEN: Duration = Duration::from_secs(10);
/// How many connections of a peer may wait for its task.
const MAX_WAITING: usize = 8;
/// Pause after an incoming connection that could not be accepted.
const PAUSE: Duration = Duration::from_millis(100);

/// Speaks BGP until the sender of `wanted` is gone, or until the future is dropped. Then
/// connections are closed without NOTIFICATION, and routers that support graceful restart
/// keep the routes for a while.
///
/// The sockets belong to the network namespace of the thread that polls the future. Needs
/// CAP_NET_ADMIN for MD5, and CAP_NET_RAW for unnumbered peers and devices.
pub async fn run(
    options: SpeakerConfig,
    wanted: watch::Receiver<Arc<BgpOrders>>,
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
    peers: BTreeMap<Arc<str>, PeerHandle>,
    /// The peers' tasks; they are aborted when the supervisor is dropped.
    tasks: JoinSet<()>,
    reports: (mpsc::UnboundedSender<StatusReport>, mpsc::UnboundedReceiver<StatusReport>),
}

/// The supervisor's end of a peer's task.
struct PeerHandle {
    config: Arc<PeerConfig>,
    orders: watch::Sender<Option<TaskOrders>>,
    incoming: mpsc::Sender<IncomingConnection>,
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

    pub async fn run(mut self, mut wanted: watch::Receiver<Arc<BgpOrders>>) -> anyhow::Result<()> {
        let mut reopen = ticks_every(REOPEN);
        let now = wanted.borrow_and_update().clone();
        self.set_orders(&now);
        loop {
            let are_open = self.listeners.are_open();
            tokio::select! {
                changed = wanted.changed() => {
                    if changed.is_err() {
                        return Ok(());
                    }
                    let now = wanted.borrow_and_update().clone();
                    self.set_orders(&now);
                }
                accepted = self.listeners.accept() => match accepted {
                    Ok((stream, from)) => self.on_incoming(stream, from),
                    Err(error) => {
                        debug!(%error, "an incoming connection can't be accepted");
                        // Without free file descriptors, the next would fail at once.
                        tokio::time::sleep(PAUSE).await;
                    }
                },
                Some(report) = self.reports.1.recv() => self.on_report(report),
                // Without peers the port is left to other programs.
                _ = reopen.tick(), if !are_open && !self.peers.is_empty() => {
                    if let Some(port) = self.options.listen {
                        self.listeners.open_missing(port);
                    }
                }
                Some(_) = self.tasks.join_next() => {}
            }
        }
    }

    /// Starts tasks for new peers, ends those of others, and passes changes to the rest. Peers
    /// without a change are not affected.
    fn set_orders(&mut self, wanted: &BgpOrders) {
        self.peers.retain(|name, handle| {
            let stays = wanted.peers.contains_key(name);
            if !stays {
                info!(peer = %name, "no longer a peer");
                handle.orders.send_replace(None);
            }
            stays
        });
        for (name, peer) in &wanted.peers {
            let orders = task_orders(peer, wanted);
            match self.peers.get_mut(name) {
                Some(handle) => {
                    handle.config = orders.config.clone();
                    handle.orders.send_if_modified(|before| {
                        let is_new = before.as_ref() != Some(&orders);
                        *before = Some(orders);
                        is_new
                    });
                }
                None => self.start_task(name, orders),
            }
        }
        self.set_keys();
        self.publish_statuses();
    }

    fn start_task(&mut self, name: &Arc<str>, orders: TaskOrders) {
        let config = orders.config.clone();
        let (orders, receiver) = watch::channel(Some(orders));
        let (calls, called) = mpsc::channel(MAX_WAITING);
        let task = PeerTask {
            name: name.clone(),
            orders: receiver,
            bfd: self.bfd.clone(),
            incoming: called,
            reports: self.reports.0.clone(),
            restarted: self.options.restarted,
            jitter: Jitter::seeded(random_seed()),
            reported: PeerStatus::default(),
        };
        self.tasks.spawn(task.run().instrument(info_span!("bgp", peer = %name)));
        self.peers.insert(name.clone(), PeerHandle { config, orders, incoming: calls, status: None });
    }

    fn on_report(&mut self, StatusReport { name, status }: StatusReport) {
        // Reports of a peer that is no longer wanted are ignored.
        let Some(handle) = self.peers.get_mut(&name) else { return };
        let moved = handle.status.as_ref().map(|status| status.address) != Some(status.address);
        handle.status = Some(status);
        if moved {
            self.set_keys();
        }
        self.publish_statuses();
    }

    fn publish_statuses(&self) {
        let statuses = self.peers.values().filter_map(|handle| handle.status.clone()).collect();
        self.statuses.send_replace(Arc::new(statuses));
    }

    fn set_keys(&mut self) {
        let key = |handle: &PeerHandle| Some((handle.address()?, handle.config.password.clone()?));
        self.listeners.set_keys(self.peers.values().filter_map(key).collect());
    }

    fn on_incoming(&self, stream: TcpStream, from: SocketAddr) {
        let local = stream.local_addr().ok().map(|local| local.ip());
        let expecting = self.peers.iter().filter(|(_, handle)| is_expected_from(&handle.config, from));
        // Two peers may differ only in our address (`source`): an exact match goes first.
        let address_rank = |(_, handle): &(_, &PeerHandle)| match handle.config.source {
            Some(source) if Some(source) == local => Some(0),
            None => Some(1),
            Some(_) => None,
        };
        let expecting = expecting.filter_map(|peer| Some((address_rank(&peer)?, peer)));
        match expecting.min_by_key(|(rank, _)| *rank).map(|(_, peer)| peer) {
            // The peer's address was not known yet, or its password could not be set: the
            // kernel has not checked the signature.
            Some((name, handle))
                if handle.config.password.is_some()
                    && (handle.address() != Some(from.ip()) || self.listeners.is_unsigned(from.ip())) =>
            {
                debug!(peer = %name, %from, "a connection without TCP MD5 signature is refused");
            }
            Some((name, handle)) => {
                let connection = IncomingConnection { stream, from: from.ip() };
                let is_refused = handle.incoming.try_send(connection).is_err();
                debug!(peer = %name, %from, is_refused, "the peer has connected");
            }
            None => debug!(%from, "a connection from an address that is no peer's is refused"),
        }
    }
}

impl PeerHandle {
    /// The peer's address, as configured or discovered.
    fn address(&self) -> Option<IpAddr> {
        self.config.address().or(self.status.as_ref()?.address)
    }
}

fn task_orders(peer: &PeerOrders, wanted: &BgpOrders) -> TaskOrders {
    let route_orders =
        RouteOrders { routes: peer.routes.clone(), leaving: wanted.leaving, complete: wanted.complete };
    TaskOrders { config: peer.config.clone(), route_orders }
}

fn is_expected_from(config: &PeerConfig, from: SocketAddr) -> bool {
    if config.address().is_some_and(|address| address != from.ip()) {
        return false;
    }
    match (from, socket::peer_interface(config)) {
        (SocketAddr::V6(from), Some(interface)) if from.ip().is_unicast_link_local() => {
            sockopt::interface_index(interface).is_ok_and(|index| index == from.scope_id())
        }
        // Unnumbered peers have nothing but link-local addresses.
        _ => config.address().is_some(),
    }
}

/// A seed for jitter, so that timers of several agents do not run in step.
fn random_seed() -> u64 {
    let mut bytes = [0; 8];
    match getrandom(&mut bytes, GetRandomFlags::empty()) {
        Ok(_) => u64::from_ne_bytes(bytes),
        Err(_) => 0,
    }
}
