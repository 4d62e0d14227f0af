//! The state machine of one TCP connection, from our OPEN to its end.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    Jitter,
    negotiate::{self, Negotiated, Restart},
};
use crate::protocols::bgp::{
    State,
    config::PeerConfig,
    wire::{Message, Notification, code},
};

/// How long to wait for the peer's OPEN (RFC 4271, section 8.2.2: a "large value").
const OPEN_HOLD: Duration = Duration::from_secs(240);
/// How long a peer may read nothing if no hold time is negotiated (RFC 9687, section 6).
/// With a hold time it is twice that. The RFC wants eight minutes at least, which would be
/// too long for routes to VIPs.
const SEND_HOLD: Duration = Duration::from_secs(480);

/// An event of a connection.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ConnectionEvent {
    Received(Message),
    /// A message can't be decoded: the NOTIFICATION to send.
    Unreadable(Notification),
    /// The TCP connection has ended, and why.
    Lost(String),
    /// Something was written. `progress`: the peer's TCP took some bytes; `pending`: others are
    /// left.
    Wrote {
        progress: bool,
        pending: bool,
    },
    /// A deadline may have passed.
    Timer,
    /// We end the connection with this NOTIFICATION.
    Stop(Notification),
}

/// The result of an event after which the connection goes on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ConnectionAction {
    Nothing,
    Send(Message),
    /// The peer's OPEN is acceptable: answer with KEEPALIVE, unless a collision is lost.
    Opened,
    Established,
    /// An UPDATE or ROUTE-REFRESH.
    RouteMessage(Message),
}

/// Why a connection, or an attempt to make one, has ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Cause {
    Sent(Notification),
    Received(Notification),
    /// TCP failed.
    Lost(String),
}

/// The end of a connection.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConnectionEnd(pub Cause);

impl ConnectionEnd {
    /// We end it with this NOTIFICATION.
    pub fn sending(notification: Notification) -> Self {
        Self(Cause::Sent(notification))
    }
}

/// The state, with the data that is valid in it. There is none for the end: an ended
/// connection is dropped.
#[derive(Clone, Debug)]
enum Stage {
    OpenSent { hold: Instant },
    OpenConfirm(AgreedSession),
    Established { session: AgreedSession, since: Instant },
}

#[derive(Clone, Debug)]
struct AgreedSession {
    negotiated: Arc<Negotiated>,
    /// None: neither expires (hold time 0).
    timers: Option<SessionTimers>,
}

#[derive(Clone, Debug)]
struct SessionTimers {
    hold: Instant,
    keepalive: Instant,
}

#[derive(Clone, Debug)]
pub struct Connection {
    config: Arc<PeerConfig>,
    jitter: Jitter,
    stage: Stage,
    /// When to give up on a peer that reads nothing (RFC 9687).
    send_hold: Option<Instant>,
}

impl Connection {
    /// A TCP connection has been made; returns the OPEN to send.
    pub fn begin(config: Arc<PeerConfig>, restart: Restart, jitter: Jitter, now: Instant) -> (Self, Message) {
        let open = negotiate::our_open(&config, restart);
        let stage = Stage::OpenSent { hold: now + OPEN_HOLD };
        (Self { config, jitter, stage, send_hold: None }, Message::Open(open))
    }

    pub fn state(&self) -> State {
        match self.stage {
            Stage::OpenSent { .. } => State::OpenSent,
            Stage::OpenConfirm(_) => State::OpenConfirm,
            Stage::Established { .. } => State::Established,
        }
    }

    /// What was negotiated; None before OpenConfirm.
    pub fn negotiated(&self) -> Option<&Arc<Negotiated>> {
        self.session().map(|session| &session.negotiated)
    }

    /// How long it has been established; None if it is not.
    pub fn established_for(&self, now: Instant) -> Option<Duration> {
        match &self.stage {
            Stage::Established { since, .. } => Some(now.saturating_duration_since(*since)),
            _ => None,
        }
    }

    /// When [`ConnectionEvent::Timer`] is due.
    pub fn next_deadline(&self) -> Option<Instant> {
        let hold = match &self.stage {
            Stage::OpenSent { hold } => Some(*hold),
            _ => None,
        };
        let timers = self.session().and_then(|session| session.timers.as_ref());
        let timers = timers.map(|timers| timers.hold.min(timers.keepalive));
        [hold, timers, self.send_hold].into_iter().flatten().min()
    }

    #[cfg(test)]
    pub fn hold_deadline(&self) -> Option<Instant> {
        self.session().and_then(|session| session.timers.as_ref()).map(|timers| timers.hold)
    }

    pub fn process(
        &mut self,
        event: ConnectionEvent,
        now: Instant,
    ) -> Result<ConnectionAction, ConnectionEnd> {
        match event {
            ConnectionEvent::Received(message) => self.on_message(message, now),
            ConnectionEvent::Unreadable(notification) => Err(ConnectionEnd::sending(notification)),
            ConnectionEvent::Lost(why) => Err(ConnectionEnd(Cause::Lost(why))),
            ConnectionEvent::Wrote { progress, pending } => {
                self.on_wrote(progress, pending, now);
                Ok(ConnectionAction::Nothing)
            }
            ConnectionEvent::Timer => self.on_timer(now),
            ConnectionEvent::Stop(notification) => {
                Err(ConnectionEnd::sending(self.harden_notification(notification)))
            }
        }
    }

    fn session(&self) -> Option<&AgreedSession> {
        match &self.stage {
            Stage::OpenSent { .. } => None,
            Stage::OpenConfirm(session) | Stage::Established { session, .. } => Some(session),
        }
    }

    fn on_message(&mut self, message: Message, now: Instant) -> Result<ConnectionAction, ConnectionEnd> {
        if let Message::Notification(notification) = message {
            return Err(ConnectionEnd(Cause::Received(notification)));
        }
        match (&mut self.stage, message) {
            (Stage::OpenSent { .. }, Message::Open(open)) => {
                let negotiated = negotiate::negotiate(&self.config, &open).map_err(ConnectionEnd::sending)?;
                self.stage = Stage::OpenConfirm(self.begin_session(negotiated, now));
                Ok(ConnectionAction::Opened)
            }
            (Stage::OpenConfirm(session), Message::KeepAlive) => {
                session.restart_hold_timer(now);
                self.stage = Stage::Established { session: session.clone(), since: now };
                Ok(ConnectionAction::Established)
            }
            (Stage::Established { session, .. }, Message::KeepAlive) => {
                session.restart_hold_timer(now);
                Ok(ConnectionAction::Nothing)
            }
            (Stage::Established { session, .. }, message @ Message::Update(_)) => {
                session.restart_hold_timer(now);
                Ok(ConnectionAction::RouteMessage(message))
            }
            (Stage::Established { .. }, message @ Message::RouteRefresh(_)) => {
                Ok(ConnectionAction::RouteMessage(message))
            }
            (_, message) => Err(self.unexpected_message(&message)),
        }
    }

    /// The end upon a message that is not allowed in this state (RFC 6608).
    fn unexpected_message(&self, message: &Message) -> ConnectionEnd {
        let code = match self.stage {
            Stage::OpenSent { .. } => code::UNEXPECTED_IN_OPEN_SENT,
            Stage::OpenConfirm(_) => code::UNEXPECTED_IN_OPEN_CONFIRM,
            Stage::Established { .. } => code::UNEXPECTED_IN_ESTABLISHED,
        };
        ConnectionEnd::sending(Notification::with_data(code, [message.type_number()]))
    }

    fn on_timer(&mut self, now: Instant) -> Result<ConnectionAction, ConnectionEnd> {
        if self.send_hold.is_some_and(|deadline| deadline <= now) {
            return Err(ConnectionEnd::sending(Notification::new(code::SEND_HOLD_TIMER_EXPIRED)));
        }
        let session = match &mut self.stage {
            Stage::OpenSent { hold } if *hold <= now => return Err(hold_timer_expired()),
            Stage::OpenSent { .. } => return Ok(ConnectionAction::Nothing),
            Stage::OpenConfirm(session) | Stage::Established { session, .. } => session,
        };
        match &mut session.timers {
            Some(timers) if timers.hold <= now => Err(hold_timer_expired()),
            Some(timers) if timers.keepalive <= now => {
                let interval = session.negotiated.keepalive_interval(&self.config);
                timers.keepalive = now + self.jitter.apply(interval);
                Ok(ConnectionAction::Send(Message::KeepAlive))
            }
            _ => Ok(ConnectionAction::Nothing),
        }
    }

    fn on_wrote(&mut self, progress: bool, pending: bool, now: Instant) {
        let hold = match self.session() {
            Some(session) => session.negotiated.hold_time.map_or(SEND_HOLD, |hold| 2 * hold),
            None => OPEN_HOLD,
        };
        self.send_hold = match self.send_hold {
            _ if !pending => None,
            Some(deadline) if !progress => Some(deadline),
            _ => Some(now + hold),
        };
    }

    fn begin_session(&mut self, negotiated: Negotiated, now: Instant) -> AgreedSession {
        let timers = negotiated.hold_time.map(|hold| SessionTimers {
            hold: now + hold,
            keepalive: now + self.jitter.apply(negotiated.keepalive_interval(&self.config)),
        });
        AgreedSession { negotiated: Arc::new(negotiated), timers }
    }

    /// Turns a NOTIFICATION that ends the session for good into a Hard Reset, so that the peer
    /// keeps no stale routes (RFC 8538, section 3).
    fn harden_notification(&self, notification: Notification) -> Notification {
        const FOR_GOOD: [(u8, u8); 3] =
            [code::ADMINISTRATIVE_SHUTDOWN, code::PEER_DECONFIGURED, code::BFD_DOWN];
        let keeps_routes = self.negotiated().is_some_and(|negotiated| negotiated.hard_reset);
        if keeps_routes && FOR_GOOD.contains(&notification.code) {
            notification.into_hard_reset()
        } else {
            notification
        }
    }
}

impl AgreedSession {
    fn restart_hold_timer(&mut self, now: Instant) {
        if let (Some(timers), Some(hold)) = (&mut self.timers, self.negotiated.hold_time) {
            timers.hold = now + hold;
        }
    }
}

impl Negotiated {
    /// Time between KEEPALIVEs: at most a third of the hold time, at least a second (RFC 4271,
    /// section 4.4).
    fn keepalive_interval(&self, config: &PeerConfig) -> Duration {
        let third = self.hold_time.unwrap_or(SEND_HOLD) / 3;
        config.keepalive.map_or(third, |configured| configured.min(third)).max(Duration::from_secs(1))
    }
}

fn hold_timer_expired() -> ConnectionEnd {
    ConnectionEnd::sending(Notification::new(code::HOLD_TIMER_EXPIRED))
}
