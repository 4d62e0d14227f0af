//! A peer's task: carries out the commands of its peering, and passes events to it.

use std::{
    future::{self, Future},
    io,
    net::IpAddr,
    pin::Pin,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    net::TcpStream,
    sync::{mpsc, watch},
};
use tracing::{debug, info};

use super::{
    BfdStates, addresses,
    discovery::Discovery,
    link::{ClosingLinks, PeerLink},
    socket,
};
use crate::{
    os::moment::{ticks_every, wait_until},
    protocols::bgp::{
        PeerStatus,
        config::{PeerConfig, Remote},
        fsm::{ConnectionEvent, ConnectionRole, Jitter, PeerEvent, Restart},
        peering::{Peering, PeeringCommand, RouteOrders},
        rib::LocalAddresses,
        status::LastError,
        wire::{Notification, code},
    },
};

/// The parameters of a peer's session, and the routes to announce to it.
#[derive(Clone, PartialEq, Debug)]
pub struct TaskOrders {
    pub config: Arc<PeerConfig>,
    pub route_orders: RouteOrders,
}

/// A connection that the peer has made to us.
pub struct IncomingConnection {
    pub stream: TcpStream,
    pub from: IpAddr,
}

pub struct StatusReport {
    pub name: Arc<str>,
    pub status: PeerStatus,
}

pub struct PeerTask {
    pub name: Arc<str>,
    /// None: the peer has been removed; the session ends with a NOTIFICATION. If the sender is
    /// gone, the task ends without one.
    pub orders: watch::Receiver<Option<TaskOrders>>,
    pub bfd: watch::Receiver<BfdStates>,
    pub incoming: mpsc::Receiver<IncomingConnection>,
    pub reports: mpsc::UnboundedSender<StatusReport>,
    pub restarted: bool,
    pub jitter: Jitter,
    /// What was reported last; without a name, the next status is reported whatever it is.
    pub reported: PeerStatus,
}

/// A new connection, and our addresses on it.
type NewConnection = (TcpStream, LocalAddresses);
type PendingConnection = Pin<Box<dyn Future<Output = io::Result<NewConnection>> + Send>>;

/// A peering with its sockets.
struct RunningPeer {
    peering: Peering,
    address: Option<IpAddr>,
    outgoing: Option<PeerLink>,
    incoming: Option<PeerLink>,
    closing: ClosingLinks,
    /// The connection that we are making.
    connecting: Option<PendingConnection>,
    /// A connection of the peer whose addresses are being read.
    accepting: Option<PendingConnection>,
    /// A connection that the peering has not yet adopted or refused.
    new_stream: Option<TcpStream>,
    discovery: Option<Discovery>,
}

impl PeerTask {
    /// Speaks with the peer until it is removed, or the sender of its orders is gone. `restart` and
    /// `last_error`: what is left of before.
    pub async fn speak(&mut self, mut restart: Restart, mut last_error: Option<(Instant, LastError)>) {
        let mut orders = self.orders.borrow_and_update().clone();
        while let Some(TaskOrders { config, route_orders }) = orders {
            let now = Instant::now();
            let mut peering = Peering::new(config.clone(), route_orders, restart, self.jitter.split(), now);
            peering.set_last_error(last_error.take());
            let mut running = RunningPeer::new(peering, now);
            let Some(changed) = self.run_session(&mut running).await else { return };
            match &changed {
                Some(orders) if orders.config.is_same_peer(&config) => {
                    info!("the session's parameters have changed");
                    running.stop_session(code::OTHER_CONFIGURATION_CHANGE);
                }
                // After another NOTIFICATION the peer would keep our routes and wait for us.
                _ => running.stop_session(code::PEER_DECONFIGURED),
            }
            restart = running.peering.restart();
            orders = changed;
        }
    }

    /// Runs until the session's parameters change or the peer is removed; returns the new
    /// orders. None: the sender is gone.
    async fn run_session(&mut self, running: &mut RunningPeer) -> Option<Option<TaskOrders>> {
        let mut tick = ticks_every(Duration::from_secs(1));
        self.reported.name.clear();
        running.update_bfd(&self.bfd.borrow_and_update().clone());
        loop {
            running.flush_updates().await;
            let status = running.peering.status(&self.name, Instant::now());
            if is_worth_report(&self.reported, &status) {
                self.reported = status.clone();
                let _ = self.reports.send(StatusReport { name: self.name.clone(), status });
            }
            tokio::select! {
                changed = self.orders.changed() => {
                    changed.ok()?;
                    match self.orders.borrow_and_update().clone() {
                        Some(orders) if orders.config.is_same_session(running.peering.config()) => {
                            running.update_peering(|peering, now| peering.set_route_orders(orders.route_orders, now));
                        }
                        changed => return Some(changed),
                    }
                }
                Ok(()) = self.bfd.changed() => running.update_bfd(&self.bfd.borrow_and_update().clone()),
                Some(call) = self.incoming.recv() => running.on_incoming(call),
                () = running.wait_and_process() => {}
                // Once a second, also report counters and times.
                _ = tick.tick() => self.reported.name.clear(),
            }
        }
    }
}

impl RunningPeer {
    fn new(peering: Peering, now: Instant) -> Self {
        let config = peering.config().clone();
        let discovery = match &config.remote {
            Remote::Interface(interface) => Some(Discovery::new(interface)),
            Remote::Address { .. } => None,
        };
        let mut running = Self {
            peering,
            address: None,
            outgoing: None,
            incoming: None,
            closing: ClosingLinks::default(),
            connecting: None,
            accepting: None,
            new_stream: None,
            discovery,
        };
        if let Some(address) = config.address() {
            running.set_address(address);
        }
        let commands = running.peering.start(now);
        running.execute_commands(commands);
        running
    }

    fn set_address(&mut self, address: IpAddr) {
        self.address = Some(address);
        self.peering.set_address(address);
    }

    fn update_peering(&mut self, act: impl FnOnce(&mut Peering, Instant) -> Vec<PeeringCommand>) {
        let commands = act(&mut self.peering, Instant::now());
        self.execute_commands(commands);
    }

    fn process(&mut self, input: PeerEvent) {
        self.update_peering(|peering, now| peering.process(input, now));
    }

    fn process_connection_event(&mut self, role: ConnectionRole, event: ConnectionEvent) {
        self.update_peering(|peering, now| peering.process_connection_event(role, event, now));
    }

    fn link_mut(&mut self, role: ConnectionRole) -> &mut Option<PeerLink> {
        match role {
            ConnectionRole::Outgoing => &mut self.outgoing,
            ConnectionRole::Incoming => &mut self.incoming,
        }
    }

    /// Waits for the next event (of a socket or timer, or a discovered router) and processes it.
    /// Cancel safe.
    async fn wait_and_process(&mut self) {
        let deadline = self.peering.next_deadline();
        tokio::select! {
            made = wait_for_connection(&mut self.connecting) => self.on_connect_result(made),
            made = wait_for_connection(&mut self.accepting) => self.on_accept_result(made),
            ready = wait_ready(&self.outgoing) => self.read_messages(ConnectionRole::Outgoing, ready),
            ready = wait_ready(&self.incoming) => self.read_messages(ConnectionRole::Incoming, ready),
            address = wait_for_router(&mut self.discovery) => self.on_router_found(address),
            () = wait_for_deadline(deadline) => {}
        }
        // Also after another event: a socket that can always be read would keep timers waiting.
        if deadline.is_some_and(|deadline| deadline <= Instant::now()) {
            self.on_deadline();
        }
    }

    fn on_deadline(&mut self) {
        // If we were busy for long, KEEPALIVEs lie unread, and they put off the hold timer.
        for role in ConnectionRole::BOTH {
            self.read_messages(role, Ok(()));
        }
        self.process(PeerEvent::Timer);
    }

    fn execute_commands(&mut self, commands: Vec<PeeringCommand>) {
        for command in commands {
            match command {
                PeeringCommand::Connect => {
                    self.connecting = Some(Box::pin(connect(self.peering.config().clone(), self.address)))
                }
                PeeringCommand::Abandon => self.connecting = None,
                PeeringCommand::Adopt(role) => {
                    *self.link_mut(role) = self.new_stream.take().map(PeerLink::new)
                }
                PeeringCommand::Refuse(_) => self.new_stream = None,
                PeeringCommand::Send(role, bytes) => {
                    if let Some(link) = self.link_mut(role) {
                        link.queue_bytes(&bytes);
                    }
                }
                PeeringCommand::Close(role) => {
                    if let Some(link) = self.link_mut(role).take() {
                        self.closing.close(link);
                    }
                }
            }
        }
    }

    fn on_connect_result(&mut self, made: io::Result<NewConnection>) {
        self.connecting = None;
        match made {
            Ok((stream, addresses)) => self.adopt_connection(ConnectionRole::Outgoing, stream, addresses),
            Err(error) => self.process(PeerEvent::ConnectFailed(error.to_string())),
        }
    }

    fn on_incoming(&mut self, IncomingConnection { stream, from }: IncomingConnection) {
        // While we are connected to one neighbour, another one is ignored.
        let is_stranger = self.address.is_some_and(|address| address != from);
        if is_stranger && (self.outgoing.is_some() || self.incoming.is_some()) {
            debug!(%from, "a connection from another neighbour is refused");
            return;
        }
        if self.address != Some(from) {
            self.set_address(from);
        }
        if let Err(error) = socket::prepare_accepted(&stream, self.peering.config(), from) {
            debug!(%error, "an incoming connection can't be set up");
            return;
        }
        self.accepting = Some(Box::pin(add_local_addresses(stream)));
    }

    fn on_accept_result(&mut self, made: io::Result<NewConnection>) {
        self.accepting = None;
        match made {
            Ok((stream, addresses)) => self.adopt_connection(ConnectionRole::Incoming, stream, addresses),
            Err(error) => debug!(%error, "an incoming connection can't be set up"),
        }
    }

    fn adopt_connection(&mut self, role: ConnectionRole, stream: TcpStream, addresses: LocalAddresses) {
        self.new_stream = Some(stream);
        self.peering.set_addresses(role, addresses);
        self.process(if role == ConnectionRole::Outgoing {
            PeerEvent::Connected
        } else {
            PeerEvent::Accepted
        });
    }

    fn on_router_found(&mut self, address: IpAddr) {
        // While we are connected to one neighbour, another one is ignored.
        if self.address != Some(address) && self.outgoing.is_none() && self.incoming.is_none() {
            info!(%address, "the neighbour has been discovered");
            self.set_address(address);
            self.process(PeerEvent::Found);
        }
    }

    fn update_bfd(&mut self, states: &BfdStates) {
        let config = self.peering.config().clone();
        let key = config.bfd.and(self.address).map(|address| config.bfd_key(address));
        let status = key.and_then(|key| states.get(&key).copied());
        self.update_peering(|peering, now| peering.set_bfd(status, now));
    }

    fn read_messages(&mut self, role: ConnectionRole, ready: io::Result<()>) {
        let Some(link) = self.link_mut(role) else { return };
        let end = ready.and_then(|()| link.read_bytes()).err();
        // Messages that came before the end count.
        loop {
            let four_octet_as = self.peering.has_four_octet_as(role);
            let Some(link) = self.link_mut(role) else { return };
            match link.next_message(four_octet_as) {
                Ok(Some(message)) => self.process_connection_event(role, ConnectionEvent::Received(message)),
                Ok(None) => break,
                Err(notification) => {
                    return self.process_connection_event(role, ConnectionEvent::Unreadable(notification));
                }
            }
        }
        if let Some(error) = end {
            self.process_connection_event(role, ConnectionEvent::Lost(error.to_string()));
        }
    }

    /// Makes UPDATEs as fast as the peer reads, and writes them.
    async fn flush_updates(&mut self) {
        while self
            .peering
            .role()
            .is_some_and(|role| self.link_mut(role).as_ref().is_some_and(PeerLink::has_room))
        {
            let Some((role, bytes)) = self.peering.next_update() else { break };
            self.execute_commands(vec![PeeringCommand::Send(role, bytes)]);
        }
        for role in ConnectionRole::BOTH {
            if let Some(link) = self.link_mut(role) {
                link.has_more = !link.has_room();
            }
            match self.link_mut(role).as_mut().map(PeerLink::write_queued) {
                Some(Ok(Some(wrote))) => {
                    self.process_connection_event(
                        role,
                        ConnectionEvent::Wrote { progress: wrote.progress, pending: wrote.pending },
                    );
                }
                Some(Err(error)) => {
                    // A NOTIFICATION that has come says why, once the runtime has looked at the socket.
                    tokio::task::yield_now().await;
                    self.read_messages(role, Ok(()));
                    self.process_connection_event(role, ConnectionEvent::Lost(error.to_string()));
                }
                Some(Ok(None)) | None => {}
            }
        }
    }

    fn stop_session(&mut self, code: (u8, u8)) {
        self.process(PeerEvent::Stop(Notification::new(code)));
    }
}

/// Must the change be reported at once? Routes that a router offers to us are not worth a
/// report each.
fn is_worth_report(before: &PeerStatus, after: &PeerStatus) -> bool {
    let of = |status: &PeerStatus| {
        let error = status.last_error.as_ref().map(|error| error.name.clone());
        let counts = (status.established, status.routes_sent, status.routes_pending);
        (status.name.clone(), status.state, status.address, status.bfd.clone(), counts, error)
    };
    of(before) != of(after)
}

async fn connect(config: Arc<PeerConfig>, address: Option<IpAddr>) -> io::Result<NewConnection> {
    let nobody = || io::Error::new(io::ErrorKind::NotFound, "no router has been heard on the interface yet");
    let (socket, to) = socket::open_outgoing(&config, address.ok_or_else(nobody)?)?;
    add_local_addresses(socket.connect(to).await?).await
}

async fn add_local_addresses(stream: TcpStream) -> io::Result<NewConnection> {
    let addresses = addresses::read(stream.local_addr()?).await?;
    Ok((stream, addresses))
}

/// Waits until the deadline, and then for the runtime to look at the sockets: before that, a socket
/// that can be read does not say so.
async fn wait_for_deadline(deadline: Option<Instant>) {
    wait_until(deadline).await;
    tokio::task::yield_now().await;
}

async fn wait_for_connection(making: &mut Option<PendingConnection>) -> io::Result<NewConnection> {
    match making {
        Some(making) => making.await,
        None => future::pending().await,
    }
}

async fn wait_ready(link: &Option<PeerLink>) -> io::Result<()> {
    match link {
        Some(link) => link.wait_ready().await,
        None => future::pending().await,
    }
}

async fn wait_for_router(discovery: &mut Option<Discovery>) -> IpAddr {
    match discovery {
        Some(discovery) => discovery.next_router().await,
        None => future::pending().await,
    }
}
