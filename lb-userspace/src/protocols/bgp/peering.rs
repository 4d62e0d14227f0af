//! A peer as a whole: its state machine, what it is told, and what is told of
//! it. Still no IO: the speaker's tasks obey.

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
    fsm::{Cause, Event, Input, Jitter, Negotiated, Output, Peer, Restart, Role},
    rib::{Addresses, AdjRibOut, Session},
    status::LastError,
    wire::{self, Message, Notification, RefreshKind, code},
};
use crate::protocols::bfd;

const UNDO: &str = "This node is drained: `trigon drain --undo` brings it back.";

/// For so long the refusal of an OPEN is the reason of what follows: routers make a
/// pause after it, in which they take no connection.
const REFUSED: Duration = Duration::from_secs(300);

/// What the owner of the sockets is to do, in this order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Command {
    Connect,
    Abandon,
    Adopt(Role),
    Refuse(Role),
    Send(Role, Vec<u8>),
    /// Once all that was sent is out.
    Close(Role),
}

/// What the peer is to be told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Telling {
    pub routes: Arc<Routes>,
    pub leaving: Leaving,
    /// See [`super::Wanted::complete`].
    pub complete: bool,
}

pub struct Peering {
    config: Arc<PeerConfig>,
    peer: Peer,
    telling: Telling,
    addresses: BTreeMap<Role, Addresses>,
    session: Option<Established>,
    /// Where the peer is, once that is known.
    address: Option<IpAddr>,
    state: State,
    since: Instant,
    established: u64,
    refused: u64,
    last_error: Option<(Instant, LastError)>,
    bfd: Option<bfd::Status>,
}

struct Established {
    role: Role,
    negotiated: Arc<Negotiated>,
    rib: AdjRibOut,
}

impl Peering {
    /// Stopped. `restart`: what earlier sessions of this node mean to this one.
    pub fn new(
        config: Arc<PeerConfig>,
        telling: Telling,
        restart: Restart,
        jitter: Jitter,
        now: Instant,
    ) -> Self {
        Self {
            peer: Peer::new(config.clone(), restart, jitter),
            config,
            telling,
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

    /// Begins, unless it is not to be.
    pub fn start(&mut self, now: Instant) -> Vec<Command> {
        if self.telling.leaving == Leaving::Closed { Vec::new() } else { self.process(Input::Start, now) }
    }

    /// Where the peer is: TCP and BFD go there.
    pub fn locate(&mut self, address: IpAddr) {
        self.address = Some(address);
    }

    /// A connection that was just made or accepted, before its input says so.
    pub fn route(&mut self, role: Role, addresses: Addresses) {
        self.addresses.insert(role, addresses);
    }

    /// For a session that follows on this one.
    pub fn restart(&self) -> Restart {
        self.peer.restart
    }

    pub fn config(&self) -> &Arc<PeerConfig> {
        &self.config
    }

    pub fn next_deadline(&self) -> Option<Instant> {
        self.peer.next_deadline()
    }

    /// Needed to read what comes by that connection.
    pub fn four_octet_as(&self, role: Role) -> bool {
        self.peer.four_octet_as(role)
    }

    pub fn process(&mut self, input: Input, now: Instant) -> Vec<Command> {
        let outputs = self.peer.process(input, now);
        let commands = outputs.into_iter().filter_map(|output| self.obey(output, now)).collect();
        let state = self.peer.state();
        if state != self.state {
            debug!(from = ?self.state, to = ?state, "state changes");
            (self.state, self.since) = (state, now);
        }
        commands
    }

    pub fn bfd(&mut self, status: Option<bfd::Status>, now: Instant) -> Vec<Command> {
        self.bfd = status;
        self.process(Input::Bfd(status), now)
    }

    /// What to tell has changed. UPDATEs follow from [`Self::next_update`].
    pub fn tell(&mut self, telling: Telling, now: Instant) -> Vec<Command> {
        let before = std::mem::replace(&mut self.telling, telling).leaving;
        let after = self.telling.leaving;
        if let Some(session) = &mut self.session {
            session.rib.want(&self.telling.routes, after, self.telling.complete);
        }
        match (before == Leaving::Closed, after == Leaving::Closed) {
            (false, true) => {
                self.process(Input::Stop(Notification::saying(code::ADMINISTRATIVE_SHUTDOWN, "drained")), now)
            }
            (true, false) => self.process(Input::Start, now),
            _ => Vec::new(),
        }
    }

    /// The next bytes to send, if there is something to tell. To be asked for only as
    /// fast as the peer reads.
    pub fn next_update(&mut self) -> Option<(Role, Vec<u8>)> {
        let session = self.session.as_mut()?;
        while let Some(message) = session.rib.next_message() {
            match message.encode(session.negotiated.four_octet_as) {
                Ok(bytes) => return Some((session.role, bytes)),
                Err(error) => warn!(%error, "a message to the peer is left out"),
            }
        }
        // What was announced before the restart has been announced again.
        self.peer.restart.restarted &= !session.rib.is_finished();
        None
    }

    fn obey(&mut self, output: Output, now: Instant) -> Option<Command> {
        match output {
            Output::Connect => return Some(Command::Connect),
            Output::Abandon => return Some(Command::Abandon),
            Output::Adopt(role) => return Some(Command::Adopt(role)),
            Output::Refuse(role) => return Some(Command::Refuse(role)),
            Output::Close(role) => return Some(Command::Close(role)),
            Output::Send(role, message) => {
                // Nothing but UPDATE has to do with the width of AS numbers.
                match message.encode(true) {
                    Ok(bytes) => return Some(Command::Send(role, bytes)),
                    Err(error) => warn!(%error, message = message.name(), "a message can't be sent"),
                }
            }
            Output::Up(role, negotiated) => self.up(role, negotiated),
            Output::Ended { role, was_established, cause } => self.ended(role, was_established, &cause, now),
            Output::Deliver(message) => self.deliver(message),
        }
        None
    }

    fn up(&mut self, role: Role, negotiated: Arc<Negotiated>) {
        let Some(addresses) = self.addresses.get(&role).cloned() else { return };
        info!(peer_as = negotiated.peer_as, hold_time = ?negotiated.hold_time, ?role, "session is up");
        let session = Session { config: self.config.clone(), negotiated: negotiated.clone(), addresses };
        let mut rib = AdjRibOut::new(session);
        rib.want(&self.telling.routes, self.telling.leaving, self.telling.complete);
        self.session = Some(Established { role, negotiated, rib });
        self.established += 1;
        // From now on we have forwarded without a break, whatever becomes of sessions.
        self.peer.restart.forwarding = true;
    }

    fn ended(&mut self, role: Option<Role>, was_established: bool, cause: &Cause, now: Instant) {
        if was_established {
            self.session = None;
        }
        let error = self.explain(cause, was_established);
        let reason =
            format!("{}{}{}", error.name, if error.detail.is_empty() { "" } else { ": " }, error.detail);
        match cause {
            Cause::Sent(told) | Cause::Received(told) if told.code == code::COLLISION_RESOLUTION => {
                debug!(?role, "both sides had connected: one connection is closed");
                return;
            }
            // It says more than that nobody wants to talk with us again so soon.
            Cause::Lost(_) if !was_established && self.was_refused(now) => {
                debug!(reason, "no session");
                return;
            }
            _ if was_established => warn!(reason, remedy = error.remedy, "session is down"),
            // Each attempt would be told of otherwise.
            _ if self.last_error.as_ref().is_none_or(|(_, last)| last.name != error.name) => {
                warn!(reason, remedy = error.remedy, "no session");
            }
            _ => debug!(reason, "no session"),
        }
        self.last_error = Some((now, error));
    }

    /// Was one of the OPENs not taken, a short while ago?
    fn was_refused(&self, now: Instant) -> bool {
        let open_error = code::OPEN_MESSAGE.0;
        self.last_error.as_ref().is_some_and(|(when, error)| {
            let is_of_open = error.code.is_some_and(|(code, _)| code == open_error);
            is_of_open && now.saturating_duration_since(*when) < REFUSED
        })
    }

    fn explain(&self, cause: &Cause, was_established: bool) -> LastError {
        let (sent, told) = match cause {
            Cause::Lost(why) => {
                return LastError {
                    name: if was_established { "Connection Lost" } else { "Connection Failed" }.into(),
                    detail: why.clone(),
                    remedy: self.remedy_of_tcp(was_established),
                    ..LastError::default()
                };
            }
            Cause::Sent(told) => (true, told),
            Cause::Received(told) => (false, told),
        };
        let inner = told.inner();
        let is_ours = sent && inner.code == code::ADMINISTRATIVE_SHUTDOWN;
        LastError {
            name: wire::name(inner.code),
            code: Some(told.code),
            sent,
            detail: told.text().or_else(|| wrong_as(&inner, sent)).unwrap_or_default(),
            remedy: if is_ours { UNDO } else { wire::remedy(inner.code) }.into(),
            seconds_ago: 0,
        }
    }

    fn remedy_of_tcp(&self, was_established: bool) -> String {
        if was_established {
            return "The router or its BGP daemon went away, or the link did; the session comes back by itself.".into();
        }
        if self.address.is_none() {
            return "Check that the interface is up with an IPv6 link-local address, and that the router sends \
                    router advertisements there."
                .into();
        }
        let password = match self.config.password {
            Some(_) => "that spec.password is the same on both sides",
            None => "that the router wants no password (spec.password)",
        };
        let ttl = match self.config.ttl_security {
            Some(_) => "that both sides have TTL security on, and enough hops; ",
            None => "",
        };
        let port = self.config.port;
        format!(
            "Check that the address is right and answers; that BGP runs there and expects this node; {password}; \
             {ttl}that no firewall drops TCP port {port} (spec.peerPort)."
        )
    }

    fn deliver(&mut self, message: Message) {
        let Some(session) = &mut self.session else { return };
        match message {
            Message::Update(update) => {
                if let Some(complaint) = &update.malformed {
                    debug!(complaint, "an UPDATE is malformed (RFC 7606: its routes are withdrawn)");
                }
                self.refused += u64::try_from(update.offered()).unwrap_or(u64::MAX);
            }
            Message::RouteRefresh(refresh) => {
                if let (Some(family), RefreshKind::Request) = (refresh.family, refresh.kind) {
                    debug!(%family, "the peer asks for all routes anew");
                    session.rib.refresh(family);
                }
            }
            _ => {}
        }
    }

    /// `name`: of the `BgpPeer`.
    pub fn status(&self, name: &str, now: Instant) -> PeerStatus {
        let since = |then: Instant| now.saturating_duration_since(then).as_secs();
        let negotiated = self.session.as_ref().map(|session| &session.negotiated);
        let rib = self.session.as_ref().map(|session| &session.rib);
        PeerStatus {
            name: name.to_owned(),
            remote: self.remote(),
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
            routes_sent: rib.map_or(0, AdjRibOut::sent),
            routes_pending: rib.map_or_else(|| self.unsent(), AdjRibOut::pending),
            routes_refused: self.refused,
            established: self.established,
            bfd: self.config.bfd.map(|_| self.bfd_word().to_owned()),
            problems: self.problems(),
            last_error: self
                .last_error
                .as_ref()
                .map(|(when, error)| LastError { seconds_ago: since(*when), ..error.clone() }),
        }
    }

    /// Routes that wait for a session.
    fn unsent(&self) -> usize {
        if self.telling.leaving == Leaving::Closed { 0 } else { self.telling.routes.len() }
    }

    fn problems(&self) -> Vec<String> {
        let is_alone = self.bfd.is_some_and(|bfd| bfd.state == bfd::State::Down && !bfd.heard);
        let alone = (is_alone && self.session.is_some()).then(|| {
            "the router does not speak BFD with us: turn it on there, or remove spec.bfdProfile".to_owned()
        });
        let held = "held down: BFD has lost the neighbour, which still speaks it or may come back".to_owned();
        let held = self.peer.is_held_down().then_some(held);
        let untold = self.session.iter().flat_map(|session| session.rib.problems());
        held.into_iter().chain(alone).chain(untold).collect()
    }

    fn expected_as(&self) -> Option<u32> {
        match self.config.remote_as {
            RemoteAs::Number(asn) => Some(asn),
            RemoteAs::Internal => Some(self.config.local_as),
            RemoteAs::External => None,
        }
    }

    fn remote(&self) -> String {
        match (&self.config.remote, self.address) {
            (Remote::Address { address, interface: None }, _) => address.to_string(),
            (Remote::Address { address, interface: Some(interface) }, _) => format!("{address}%{interface}"),
            (Remote::Interface(interface), Some(address)) => format!("{address}%{interface}"),
            (Remote::Interface(interface), None) => interface.to_string(),
        }
    }

    fn bfd_word(&self) -> &'static str {
        match self.bfd.map(|status| status.state) {
            Some(bfd::State::Up) => "up",
            Some(bfd::State::Init) => "init",
            Some(bfd::State::AdminDown) => "admin-down",
            Some(bfd::State::Down) | None => "down",
        }
    }

    /// Whose connection the session is on.
    pub fn role(&self) -> Option<Role> {
        self.session.as_ref().map(|session| session.role)
    }

    /// An event of a connection.
    pub fn event(&mut self, role: Role, event: Event, now: Instant) -> Vec<Command> {
        self.process(Input::Of(role, event), now)
    }
}

/// Of the OPEN that we refused for its AS: which one that was.
fn wrong_as(told: &Notification, sent: bool) -> Option<String> {
    let asn: [u8; 4] = told.data[..].try_into().ok().filter(|_| sent && told.code == code::BAD_PEER_AS)?;
    Some(format!("the router is of AS {}", u32::from_be_bytes(asn)))
}

#[cfg(test)]
mod tests;
