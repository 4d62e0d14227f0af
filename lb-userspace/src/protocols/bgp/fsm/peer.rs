//! The state machine of a peer: it has two connections at most, and decides which to keep.

mod collision;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    Jitter,
    bfd::{BfdEffect, BfdTracker},
    connection::{Cause, Connection, ConnectionAction, ConnectionEnd, ConnectionEvent},
    events::{ConnectionRole, PeerAction, PeerEvent},
    negotiate::Restart,
    retries::{Pause, Retries},
};
use crate::protocols::{
    bfd,
    bgp::{
        State,
        config::PeerConfig,
        wire::{Message, Notification, code},
    },
};

/// How long a session is held down for a peer that is silent in BFD: the peer may speak BFD
/// only after BGP is up.
const BFD_SILENCE: Duration = Duration::from_secs(10);
/// A connection that comes later than this after a session was established is no collision.
const COLLISION_WINDOW: Duration = Duration::from_secs(5);

#[derive(Clone, Debug)]
enum Phase {
    /// We make and accept no connection until this moment; None: until another event.
    Idle(Option<Instant>),
    Open {
        calling: OutgoingState,
        incoming: Option<Connection>,
    },
}

#[derive(Clone, Debug)]
enum OutgoingState {
    /// We make no connection: the peer is to make one, or has.
    Dormant,
    /// We connect at this moment.
    Waiting(Instant),
    /// We are connecting, and give up at this moment.
    Connecting(Instant),
    Connected(Connection),
}

#[derive(Clone, Debug)]
pub struct PeerFsm {
    config: Arc<PeerConfig>,
    /// For the next OPEN.
    pub restart: Restart,
    retries: Retries,
    phase: Phase,
    is_stopped: bool,
    bfd: BfdTracker,
}

impl PeerFsm {
    /// A peer that is stopped until [`PeerEvent::Start`].
    pub fn new(config: Arc<PeerConfig>, restart: Restart, jitter: Jitter) -> Self {
        let retries = Retries::new(config.connect_retry, jitter);
        Self {
            config,
            restart,
            retries,
            phase: Phase::Idle(None),
            is_stopped: true,
            bfd: BfdTracker::default(),
        }
    }

    pub fn state(&self) -> State {
        let Phase::Open { calling, incoming } = &self.phase else { return State::Idle };
        let calling = match calling {
            OutgoingState::Dormant | OutgoingState::Waiting(_) => State::Active,
            OutgoingState::Connecting(_) => State::Connect,
            OutgoingState::Connected(connection) => connection.state(),
        };
        // Of two connections the one that is further.
        incoming.as_ref().map_or(calling, |incoming| incoming.state().max(calling))
    }

    pub fn next_deadline(&self) -> Option<Instant> {
        let Phase::Open { calling, incoming } = &self.phase else {
            return if let Phase::Idle(until) = self.phase { until } else { None };
        };
        let calling = match calling {
            OutgoingState::Dormant => None,
            OutgoingState::Waiting(until) | OutgoingState::Connecting(until) => Some(*until),
            OutgoingState::Connected(connection) => connection.next_deadline(),
        };
        let incoming = incoming.as_ref().and_then(Connection::next_deadline);
        [calling, incoming].into_iter().flatten().min()
    }

    /// Does BFD hold the session down, which would come up without it?
    pub fn is_held_down(&self) -> bool {
        self.bfd.is_down() && !self.is_stopped
    }

    /// Do AS numbers in UPDATEs on that connection have four bytes?
    pub fn has_four_octet_as(&self, role: ConnectionRole) -> bool {
        let negotiated = self.connection(role).and_then(Connection::negotiated);
        negotiated.is_none_or(|negotiated| negotiated.four_octet_as)
    }

    #[cfg(test)]
    pub fn hold_deadline(&self, role: ConnectionRole) -> Option<Instant> {
        self.connection(role).and_then(Connection::hold_deadline)
    }

    /// Was a hold time negotiated?
    #[cfg(test)]
    pub fn has_hold_time(&self, role: ConnectionRole) -> bool {
        let negotiated = self.connection(role).and_then(Connection::negotiated);
        negotiated.is_some_and(|negotiated| negotiated.hold_time.is_some())
    }

    pub fn process(&mut self, input: PeerEvent, now: Instant) -> Vec<PeerAction> {
        let mut out = Vec::new();
        match input {
            PeerEvent::Start => self.on_start(now, &mut out),
            PeerEvent::Stop(notification) => {
                self.is_stopped = true;
                self.go_idle(&notification, now, &mut out);
            }
            PeerEvent::Bfd(status) => self.on_bfd(status, now, &mut out),
            PeerEvent::Connected => self.on_connected(now, &mut out),
            PeerEvent::ConnectFailed(why) => self.on_connect_failed(why, now, &mut out),
            PeerEvent::Accepted => self.on_accepted(now, &mut out),
            PeerEvent::Found => self.on_found(now, &mut out),
            PeerEvent::Of(role, event) => self.process_connection(role, event, now, &mut out),
            PeerEvent::Timer => self.on_timer(now, &mut out),
        }
        out
    }

    fn connection(&self, role: ConnectionRole) -> Option<&Connection> {
        match (&self.phase, role) {
            (Phase::Open { calling: OutgoingState::Connected(connection), .. }, ConnectionRole::Outgoing) => {
                Some(connection)
            }
            (Phase::Open { incoming, .. }, ConnectionRole::Incoming) => incoming.as_ref(),
            _ => None,
        }
    }

    fn connection_mut(&mut self, role: ConnectionRole) -> Option<&mut Connection> {
        match (&mut self.phase, role) {
            (Phase::Open { calling: OutgoingState::Connected(connection), .. }, ConnectionRole::Outgoing) => {
                Some(connection)
            }
            (Phase::Open { incoming, .. }, ConnectionRole::Incoming) => incoming.as_mut(),
            _ => None,
        }
    }

    /// The connection that is established.
    fn established_connection(&self) -> Option<(ConnectionRole, &Connection)> {
        ConnectionRole::BOTH.into_iter().find_map(|role| {
            let connection = self.connection(role)?;
            (connection.state() == State::Established).then_some((role, connection))
        })
    }

    fn on_start(&mut self, now: Instant, out: &mut Vec<PeerAction>) {
        // While we were stopped, a peer that speaks BFD only beside BGP had to fall silent: that is
        // no failure, and it says nothing more before we call it.
        if std::mem::take(&mut self.is_stopped) && self.bfd.is_silent() {
            self.bfd.release_hold();
        }
        self.leave_idle(now, out);
    }

    /// Leaves Idle unless the peer is stopped or held down.
    fn leave_idle(&mut self, now: Instant, out: &mut Vec<PeerAction>) {
        let may = !self.is_stopped && !self.bfd.is_down();
        if may && matches!(self.phase, Phase::Idle(None)) {
            self.enter_open(now, out);
        }
    }

    fn enter_open(&mut self, now: Instant, out: &mut Vec<PeerAction>) {
        self.retries.record_success();
        self.phase = Phase::Open { calling: self.begin_call(now, out), incoming: None };
    }

    fn begin_call(&self, now: Instant, out: &mut Vec<PeerAction>) -> OutgoingState {
        if self.config.passive {
            return OutgoingState::Dormant;
        }
        out.push(PeerAction::Connect);
        OutgoingState::Connecting(now + self.retries.connect_timeout())
    }

    /// Are we connecting, or waiting to?
    fn is_about_to_call(&self) -> bool {
        let Phase::Open { calling, .. } = &self.phase else { return false };
        matches!(calling, OutgoingState::Waiting(_) | OutgoingState::Connecting(_))
    }

    fn wait_to_call(&self, until: Instant) -> OutgoingState {
        if self.config.passive { OutgoingState::Dormant } else { OutgoingState::Waiting(until) }
    }

    /// Ends all connections and stays in Idle.
    fn go_idle(&mut self, notification: &Notification, now: Instant, out: &mut Vec<PeerAction>) {
        for role in ConnectionRole::BOTH {
            let stop = ConnectionEvent::Stop(notification.clone());
            if let Some(Err(end)) = self.connection_mut(role).map(|connection| connection.process(stop, now))
            {
                self.hang_up(role, end, now, out);
            }
        }
        self.abandon_attempt(out);
        self.phase = Phase::Idle(None);
        self.retries.reset();
    }

    fn abandon_attempt(&mut self, out: &mut Vec<PeerAction>) {
        if let Phase::Open { calling: calling @ OutgoingState::Connecting(_), .. } = &mut self.phase {
            *calling = OutgoingState::Dormant;
            out.push(PeerAction::Abandon);
        }
    }

    fn on_bfd(&mut self, status: Option<bfd::SessionStatus>, now: Instant, out: &mut Vec<PeerAction>) {
        let down = Notification::new(code::BFD_DOWN);
        match self.bfd.observe_status(status) {
            BfdEffect::Nothing => {}
            BfdEffect::Fall => self.go_idle(&down, now, out),
            BfdEffect::Rise => {
                self.set_idle_until(None);
                self.leave_idle(now, out);
            }
            BfdEffect::Flap if self.is_stopped => {}
            BfdEffect::Flap => {
                self.go_idle(&down, now, out);
                self.leave_idle(now, out);
            }
        }
        if !self.is_stopped && self.bfd.is_down() {
            self.set_idle_until(self.bfd.is_silent().then_some(now + BFD_SILENCE));
        }
    }

    /// In Idle, sets until when to stay there; a deadline that is already set stays.
    fn set_idle_until(&mut self, until: Option<Instant>) {
        if let Phase::Idle(before) = &mut self.phase {
            *before = until.map(|until| before.unwrap_or(until));
        }
    }

    fn on_connected(&mut self, now: Instant, out: &mut Vec<PeerAction>) {
        match self.phase {
            Phase::Open { calling: OutgoingState::Connecting(_), .. } => {
                let connection = self.begin_connection(ConnectionRole::Outgoing, now, out);
                if let Phase::Open { calling, .. } = &mut self.phase {
                    *calling = OutgoingState::Connected(connection);
                }
            }
            // The attempt was abandoned meanwhile.
            _ => out.push(PeerAction::Refuse(ConnectionRole::Outgoing)),
        }
    }

    fn begin_connection(
        &mut self,
        role: ConnectionRole,
        now: Instant,
        out: &mut Vec<PeerAction>,
    ) -> Connection {
        let jitter = self.retries.split_jitter();
        let (connection, open) = Connection::begin(self.config.clone(), self.restart, jitter, now);
        out.extend([PeerAction::Adopt(role), PeerAction::Send(role, open)]);
        connection
    }

    fn on_connect_failed(&mut self, why: String, now: Instant, out: &mut Vec<PeerAction>) {
        let Phase::Open { calling: OutgoingState::Connecting(_), .. } = self.phase else { return };
        let waiting = OutgoingState::Waiting(now + self.retries.record_failure());
        if let Phase::Open { calling, .. } = &mut self.phase {
            *calling = waiting;
        }
        out.push(PeerAction::Ended { role: None, was_established: false, cause: Cause::Lost(why) });
    }

    fn on_accepted(&mut self, now: Instant, out: &mut Vec<PeerAction>) {
        if let Some((role, connection)) = self.established_connection() {
            let is_late = connection.established_for(now) > Some(COLLISION_WINDOW);
            let restarts = connection.negotiated().is_some_and(|negotiated| negotiated.graceful_restart);
            if !(is_late && restarts) {
                out.push(PeerAction::Refuse(ConnectionRole::Incoming));
                // If the peer has lost the session, its TCP answers with a reset.
                out.push(PeerAction::Send(role, Message::KeepAlive));
                return;
            }
            // RFC 4724, section 4.2: the peer has restarted.
            self.replace_connection(role, "the peer has restarted and connected anew", now, out);
        } else if self.connection(ConnectionRole::Incoming).is_some() {
            self.replace_connection(ConnectionRole::Incoming, "the peer has connected anew", now, out);
        }
        if !matches!(self.phase, Phase::Open { .. }) {
            out.push(PeerAction::Refuse(ConnectionRole::Incoming));
            return;
        }
        let connection = self.begin_connection(ConnectionRole::Incoming, now, out);
        if let Phase::Open { incoming, .. } = &mut self.phase {
            *incoming = Some(connection);
        }
    }

    /// Closes a connection in favour of another that is about to begin.
    fn replace_connection(
        &mut self,
        role: ConnectionRole,
        why: &str,
        now: Instant,
        out: &mut Vec<PeerAction>,
    ) {
        self.hang_up(role, ConnectionEnd(Cause::Lost(why.to_owned())), now, out);
    }

    fn on_found(&mut self, now: Instant, out: &mut Vec<PeerAction>) {
        if let Phase::Open { calling: OutgoingState::Waiting(_), incoming: None } = self.phase {
            let next = self.begin_call(now, out);
            if let Phase::Open { calling, .. } = &mut self.phase {
                *calling = next;
            }
        }
    }

    fn on_timer(&mut self, now: Instant, out: &mut Vec<PeerAction>) {
        match &self.phase {
            Phase::Idle(Some(until)) if *until <= now => {
                self.bfd.release_hold();
                self.enter_open(now, out);
            }
            Phase::Open { calling: OutgoingState::Waiting(until), incoming } if *until <= now => {
                let next =
                    if incoming.is_some() { OutgoingState::Dormant } else { self.begin_call(now, out) };
                if let Phase::Open { calling, .. } = &mut self.phase {
                    *calling = next;
                }
            }
            Phase::Open { calling: OutgoingState::Connecting(until), .. } if *until <= now => {
                out.push(PeerAction::Abandon);
                self.on_connect_failed("no answer to the attempt to connect".into(), now, out);
            }
            _ => {}
        }
        for role in ConnectionRole::BOTH {
            self.process_connection(role, ConnectionEvent::Timer, now, out);
        }
    }

    fn process_connection(
        &mut self,
        role: ConnectionRole,
        event: ConnectionEvent,
        now: Instant,
        out: &mut Vec<PeerAction>,
    ) {
        // Events of a connection that is gone may still arrive.
        let Some(connection) = self.connection_mut(role) else { return };
        match connection.process(event, now) {
            Ok(ConnectionAction::Nothing) => {}
            Ok(ConnectionAction::Send(message)) => out.push(PeerAction::Send(role, message)),
            Ok(ConnectionAction::RouteMessage(message)) => out.push(PeerAction::RouteMessage(message)),
            Ok(ConnectionAction::Opened) => self.on_open(role, now, out),
            Ok(ConnectionAction::Established) => self.on_established(role, now, out),
            Err(end) => self.end_connection(role, end, now, out),
        }
    }

    fn on_established(&mut self, role: ConnectionRole, now: Instant, out: &mut Vec<PeerAction>) {
        if self.connection(role.other()).is_some() {
            self.close_for_collision(role.other(), now, out);
        }
        self.abandon_attempt(out);
        self.retries.record_success();
        if let Phase::Open { calling: calling @ OutgoingState::Waiting(_), .. } = &mut self.phase {
            *calling = OutgoingState::Dormant;
        }
        if let Some(negotiated) = self.connection(role).and_then(Connection::negotiated) {
            out.push(PeerAction::Up(role, negotiated.clone()));
        }
    }

    /// A connection has ended. If there is no other, we try again after a pause.
    fn end_connection(
        &mut self,
        role: ConnectionRole,
        end: ConnectionEnd,
        now: Instant,
        out: &mut Vec<PeerAction>,
    ) {
        let Some(connection) = self.connection(role) else { return };
        let lasted = connection.established_for(now);
        // Counts as a failure to connect only (RFC 4271, section 8.2.2, OpenSent): the peer
        // listens but does not want to be called, and may be about to call us.
        let was_refused =
            connection.state() == State::OpenSent && matches!(end, ConnectionEnd(Cause::Lost(_)));
        self.hang_up(role, end, now, out);
        if self.connection(role.other()).is_some() {
            return;
        }
        // A caller that hangs up before its OPEN, such as a health check, does not put off our call.
        if was_refused && self.is_about_to_call() {
            return;
        }
        self.abandon_attempt(out);
        let pause = if was_refused {
            Pause::Wait(self.retries.record_failure())
        } else {
            self.retries.record_end(lasted)
        };
        self.phase = match pause {
            Pause::Wait(wait) => Phase::Open { calling: self.wait_to_call(now + wait), incoming: None },
            Pause::Hold(hold) => Phase::Idle(Some(now + hold)),
        };
    }

    /// Sends the NOTIFICATION, if there is one, and closes the connection.
    fn hang_up(
        &mut self,
        role: ConnectionRole,
        ConnectionEnd(cause): ConnectionEnd,
        now: Instant,
        out: &mut Vec<PeerAction>,
    ) {
        let lasted = self.connection(role).and_then(|connection| connection.established_for(now));
        if let Cause::Sent(notification) = &cause {
            out.push(PeerAction::Send(role, Message::Notification(notification.clone())));
        }
        out.push(PeerAction::Close(role));
        out.push(PeerAction::Ended { role: Some(role), was_established: lasted.is_some(), cause });
        match (&mut self.phase, role) {
            (Phase::Open { calling, .. }, ConnectionRole::Outgoing) => *calling = OutgoingState::Dormant,
            (Phase::Open { incoming, .. }, ConnectionRole::Incoming) => *incoming = None,
            _ => {}
        }
    }
}
