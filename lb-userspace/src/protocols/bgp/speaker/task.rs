//! A peer's task: does what its peering says, and tells it what happens.

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
    time::{MissedTickBehavior, interval},
};
use tracing::{debug, info};

use super::{BfdStates, addresses, discovery::Discovery, link::Link, socket};
use crate::{
    os::moment::at,
    protocols::bgp::{
        PeerStatus,
        config::{PeerConfig, Remote},
        fsm::{Event, Input, Jitter, Restart, Role},
        peering::{Command, Peering, Telling},
        rib::Addresses,
        wire::{Notification, code},
    },
};

/// What a peer is, and what it is to be told.
#[derive(Clone, PartialEq, Debug)]
pub struct Told {
    pub config: Arc<PeerConfig>,
    pub telling: Telling,
}

/// The peer has called us.
pub struct Call {
    pub stream: TcpStream,
    pub from: IpAddr,
}

pub struct Report {
    pub name: Arc<str>,
    pub status: PeerStatus,
}

pub struct Task {
    pub name: Arc<str>,
    /// None: it is no peer any more. Nothing is said to it if we just go (the sender is gone).
    pub told: watch::Receiver<Option<Told>>,
    pub bfd: watch::Receiver<BfdStates>,
    pub calls: mpsc::UnboundedReceiver<Call>,
    pub reports: mpsc::UnboundedSender<Report>,
    pub restarted: bool,
    pub jitter: Jitter,
}

/// A connection, and our addresses there.
type Made = (TcpStream, Addresses);
type Making = Pin<Box<dyn Future<Output = io::Result<Made>> + Send>>;

/// All that a peer has open.
struct Running {
    peering: Peering,
    address: Option<IpAddr>,
    outgoing: Option<Link>,
    incoming: Option<Link>,
    /// A connection under way; none: not asked for.
    calling: Option<Making>,
    /// A call that is looked at before it is answered.
    called: Option<Making>,
    /// Made, and not yet adopted.
    made: Option<TcpStream>,
    discovery: Option<Discovery>,
}

impl Task {
    pub async fn run(mut self) {
        let mut told = self.told.borrow_and_update().clone();
        let mut restart = Restart { restarted: self.restarted, forwarding: self.restarted };
        while let Some(Told { config, telling }) = told {
            let now = Instant::now();
            let peering = Peering::new(config.clone(), telling, restart, self.jitter.split(), now);
            let mut running = Running::new(peering, now);
            let Some(changed) = self.follow(&mut running).await else { return };
            match &changed {
                Some(told) if told.config.is_same_peer(&config) => {
                    info!("the session's parameters have changed");
                    running.stop(code::OTHER_CONFIGURATION_CHANGE);
                }
                // It would keep our routes, and wait for us to come back.
                _ => running.stop(code::PEER_DECONFIGURED),
            }
            restart = running.peering.restart();
            told = changed;
        }
    }

    /// Until the session's parameters change, or the peer is no more. None: until we go.
    async fn follow(&mut self, running: &mut Running) -> Option<Option<Told>> {
        let mut tick = interval(Duration::from_secs(1));
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut reported = PeerStatus::default();
        running.look_at_bfd(&self.bfd.borrow_and_update().clone());
        loop {
            running.flush();
            let status = running.peering.status(&self.name, Instant::now());
            if is_news(&reported, &status) {
                reported = status.clone();
                let _ = self.reports.send(Report { name: self.name.clone(), status });
            }
            tokio::select! {
                changed = self.told.changed() => {
                    changed.ok()?;
                    match self.told.borrow_and_update().clone() {
                        Some(told) if told.config.is_same_session(running.peering.config()) => {
                            running.with(|peering, now| peering.tell(told.telling, now));
                        }
                        changed => return Some(changed),
                    }
                }
                Ok(()) = self.bfd.changed() => running.look_at_bfd(&self.bfd.borrow_and_update().clone()),
                Some(call) = self.calls.recv() => running.called(call),
                () = running.step() => {}
                // For what is no news, but changes.
                _ = tick.tick() => reported.name.clear(),
            }
        }
    }
}

impl Running {
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
            calling: None,
            called: None,
            made: None,
            discovery,
        };
        if let Some(address) = config.address() {
            running.locate(address);
        }
        let commands = running.peering.start(now);
        running.obey(commands);
        running
    }

    fn locate(&mut self, address: IpAddr) {
        self.address = Some(address);
        self.peering.locate(address);
    }

    fn with(&mut self, act: impl FnOnce(&mut Peering, Instant) -> Vec<Command>) {
        let commands = act(&mut self.peering, Instant::now());
        self.obey(commands);
    }

    fn input(&mut self, input: Input) {
        self.with(|peering, now| peering.process(input, now));
    }

    fn event(&mut self, role: Role, event: Event) {
        self.with(|peering, now| peering.event(role, event, now));
    }

    fn link(&mut self, role: Role) -> &mut Option<Link> {
        match role {
            Role::Outgoing => &mut self.outgoing,
            Role::Incoming => &mut self.incoming,
        }
    }

    /// Whatever happens next: sockets, timers, somebody is found. Cancel safe.
    async fn step(&mut self) {
        let deadline = self.peering.next_deadline();
        tokio::select! {
            made = under_way(&mut self.calling) => self.call_came_to(made),
            made = under_way(&mut self.called) => self.answer(made),
            ready = is_ready(&self.outgoing) => self.read(Role::Outgoing, ready),
            ready = is_ready(&self.incoming) => self.read(Role::Incoming, ready),
            address = found(&mut self.discovery) => self.found(address),
            () = at(deadline) => self.input(Input::Timer),
        }
    }

    fn obey(&mut self, commands: Vec<Command>) {
        for command in commands {
            match command {
                Command::Connect => {
                    self.calling = Some(Box::pin(call(self.peering.config().clone(), self.address)))
                }
                Command::Abandon => self.calling = None,
                Command::Adopt(role) => *self.link(role) = self.made.take().map(Link::new),
                Command::Refuse(_) => self.made = None,
                Command::Send(role, bytes) => {
                    if let Some(link) = self.link(role) {
                        link.send(&bytes);
                    }
                }
                Command::Close(role) => {
                    if let Some(mut link) = self.link(role).take() {
                        // Our process may end before the task has a turn.
                        let _ = link.write();
                        tokio::spawn(link.close());
                    }
                }
            }
        }
    }

    fn call_came_to(&mut self, made: io::Result<Made>) {
        self.calling = None;
        match made {
            Ok((stream, addresses)) => self.adopt(Role::Outgoing, stream, addresses),
            Err(error) => self.input(Input::ConnectFailed(error.to_string())),
        }
    }

    fn called(&mut self, Call { stream, from }: Call) {
        // Whom we talk with is not left for somebody else.
        let is_stranger = self.address.is_some_and(|address| address != from);
        if is_stranger && (self.outgoing.is_some() || self.incoming.is_some()) {
            debug!(%from, "the call of another neighbour is refused");
            return;
        }
        if self.address != Some(from) {
            self.locate(from);
        }
        if let Err(error) = socket::called(&stream, self.peering.config(), from) {
            debug!(%error, "the call can't be taken");
            return;
        }
        self.called = Some(Box::pin(with_addresses(stream)));
    }

    fn answer(&mut self, made: io::Result<Made>) {
        self.called = None;
        match made {
            Ok((stream, addresses)) => self.adopt(Role::Incoming, stream, addresses),
            Err(error) => debug!(%error, "the call can't be taken"),
        }
    }

    fn adopt(&mut self, role: Role, stream: TcpStream, addresses: Addresses) {
        self.made = Some(stream);
        self.peering.route(role, addresses);
        self.input(if role == Role::Outgoing { Input::Connected } else { Input::Accepted });
    }

    fn found(&mut self, address: IpAddr) {
        // Whom we talk with is not left for somebody else.
        if self.address != Some(address) && self.outgoing.is_none() && self.incoming.is_none() {
            info!(%address, "the neighbour is found");
            self.locate(address);
            self.input(Input::Found);
        }
    }

    fn look_at_bfd(&mut self, states: &BfdStates) {
        let config = self.peering.config().clone();
        let key = config.bfd.and(self.address).map(|address| config.bfd_key(address));
        let status = key.and_then(|key| states.get(&key).copied());
        self.with(|peering, now| peering.bfd(status, now));
    }

    fn read(&mut self, role: Role, ready: io::Result<()>) {
        let Some(link) = self.link(role) else { return };
        let end = ready.and_then(|()| link.read()).err();
        // What came before the end counts.
        loop {
            let four_octet_as = self.peering.four_octet_as(role);
            let Some(link) = self.link(role) else { return };
            match link.next(four_octet_as) {
                Ok(Some(message)) => self.event(role, Event::Received(message)),
                Ok(None) => break,
                Err(notification) => return self.event(role, Event::Unreadable(notification)),
            }
        }
        if let Some(error) = end {
            self.event(role, Event::Lost(error.to_string()));
        }
    }

    /// Makes UPDATEs as fast as the peer takes them, and writes.
    fn flush(&mut self) {
        while self.peering.role().is_some_and(|role| self.link(role).as_ref().is_some_and(Link::has_room)) {
            let Some((role, bytes)) = self.peering.next_update() else { break };
            self.obey(vec![Command::Send(role, bytes)]);
        }
        for role in Role::BOTH {
            if let Some(link) = self.link(role) {
                link.has_more = !link.has_room();
            }
            match self.link(role).as_mut().map(Link::write) {
                Some(Ok(Some(wrote))) => {
                    self.event(role, Event::Wrote { progress: wrote.progress, pending: wrote.pending });
                }
                Some(Err(error)) => self.event(role, Event::Lost(error.to_string())),
                Some(Ok(None)) | None => {}
            }
        }
    }

    fn stop(&mut self, code: (u8, u8)) {
        self.input(Input::Stop(Notification::new(code)));
    }
}

/// A router that tells us thousands of routes is not worth as many reports.
fn is_news(before: &PeerStatus, after: &PeerStatus) -> bool {
    let of = |status: &PeerStatus| {
        let error = status.last_error.as_ref().map(|error| error.name.clone());
        let counts = (status.established, status.routes_sent, status.routes_pending);
        (status.name.clone(), status.state, status.address, status.bfd.clone(), counts, error)
    };
    of(before) != of(after)
}

async fn call(config: Arc<PeerConfig>, address: Option<IpAddr>) -> io::Result<Made> {
    let nobody = || io::Error::new(io::ErrorKind::NotFound, "nobody has been heard on the interface yet");
    let (socket, to) = socket::calling(&config, address.ok_or_else(nobody)?)?;
    with_addresses(socket.connect(to).await?).await
}

async fn with_addresses(stream: TcpStream) -> io::Result<Made> {
    let addresses = addresses::of(stream.local_addr()?).await?;
    Ok((stream, addresses))
}

async fn under_way(making: &mut Option<Making>) -> io::Result<Made> {
    match making {
        Some(making) => making.await,
        None => future::pending().await,
    }
}

async fn is_ready(link: &Option<Link>) -> io::Result<()> {
    match link {
        Some(link) => link.ready().await,
        None => future::pending().await,
    }
}

async fn found(discovery: &mut Option<Discovery>) -> IpAddr {
    match discovery {
        Some(discovery) => discovery.next().await,
        None => future::pending().await,
    }
}
