//! One TCP connection, from our OPEN to its end.

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

/// For how long an OPEN is waited for (RFC 4271, 8.2.2: a "large value").
const OPEN_HOLD: Duration = Duration::from_secs(240);
/// The same for somebody who reads nothing, where no hold time is negotiated (RFC 9687,
/// section 6). Else it is twice the hold time, which such a peer keeps alive by what it
/// sends: the RFC's eight minutes at least would be long for routes to VIPs.
const SEND_HOLD: Duration = Duration::from_secs(480);

/// What happens to a connection.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    Received(Message),
    /// What was received can't be read: what to tell the peer.
    Unreadable(Notification),
    /// TCP ended.
    Lost(String),
    /// The peer's TCP took something of what we send, or nothing is left to send.
    Wrote {
        progress: bool,
        pending: bool,
    },
    /// A deadline may have passed.
    Timer,
    /// We want it to end.
    Stop(Notification),
}

/// What comes of it, other than the end.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Step {
    Nothing,
    Send(Message),
    /// Their OPEN is good: answer with KEEPALIVE, unless another connection wins.
    Opened,
    Established,
    /// For whoever deals with routes.
    Deliver(Message),
}

/// Why a connection, or the attempt to make one, came to nothing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Cause {
    Sent(Notification),
    Received(Notification),
    /// TCP failed.
    Lost(String),
}

/// It is over.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct End(pub Cause);

impl End {
    /// With a last word of ours.
    pub fn saying(notification: Notification) -> Self {
        Self(Cause::Sent(notification))
    }
}

/// Each state owns what is valid in it; there is none for the end, as nothing is left then.
#[derive(Clone, Debug)]
enum Stage {
    OpenSent { hold: Instant },
    OpenConfirm(Session),
    Established { session: Session, since: Instant },
}

#[derive(Clone, Debug)]
struct Session {
    negotiated: Arc<Negotiated>,
    /// None: neither expires (hold time 0).
    timers: Option<Timers>,
}

#[derive(Clone, Debug)]
struct Timers {
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
    /// TCP is there: the OPEN to send.
    pub fn begin(config: Arc<PeerConfig>, restart: Restart, jitter: Jitter, now: Instant) -> (Self, Message) {
        let open = negotiate::open(&config, restart);
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

    /// From OpenConfirm on.
    pub fn negotiated(&self) -> Option<&Arc<Negotiated>> {
        self.session().map(|session| &session.negotiated)
    }

    /// For how long it has been established.
    pub fn established_for(&self, now: Instant) -> Option<Duration> {
        match &self.stage {
            Stage::Established { since, .. } => Some(now.saturating_duration_since(*since)),
            _ => None,
        }
    }

    /// When [`Event::Timer`] is due.
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

    pub fn process(&mut self, event: Event, now: Instant) -> Result<Step, End> {
        match event {
            Event::Received(message) => self.received(message, now),
            Event::Unreadable(notification) => Err(End::saying(notification)),
            Event::Lost(why) => Err(End(Cause::Lost(why))),
            Event::Wrote { progress, pending } => {
                self.wrote(progress, pending, now);
                Ok(Step::Nothing)
            }
            Event::Timer => self.timer(now),
            Event::Stop(notification) => Err(End::saying(self.hardened(notification))),
        }
    }

    fn session(&self) -> Option<&Session> {
        match &self.stage {
            Stage::OpenSent { .. } => None,
            Stage::OpenConfirm(session) | Stage::Established { session, .. } => Some(session),
        }
    }

    fn received(&mut self, message: Message, now: Instant) -> Result<Step, End> {
        if let Message::Notification(notification) = message {
            return Err(End(Cause::Received(notification)));
        }
        match (&mut self.stage, message) {
            (Stage::OpenSent { .. }, Message::Open(open)) => {
                let negotiated = negotiate::negotiate(&self.config, &open).map_err(End::saying)?;
                self.stage = Stage::OpenConfirm(self.session_of(negotiated, now));
                Ok(Step::Opened)
            }
            (Stage::OpenConfirm(session), Message::KeepAlive) => {
                session.heard(now);
                self.stage = Stage::Established { session: session.clone(), since: now };
                Ok(Step::Established)
            }
            (Stage::Established { session, .. }, Message::KeepAlive) => {
                session.heard(now);
                Ok(Step::Nothing)
            }
            (Stage::Established { session, .. }, message @ Message::Update(_)) => {
                session.heard(now);
                Ok(Step::Deliver(message))
            }
            (Stage::Established { .. }, message @ Message::RouteRefresh(_)) => Ok(Step::Deliver(message)),
            (_, message) => Err(self.unexpected(&message)),
        }
    }

    /// RFC 6608
    fn unexpected(&self, message: &Message) -> End {
        let code = match self.stage {
            Stage::OpenSent { .. } => code::UNEXPECTED_IN_OPEN_SENT,
            Stage::OpenConfirm(_) => code::UNEXPECTED_IN_OPEN_CONFIRM,
            Stage::Established { .. } => code::UNEXPECTED_IN_ESTABLISHED,
        };
        End::saying(Notification::with(code, [message.number()]))
    }

    fn timer(&mut self, now: Instant) -> Result<Step, End> {
        if self.send_hold.is_some_and(|deadline| deadline <= now) {
            return Err(End::saying(Notification::new(code::SEND_HOLD_TIMER_EXPIRED)));
        }
        let session = match &mut self.stage {
            Stage::OpenSent { hold } if *hold <= now => return Err(expired()),
            Stage::OpenSent { .. } => return Ok(Step::Nothing),
            Stage::OpenConfirm(session) | Stage::Established { session, .. } => session,
        };
        match &mut session.timers {
            Some(timers) if timers.hold <= now => Err(expired()),
            Some(timers) if timers.keepalive <= now => {
                let interval = session.negotiated.keepalive(&self.config);
                timers.keepalive = now + self.jitter.apply(interval);
                Ok(Step::Send(Message::KeepAlive))
            }
            _ => Ok(Step::Nothing),
        }
    }

    fn wrote(&mut self, progress: bool, pending: bool, now: Instant) {
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

    fn session_of(&mut self, negotiated: Negotiated, now: Instant) -> Session {
        let timers = negotiated.hold_time.map(|hold| Timers {
            hold: now + hold,
            keepalive: now + self.jitter.apply(negotiated.keepalive(&self.config)),
        });
        Session { negotiated: Arc::new(negotiated), timers }
    }

    /// RFC 8538, section 3: what is meant for good must not leave stale routes behind.
    fn hardened(&self, notification: Notification) -> Notification {
        const FOR_GOOD: [(u8, u8); 3] =
            [code::ADMINISTRATIVE_SHUTDOWN, code::PEER_DECONFIGURED, code::BFD_DOWN];
        let keeps_routes = self.negotiated().is_some_and(|negotiated| negotiated.hard_reset);
        if keeps_routes && FOR_GOOD.contains(&notification.code) { notification.hard() } else { notification }
    }
}

impl Session {
    fn heard(&mut self, now: Instant) {
        if let (Some(timers), Some(hold)) = (&mut self.timers, self.negotiated.hold_time) {
            timers.hold = now + hold;
        }
    }
}

impl Negotiated {
    /// At most a third of the hold time, and no more than one each second (RFC 4271, 4.4).
    fn keepalive(&self, config: &PeerConfig) -> Duration {
        let third = self.hold_time.unwrap_or(SEND_HOLD) / 3;
        config.keepalive.map_or(third, |configured| configured.min(third)).max(Duration::from_secs(1))
    }
}

fn expired() -> End {
    End::saying(Notification::new(code::HOLD_TIMER_EXPIRED))
}
