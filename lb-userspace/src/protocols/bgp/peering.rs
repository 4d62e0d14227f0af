//! A peer as a whole: its state machine, the routes announced to it, and its status. No IO:
//! the speaker's tasks carry out its commands.

mod errors;

use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use tracing::{debug, info, warn};

use super::{
    PeerStatus, State,
    config::{Leaving, PeerConfig, Remote, RemoteAs, Routes},
    fsm::{
        Cause, ConnectionEvent, ConnectionRole, Jitter, Negotiated, PeerAction, PeerEvent, PeerFsm, Restart,
    },
    rib::{AdjRibOut, ExportSession, LocalAddresses},
    status::LastError,
    wire::{Message, Notification, RefreshKind, code},
};
use crate::protocols::bfd;

/// How long a refused OPEN stays the last error while connections fail: after a refusal,
/// routers accept no connection for a while.
const REFUSAL_PERIOD: Duration = Duration::from_secs(300);

/// What the owner of the sockets is to do; commands are carried out in order. See
/// [`PeerAction`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PeeringCommand {
    Connect,
    Abandon,
    Adopt(ConnectionRole),
    Refuse(ConnectionRole),
    Send(ConnectionRole, Vec<u8>),
    /// Close the connection once everything has been sent on it.
    Close(ConnectionRole),
}

/// The routes to announce to the peer, and how.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RouteOrders {
    pub routes: Arc<Routes>,
    pub leaving: Leaving,
    /// See [`super::BgpOrders::complete`].
    pub complete: bool,
}

pub struct Peering {
    config: Arc<PeerConfig>,
    peer: PeerFsm,
    route_orders: RouteOrders,
    addresses: BTreeMap<ConnectionRole, LocalAddresses>,
    session: Option<EstablishedSession>,
    /// The peer's address, once it is known.
    address: Option<IpAddr>,
    state: State,
    since: Instant,
    established: u64,
    refused: u64,
    last_error: Option<(Instant, LastError)>,
    bfd: Option<bfd::SessionStatus>,
}

struct EstablishedSession {
    role: ConnectionRole,
    negotiated: Arc<Negotiated>,
    rib: AdjRibOut,
}

impl Peering {
    /// A peer that is stopped. `restart`: the flags of graceful restart that follow from earlier
    /// sessions of this node.
    pub fn new(
        config: Arc<PeerConfig>,
        route_orders: RouteOrders,
        restart: Restart,
        jitter: Jitter,
        now: Instant,
    ) -> Self {
        Self {
            peer: PeerFsm::new(config.clone(), restart, jitter),
            config,
            route_orders,
            addresses: BTreeMap::new(),
            session: None,
            address: None,
            state: State::Idle,
            since: now,
            established: 0,
            refused: 0,
            last_error: None,
            bfd: None,
        }
    }

    /// Starts the state machine, unless `leaving` is [`Leaving::Closed`]: sessions then stay down.
    pub fn start(&mut self, now: Instant) -> Vec<PeeringCommand> {
        if self.route_orders.leaving == Leaving::Closed {
            Vec::new()
        } else {
            self.process(PeerEvent::Start, now)
        }
    }

    /// Sets the peer's address, for TCP and BFD.
    pub fn set_address(&mut self, address: IpAddr) {
        self.address = Some(address);
    }

    /// Sets the last error of before this peering, and when it happened.
    pub fn set_last_error(&mut self, error: Option<(Instant, LastError)>) {
        self.last_error = error;
    }

    /// Sets our addresses on a connection that was just made or accepted. To be called before
    /// `process` gets the event of the connection.
    pub fn set_addresses(&mut self, role: ConnectionRole, addresses: LocalAddresses) {
        self.addresses.insert(role, addresses);
    }

    /// The flags of graceful restart for a peering that replaces this one.
    pub fn restart(&self) -> Restart {
        self.peer.restart
    }

    pub fn config(&self) -> &Arc<PeerConfig> {
        &self.config
    }

    pub fn next_deadline(&self) -> Option<Instant> {
        self.peer.next_deadline()
    }

    /// Do AS numbers in UPDATEs on that connection have four bytes?
    pub fn has_four_octet_as(&self, role: ConnectionRole) -> bool {
        self.peer.has_four_octet_as(role)
    }

    pub fn process(&mut self, input: PeerEvent, now: Instant) -> Vec<PeeringCommand> {
        let outputs = self.peer.process(input, now);
        let commands = outputs.into_iter().filter_map(|output| self.execute_action(output, now)).collect();
        let state = self.peer.state();
        if state != self.state {
            debug!(from = ?self.state, to = ?state, "state changes");
            (self.state, self.since) = (state, now);
        }
        commands
    }

    pub fn set_bfd(&mut self, status: Option<bfd::SessionStatus>, now: Instant) -> Vec<PeeringCommand> {
        self.bfd = status;
        self.process(PeerEvent::Bfd(status), now)
    }

    /// Sets what to announce. [`Self::next_update`] returns the UPDATEs that follow from it.
    pub fn set_route_orders(&mut self, route_orders: RouteOrders, now: Instant) -> Vec<PeeringCommand> {
        let before = std::mem::replace(&mut self.route_orders, route_orders).leaving;
        let after = self.route_orders.leaving;
        if let Some(session) = &mut self.session {
            session.rib.set_desired(&self.route_orders.routes, after, self.route_orders.complete);
        }
        match (before == Leaving::Closed, after == Leaving::Closed) {
            (false, true) => self.process(
                PeerEvent::Stop(Notification::with_text(code::ADMINISTRATIVE_SHUTDOWN, "drained")),
                now,
            ),
            (true, false) => self.process(PeerEvent::Start, now),
            _ => Vec::new(),
        }
    }

    /// The next message with routes to send; None if there is none. To be called only as fast as
    /// the peer reads.
    pub fn next_update(&mut self) -> Option<(ConnectionRole, Vec<u8>)> {
        let session = self.session.as_mut()?;
        while let Some(message) = session.rib.next_message() {
            match message.encode(session.negotiated.four_octet_as) {
                Ok(bytes) => return Some((session.role, bytes)),
                Err(error) => warn!(%error, "an UPDATE can't be encoded and is left out"),
            }
        }
        // The routes of before the restart have been announced again.
        self.peer.restart.restarted &= !session.rib.is_finished();
        None
    }

    fn execute_action(&mut self, output: PeerAction, now: Instant) -> Option<PeeringCommand> {
        match output {
            PeerAction::Connect => return Some(PeeringCommand::Connect),
            PeerAction::Abandon => return Some(PeeringCommand::Abandon),
            PeerAction::Adopt(role) => return Some(PeeringCommand::Adopt(role)),
            PeerAction::Refuse(role) => return Some(PeeringCommand::Refuse(role)),
            PeerAction::Close(role) => return Some(PeeringCommand::Close(role)),
            PeerAction::Send(role, message) => {
                // The length of AS numbers matters in UPDATE only, which is not sent here.
                match message.encode(true) {
                    Ok(bytes) => return Some(PeeringCommand::Send(role, bytes)),
                    Err(error) => warn!(%error, message = message.name(), "a message can't be sent"),
                }
            }
            PeerAction::Up(role, negotiated) => self.on_established(role, negotiated),
            PeerAction::Ended { role, was_established, cause } => {
                self.on_ended(role, was_established, &cause, now)
            }
            PeerAction::RouteMessage(message) => self.on_route_message(message),
        }
        None
    }

    fn on_established(&mut self, role: ConnectionRole, negotiated: Arc<Negotiated>) {
        let Some(addresses) = self.addresses.get(&role).cloned() else { return };
        info!(peer_as = negotiated.peer_as, hold_time = ?negotiated.hold_time, ?role, "session is up");
        let session =
            ExportSession { config: self.config.clone(), negotiated: negotiated.clone(), addresses };
        let mut rib = AdjRibOut::new(session);
        rib.set_desired(&self.route_orders.routes, self.route_orders.leaving, self.route_orders.complete);
        self.session = Some(EstablishedSession { role, negotiated, rib });
        self.established += 1;
        // From now on we forward without a break, even if the session ends.
        self.peer.restart.forwarding = true;
    }

    fn on_ended(&mut self, role: Option<ConnectionRole>, was_established: bool, cause: &Cause, now: Instant) {
        if was_established {
            self.session = None;
        }
        let error = self.describe_error(cause, was_established);
        let reason =
            format!("{}{}{}", error.name, if error.detail.is_empty() { "" } else { ": " }, error.detail);
        match cause {
            Cause::Sent(notification) | Cause::Received(notification)
                if notification.code == code::COLLISION_RESOLUTION =>
            {
                debug!(?role, "both sides have connected: one connection is closed");
                return;
            }
            // The refusal of the OPEN is the cause of the failed connections that follow it.
            Cause::Lost(_) if !was_established && self.was_refused(now) => {
                debug!(reason, "no session");
                return;
            }
            _ if was_established => warn!(reason, remedy = error.remedy, "session is down"),
            // Each reason is logged once, not with each attempt.
            _ if self.last_error.as_ref().is_none_or(|(_, last)| last.name != error.name) => {
                warn!(reason, remedy = error.remedy, "no session");
            }
            _ => debug!(reason, "no session"),
        }
        self.last_error = Some((now, error));
    }

    /// Was an OPEN refused, by us or by the peer, less than `REFUSED` ago?
    fn was_refused(&self, now: Instant) -> bool {
        let open_error = code::OPEN_MESSAGE.0;
        self.last_error.as_ref().is_some_and(|(when, error)| {
            let is_of_open = error.code.is_some_and(|(code, _)| code == open_error);
            is_of_open && now.saturating_duration_since(*when) < REFUSAL_PERIOD
        })
    }

    fn on_route_message(&mut self, message: Message) {
        let Some(session) = &mut self.session else { return };
        match message {
            Message::Update(update) => {
                if let Some(complaint) = &update.malformed {
                    debug!(complaint, "an UPDATE is malformed (RFC 7606: its routes are withdrawn)");
                }
                self.refused += u64::try_from(update.offered_routes()).unwrap_or(u64::MAX);
            }
            Message::RouteRefresh(refresh) => {
                if let (Some(family), RefreshKind::Request) = (refresh.family, refresh.kind) {
                    debug!(%family, "the peer asks for all routes anew");
                    session.rib.request_refresh(family);
                }
            }
            _ => {}
        }
    }

    /// The status to publish. `name`: name of the `BgpPeer`.
    pub fn status(&self, name: &str, now: Instant) -> PeerStatus {
        let since = |then: Instant| now.saturating_duration_since(then).as_secs();
        let negotiated = self.session.as_ref().map(|session| &session.negotiated);
        let rib = self.session.as_ref().map(|session| &session.rib);
        PeerStatus {
            name: name.to_owned(),
            remote: self.remote_name(),
            address: self.address,
            remote_as: negotiated.map(|negotiated| negotiated.peer_as).or(self.expected_as()),
            local_as: self.config.local_as,
            state: self.state,
            seconds: since(self.since),
            hold_time_seconds: negotiated.map(|negotiated| {
                u16::try_from(negotiated.hold_time.unwrap_or(Duration::ZERO).as_secs()).unwrap_or(u16::MAX)
            }),
            families: negotiated
                .map(|n| n.families.iter().map(ToString::to_string).collect())
                .unwrap_or_default(),
            capabilities: negotiated
                .map(|n| n.capabilities.iter().map(|name| (*name).to_owned()).collect())
                .unwrap_or_default(),
            routes_sent: rib.map_or(0, AdjRibOut::sent_count),
            routes_pending: rib.map_or_else(|| self.unsent_routes(), AdjRibOut::pending_count),
            routes_refused: self.refused,
            established: self.established,
            bfd: self.config.bfd.map(|_| self.bfd_state_name().to_owned()),
            problems: self.problems(),
            last_error: self
                .last_error
                .as_ref()
                .map(|(when, error)| LastError { seconds_ago: since(*when), ..error.clone() }),
        }
    }

    /// The number of routes that wait for a session.
    fn unsent_routes(&self) -> usize {
        if self.route_orders.leaving == Leaving::Closed { 0 } else { self.route_orders.routes.len() }
    }

    fn problems(&self) -> Vec<String> {
        let is_bfd_silent = self.bfd.is_some_and(|bfd| bfd.state == bfd::SessionState::Down && !bfd.heard);
        let bfd_problem = (is_bfd_silent && self.session.is_some()).then(|| {
            "the router does not speak BFD with us: turn it on there, or remove spec.bfdProfile".to_owned()
        });
        let held = "held down: BFD has lost the neighbour, which still speaks it or may come back".to_owned();
        let held = self.peer.is_held_down().then_some(held);
        let rib_problems = self.session.iter().flat_map(|session| session.rib.problems());
        held.into_iter().chain(bfd_problem).chain(rib_problems).collect()
    }

    fn expected_as(&self) -> Option<u32> {
        match self.config.remote_as {
            RemoteAs::Number(asn) => Some(asn),
            RemoteAs::Internal => Some(self.config.local_as),
            RemoteAs::External => None,
        }
    }

    fn remote_name(&self) -> String {
        match (&self.config.remote, self.address) {
            (Remote::Address { address, interface: None }, _) => address.to_string(),
            (Remote::Address { address, interface: Some(interface) }, _) => format!("{address}%{interface}"),
            (Remote::Interface(interface), Some(address)) => format!("{address}%{interface}"),
            (Remote::Interface(interface), None) => interface.to_string(),
        }
    }

    fn bfd_state_name(&self) -> &'static str {
        match self.bfd.map(|status| status.state) {
            Some(bfd::SessionState::Up) => "up",
            Some(bfd::SessionState::Init) => "init",
            Some(bfd::SessionState::AdminDown) => "admin-down",
            Some(bfd::SessionState::Down) | None => "down",
        }
    }

    /// The role of the connection that the session runs on.
    pub fn role(&self) -> Option<ConnectionRole> {
        self.session.as_ref().map(|session| session.role)
    }

    /// Processes an event of a connection.
    pub fn process_connection_event(
        &mut self,
        role: ConnectionRole,
        event: ConnectionEvent,
        now: Instant,
    ) -> Vec<PeeringCommand> {
        self.process(PeerEvent::Of(role, event), now)
    }
}

#[cfg(test)]
mod tests;
