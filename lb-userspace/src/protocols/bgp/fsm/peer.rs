//! A peer: two connections at most, and which of them to keep.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    Jitter,
    bfd::{Verdict, Watch},
    connection::{Cause, Connection, End, Event, Step},
    events::{Input, Output, Role},
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

/// For whoever has fallen silent in BFD, and may wait for BGP to speak it again.
const BFD_SILENCE: Duration = Duration::from_secs(10);
/// Connections made as long after another was established are no collision any more.
const COLLISION_WINDOW: Duration = Duration::from_secs(5);

#[derive(Clone, Debug)]
enum Phase {
    /// Nothing is begun and nobody let in, until then; none: until told.
    Idle(Option<Instant>),
    Open {
        calling: Calling,
        incoming: Option<Connection>,
    },
}

#[derive(Clone, Debug)]
enum Calling {
    /// We don't call: the peer is to, or has.
    Dormant,
    Waiting(Instant),
    Connecting(Instant),
    Talking(Connection),
}

#[derive(Clone, Debug)]
pub struct Peer {
    config: Arc<PeerConfig>,
    /// For the next OPEN.
    pub restart: Restart,
    retries: Retries,
    phase: Phase,
    is_stopped: bool,
    bfd: Watch,
}

impl Peer {
    /// Stopped until it is started.
    pub fn new(config: Arc<PeerConfig>, restart: Restart, jitter: Jitter) -> Self {
        let retries = Retries::new(config.connect_retry, jitter);
        Self { config, restart, retries, phase: Phase::Idle(None), is_stopped: true, bfd: Watch::default() }
    }

    pub fn state(&self) -> State {
        let Phase::Open { calling, incoming } = &self.phase else { return State::Idle };
        let calling = match calling {
            Calling::Dormant | Calling::Waiting(_) => State::Active,
            Calling::Connecting(_) => State::Connect,
            Calling::Talking(connection) => connection.state(),
        };
        // Of two, the one that is further.
        incoming.as_ref().map_or(calling, |incoming| incoming.state().max(calling))
    }

    pub fn next_deadline(&self) -> Option<Instant> {
        let Phase::Open { calling, incoming } = &self.phase else {
            return if let Phase::Idle(until) = self.phase { until } else { None };
        };
        let calling = match calling {
            Calling::Dormant => None,
            Calling::Waiting(until) | Calling::Connecting(until) => Some(*until),
            Calling::Talking(connection) => connection.next_deadline(),
        };
        let incoming = incoming.as_ref().and_then(Connection::next_deadline);
        [calling, incoming].into_iter().flatten().min()
    }

    /// By BFD.
    pub fn is_held_down(&self) -> bool {
        self.bfd.is_down()
    }

    /// May updates be read with ASes of four bytes on that connection?
    pub fn four_octet_as(&self, role: Role) -> bool {
        let negotiated = self.connection(role).and_then(Connection::negotiated);
        negotiated.is_none_or(|negotiated| negotiated.four_octet_as)
    }

    #[cfg(test)]
    pub fn hold_deadline(&self, role: Role) -> Option<Instant> {
        self.connection(role).and_then(Connection::hold_deadline)
    }

    /// Was a hold time agreed on?
    #[cfg(test)]
    pub fn expires(&self, role: Role) -> bool {
        let negotiated = self.connection(role).and_then(Connection::negotiated);
        negotiated.is_some_and(|negotiated| negotiated.hold_time.is_some())
    }

    pub fn process(&mut self, input: Input, now: Instant) -> Vec<Output> {
        let mut out = Vec::new();
        match input {
            Input::Start => {
                self.is_stopped = false;
                self.resume(now, &mut out);
            }
            Input::Stop(notification) => {
                self.is_stopped = true;
                self.fall(&notification, now, &mut out);
            }
            Input::Bfd(status) => self.bfd(status, now, &mut out),
            Input::Connected => self.connected(now, &mut out),
            Input::ConnectFailed(why) => self.connect_failed(why, now, &mut out),
            Input::Accepted => self.accepted(now, &mut out),
            Input::Found => self.found(now, &mut out),
            Input::Of(role, event) => self.event(role, event, now, &mut out),
            Input::Timer => self.timer(now, &mut out),
        }
        out
    }

    fn connection(&self, role: Role) -> Option<&Connection> {
        match (&self.phase, role) {
            (Phase::Open { calling: Calling::Talking(connection), .. }, Role::Outgoing) => Some(connection),
            (Phase::Open { incoming, .. }, Role::Incoming) => incoming.as_ref(),
            _ => None,
        }
    }

    fn connection_mut(&mut self, role: Role) -> Option<&mut Connection> {
        match (&mut self.phase, role) {
            (Phase::Open { calling: Calling::Talking(connection), .. }, Role::Outgoing) => Some(connection),
            (Phase::Open { incoming, .. }, Role::Incoming) => incoming.as_mut(),
            _ => None,
        }
    }

    /// Whichever is established.
    fn established(&self) -> Option<(Role, &Connection)> {
        Role::BOTH.into_iter().find_map(|role| {
            let connection = self.connection(role)?;
            (connection.state() == State::Established).then_some((role, connection))
        })
    }

    /// Leaves Idle if nothing forbids it.
    fn resume(&mut self, now: Instant, out: &mut Vec<Output>) {
        let may = !self.is_stopped && !self.bfd.is_down();
        if may && matches!(self.phase, Phase::Idle(None)) {
            self.open(now, out);
        }
    }

    fn open(&mut self, now: Instant, out: &mut Vec<Output>) {
        self.retries.succeeded();
        self.phase = Phase::Open { calling: self.call(now, out), incoming: None };
    }

    fn call(&self, now: Instant, out: &mut Vec<Output>) -> Calling {
        if self.config.passive {
            return Calling::Dormant;
        }
        out.push(Output::Connect);
        Calling::Connecting(now + self.retries.connect_timeout())
    }

    fn wait(&self, until: Instant) -> Calling {
        if self.config.passive { Calling::Dormant } else { Calling::Waiting(until) }
    }

    /// Ends everything and stays in Idle.
    fn fall(&mut self, notification: &Notification, now: Instant, out: &mut Vec<Output>) {
        for role in Role::BOTH {
            let stop = Event::Stop(notification.clone());
            if let Some(Err(end)) = self.connection_mut(role).map(|connection| connection.process(stop, now))
            {
                self.hang_up(role, end, now, out);
            }
        }
        self.abandon(out);
        self.phase = Phase::Idle(None);
        self.retries.forgive();
    }

    fn abandon(&mut self, out: &mut Vec<Output>) {
        if let Phase::Open { calling: calling @ Calling::Connecting(_), .. } = &mut self.phase {
            *calling = Calling::Dormant;
            out.push(Output::Abandon);
        }
    }

    fn bfd(&mut self, status: Option<bfd::Status>, now: Instant, out: &mut Vec<Output>) {
        let down = Notification::new(code::BFD_DOWN);
        match self.bfd.observe(status) {
            Verdict::Nothing => {}
            Verdict::Fall => self.fall(&down, now, out),
            Verdict::Rise => {
                self.hold(None);
                self.resume(now, out);
            }
            Verdict::Flap if self.is_stopped => {}
            Verdict::Flap => {
                self.fall(&down, now, out);
                self.resume(now, out);
            }
        }
        if !self.is_stopped && self.bfd.is_down() {
            self.hold(self.bfd.is_silent().then_some(now + BFD_SILENCE));
        }
    }

    /// Stay in Idle until then; a deadline that there is stays.
    fn hold(&mut self, until: Option<Instant>) {
        if let Phase::Idle(before) = &mut self.phase {
            *before = until.map(|until| before.unwrap_or(until));
        }
    }

    fn connected(&mut self, now: Instant, out: &mut Vec<Output>) {
        match self.phase {
            Phase::Open { calling: Calling::Connecting(_), .. } => {
                let connection = self.begin(Role::Outgoing, now, out);
                if let Phase::Open { calling, .. } = &mut self.phase {
                    *calling = Calling::Talking(connection);
                }
            }
            // It was abandoned meanwhile.
            _ => out.push(Output::Refuse(Role::Outgoing)),
        }
    }

    fn begin(&mut self, role: Role, now: Instant, out: &mut Vec<Output>) -> Connection {
        let jitter = self.retries.jitter();
        let (connection, open) = Connection::begin(self.config.clone(), self.restart, jitter, now);
        out.extend([Output::Adopt(role), Output::Send(role, open)]);
        connection
    }

    fn connect_failed(&mut self, why: String, now: Instant, out: &mut Vec<Output>) {
        let Phase::Open { calling: Calling::Connecting(_), .. } = self.phase else { return };
        let waiting = Calling::Waiting(now + self.retries.failed());
        if let Phase::Open { calling, .. } = &mut self.phase {
            *calling = waiting;
        }
        out.push(Output::Ended { role: None, was_established: false, cause: Cause::Lost(why) });
    }

    fn accepted(&mut self, now: Instant, out: &mut Vec<Output>) {
        if let Some((role, connection)) = self.established() {
            let is_late = connection.established_for(now) > Some(COLLISION_WINDOW);
            let restarts = connection.negotiated().is_some_and(|negotiated| negotiated.graceful_restart);
            if !(is_late && restarts) {
                out.push(Output::Refuse(Role::Incoming));
                // Should the peer have lost the session, its TCP will say so.
                out.push(Output::Send(role, Message::KeepAlive));
                return;
            }
            // RFC 4724, 4.2: it has restarted.
            self.replace(role, "the peer has restarted and connected anew", now, out);
        } else if self.connection(Role::Incoming).is_some() {
            self.replace(Role::Incoming, "the peer has connected anew", now, out);
        }
        if !matches!(self.phase, Phase::Open { .. }) {
            out.push(Output::Refuse(Role::Incoming));
            return;
        }
        let connection = self.begin(Role::Incoming, now, out);
        if let Phase::Open { incoming, .. } = &mut self.phase {
            *incoming = Some(connection);
        }
    }

    /// Drops a connection for another that is about to begin.
    fn replace(&mut self, role: Role, why: &str, now: Instant, out: &mut Vec<Output>) {
        self.hang_up(role, End(Cause::Lost(why.to_owned())), now, out);
    }

    fn found(&mut self, now: Instant, out: &mut Vec<Output>) {
        if let Phase::Open { calling: Calling::Waiting(_), incoming: None } = self.phase {
            let next = self.call(now, out);
            if let Phase::Open { calling, .. } = &mut self.phase {
                *calling = next;
            }
        }
    }

    fn timer(&mut self, now: Instant, out: &mut Vec<Output>) {
        match &self.phase {
            Phase::Idle(Some(until)) if *until <= now => {
                self.bfd.forgive();
                self.open(now, out);
            }
            Phase::Open { calling: Calling::Waiting(until), incoming } if *until <= now => {
                let next = if incoming.is_some() { Calling::Dormant } else { self.call(now, out) };
                if let Phase::Open { calling, .. } = &mut self.phase {
                    *calling = next;
                }
            }
            Phase::Open { calling: Calling::Connecting(until), .. } if *until <= now => {
                out.push(Output::Abandon);
                self.connect_failed("no answer to the attempt to connect".into(), now, out);
            }
            _ => {}
        }
        for role in Role::BOTH {
            self.event(role, Event::Timer, now, out);
        }
    }

    fn event(&mut self, role: Role, event: Event, now: Instant, out: &mut Vec<Output>) {
        // Events of connections that are gone may still be under way.
        let Some(connection) = self.connection_mut(role) else { return };
        match connection.process(event, now) {
            Ok(Step::Nothing) => {}
            Ok(Step::Send(message)) => out.push(Output::Send(role, message)),
            Ok(Step::Deliver(message)) => out.push(Output::Deliver(message)),
            Ok(Step::Opened) => self.opened(role, now, out),
            Ok(Step::Established) => self.up(role, now, out),
            Err(end) => self.end(role, end, now, out),
        }
    }

    /// Theirs is a good OPEN: is this the connection to keep (RFC 4271, 6.8)?
    fn opened(&mut self, role: Role, now: Instant, out: &mut Vec<Output>) {
        let rival = self.connection(role.other()).map_or(State::Idle, Connection::state);
        let loser = match rival {
            State::Established => Some(role),
            State::OpenConfirm if self.wins(role) => Some(Role::Incoming),
            State::OpenConfirm => Some(Role::Outgoing),
            _ => None,
        };
        if let Some(loser) = loser {
            self.collide(loser, now, out);
        }
        if loser != Some(role) {
            out.push(Output::Send(role, Message::KeepAlive));
        }
    }

    /// Does the connection that we made stay? The higher identifier decides, or
    /// the higher AS (RFC 6286, 2.3).
    fn wins(&self, role: Role) -> bool {
        let theirs = self.connection(role).and_then(Connection::negotiated);
        let theirs = theirs.map(|theirs| (theirs.peer_id, theirs.peer_as));
        Some((self.config.router_id, self.config.local_as)) > theirs
    }

    fn collide(&mut self, loser: Role, now: Instant, out: &mut Vec<Output>) {
        self.hang_up(loser, End::saying(Notification::new(code::COLLISION_RESOLUTION)), now, out);
    }

    fn up(&mut self, role: Role, now: Instant, out: &mut Vec<Output>) {
        if self.connection(role.other()).is_some() {
            self.collide(role.other(), now, out);
        }
        self.abandon(out);
        self.retries.succeeded();
        if let Phase::Open { calling: calling @ Calling::Waiting(_), .. } = &mut self.phase {
            *calling = Calling::Dormant;
        }
        if let Some(negotiated) = self.connection(role).and_then(Connection::negotiated) {
            out.push(Output::Up(role, negotiated.clone()));
        }
    }

    /// A connection ended: the other may go on, else it begins anew in a while.
    fn end(&mut self, role: Role, end: End, now: Instant, out: &mut Vec<Output>) {
        let Some(connection) = self.connection(role) else { return };
        let lasted = connection.established_for(now);
        // No more than a failure to connect (RFC 4271, 8.2.2, OpenSent): somebody listens there
        // who does not want to be called, and may be about to call.
        let was_refused = connection.state() == State::OpenSent && matches!(end, End(Cause::Lost(_)));
        self.hang_up(role, end, now, out);
        if self.connection(role.other()).is_some() {
            return;
        }
        self.abandon(out);
        let pause = if was_refused { Pause::Wait(self.retries.failed()) } else { self.retries.ended(lasted) };
        self.phase = match pause {
            Pause::Wait(wait) => Phase::Open { calling: self.wait(now + wait), incoming: None },
            Pause::Hold(hold) => Phase::Idle(Some(now + hold)),
        };
    }

    /// Says the last word and takes the connection out.
    fn hang_up(&mut self, role: Role, End(cause): End, now: Instant, out: &mut Vec<Output>) {
        let lasted = self.connection(role).and_then(|connection| connection.established_for(now));
        if let Cause::Sent(notification) = &cause {
            out.push(Output::Send(role, Message::Notification(notification.clone())));
        }
        out.push(Output::Close(role));
        out.push(Output::Ended { role: Some(role), was_established: lasted.is_some(), cause });
        match (&mut self.phase, role) {
            (Phase::Open { calling, .. }, Role::Outgoing) => *calling = Calling::Dormant,
            (Phase::Open { incoming, .. }, Role::Incoming) => *incoming = None,
            _ => {}
        }
    }
}
