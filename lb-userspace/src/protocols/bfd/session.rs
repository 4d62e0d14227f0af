//! One session in asynchronous mode (RFC 5880, section 6). No IO: packets and the
//! time are passed in, packets to send are returned.
//!
//! ```text
//!                             +--+
//!                             |  | UP, ADMIN DOWN, TIMER
//!                             |  V
//!                     DOWN  +------+  INIT
//!              +------------|      |------------+
//!              |            | DOWN |            |
//!              |  +-------->|      |<--------+  |
//!              |  |         +------+         |  |
//!              |  |                          |  |
//!              |  |               ADMIN DOWN,|  |
//!              |  |ADMIN DOWN,          DOWN,|  |
//!              |  |TIMER                TIMER|  |
//!              V  |                          |  V
//!            +------+                      +------+
//!       +----|      |                      |      |----+
//!   DOWN|    | INIT |--------------------->|  UP  |    |INIT, UP
//!       +--->|      | INIT, UP             |      |<---+
//!            +------+                      +------+
//! ```

use std::time::{Duration, Instant};

use super::{
    Profile, SessionState, SessionStatus,
    wire::{ControlPacket, Diagnostic},
};
use crate::hash::Random;

/// The smallest Desired Min TX Interval of a session that is not up (section 6.8.3).
const SLOW: Duration = Duration::from_secs(1);
/// The smallest Desired Min TX Interval of a session that is up, whatever its profile
/// says, so that nobody is flooded.
const FASTEST: Duration = Duration::from_millis(10);
/// The time in which all AdminDown packets are sent.
const ADMIN_DOWN_TIME: Duration = Duration::from_secs(1);
/// The least number of AdminDown packets, since some may be lost.
const MIN_ADMIN_DOWN_PACKETS: u8 = 3;

/// What happens to a session.
#[derive(Clone, Copy, Debug)]
pub enum SessionInput {
    /// A packet from the other side.
    Packet(ControlPacket),
    /// The deadline has come.
    Timer,
    /// The session is to use this profile from now on.
    Profile(Profile),
    /// The session is wanted no longer: tell the other side, and end.
    Stop,
}

pub struct BfdSession {
    profile: Profile,
    /// Our discriminator.
    mine: u32,
    state: SessionState,
    diagnostic: Diagnostic,
    downs: u64,
    remote: RemoteSide,
    /// When the last packet came; None if none has within the detection time.
    heard: Option<Instant>,
    /// The intervals in our packets.
    announced: Intervals,
    /// During a Poll Sequence the intervals of before it, else the announced ones.
    settled: Intervals,
    is_polling: bool,
    sent: Option<Instant>,
    /// When the next packet is due, and the interval that `due` was computed from.
    due: Option<Instant>,
    interval: Option<Duration>,
    admin_down: Option<AdminDownRepeats>,
    random: Random,
}

/// What the other side has said of itself.
#[derive(Clone, Copy)]
struct RemoteSide {
    /// 0: not known.
    discriminator: u32,
    state: SessionState,
    multiplier: u8,
    transmit: Duration,
    receive: Duration,
    is_demand: bool,
}

impl RemoteSide {
    /// The initial values (section 6.8.1).
    fn unknown(state: SessionState) -> Self {
        let least = Duration::from_micros(1);
        Self { discriminator: 0, state, multiplier: 1, transmit: least, receive: least, is_demand: false }
    }
}

/// Desired Min TX and Required Min RX Interval.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Intervals {
    transmit: Duration,
    receive: Duration,
}

#[derive(Clone, Copy)]
struct AdminDownRepeats {
    left: u8,
    interval: Duration,
}

impl BfdSession {
    /// `discriminator` must not be zero, nor that of another session.
    pub fn new(discriminator: u32, profile: Profile, now: Instant) -> Self {
        let timers = wanted_intervals(&profile, SessionState::Down);
        let mut session = Self {
            profile,
            mine: discriminator,
            state: SessionState::Down,
            diagnostic: Diagnostic::NONE,
            downs: 0,
            remote: RemoteSide::unknown(SessionState::Down),
            heard: None,
            announced: timers,
            settled: timers,
            is_polling: false,
            sent: None,
            due: None,
            interval: None,
            admin_down: None,
            random: Random::new(discriminator.into()),
        };
        session.reschedule(now);
        session
    }

    /// Processes an input; returns the packet to send at once, if there is one.
    pub fn process(&mut self, input: SessionInput, now: Instant) -> Option<ControlPacket> {
        let before = self.state;
        let mut asks_for_final = false;
        match input {
            SessionInput::Packet(_) if self.state == SessionState::AdminDown => {}
            SessionInput::Packet(packet) => {
                self.process_packet(&packet, now);
                asks_for_final = packet.is_poll;
            }
            SessionInput::Timer if self.detection_deadline().is_some_and(|at| at <= now) => {
                self.expire_detection()
            }
            SessionInput::Timer => {}
            SessionInput::Profile(profile) => self.profile = profile,
            SessionInput::Stop => self.begin_admin_down(),
        }
        let has_news = self.update_announced() || self.state != before;
        self.reschedule(now);
        if asks_for_final {
            // A packet with the Final bit must not have the Poll bit: a Poll of ours is sent
            // after this one.
            self.due = if has_news { Some(now) } else { self.due };
            return Some(ControlPacket { is_poll: false, is_final: true, ..self.build_packet() });
        }
        let is_due = self.due.is_some_and(|at| at <= now);
        (is_due || has_news && self.can_send()).then(|| self.next_packet(now))
    }

    /// When [`SessionInput::Timer`] is due.
    pub fn next_deadline(&self) -> Option<Instant> {
        [self.due, self.detection_deadline()].into_iter().flatten().min()
    }

    pub fn status(&self) -> SessionStatus {
        let heard = self.heard.is_some();
        SessionStatus { state: self.state, remote: self.remote.state, downs: self.downs, heard }
    }

    /// Why the state is what it is.
    pub fn diagnostic(&self) -> Diagnostic {
        self.diagnostic
    }

    /// Is it stopped, and are all AdminDown packets sent?
    pub fn has_ended(&self) -> bool {
        self.admin_down.is_some_and(|repeats| repeats.left == 0)
    }

    /// The time without a packet after which the session goes down (section 6.8.4).
    /// None: no packet has come yet.
    pub fn detection_time(&self) -> Option<Duration> {
        // During a Poll Sequence the other side may still use the older interval.
        let receive = self.announced.receive.max(self.settled.receive);
        self.heard.map(|_| receive.max(self.remote.transmit) * self.remote.multiplier.into())
    }

    /// Takes in a packet (section 6.8.6).
    fn process_packet(&mut self, packet: &ControlPacket, now: Instant) {
        self.heard = Some(now);
        self.remote = RemoteSide {
            discriminator: packet.mine,
            state: packet.state,
            multiplier: packet.multiplier,
            transmit: packet.transmit,
            receive: packet.receive,
            is_demand: packet.is_demand,
        };
        if packet.is_final && self.is_polling {
            self.is_polling = false;
            self.settled = self.announced;
        }
        match (self.state, packet.state) {
            (SessionState::Init | SessionState::Up, SessionState::AdminDown)
            | (SessionState::Up, SessionState::Down) => {
                self.enter_state(SessionState::Down, Diagnostic::NEIGHBOUR_DOWN);
            }
            (SessionState::Down, SessionState::Down) => {
                self.enter_state(SessionState::Init, Diagnostic::NONE)
            }
            (SessionState::Down, SessionState::Init)
            | (SessionState::Init, SessionState::Init | SessionState::Up) => {
                self.enter_state(SessionState::Up, Diagnostic::NONE);
            }
            _ => {}
        }
    }

    fn enter_state(&mut self, state: SessionState, diagnostic: Diagnostic) {
        self.downs += u64::from(self.state == SessionState::Up && state == SessionState::Down);
        (self.state, self.diagnostic) = (state, diagnostic);
    }

    fn detection_deadline(&self) -> Option<Instant> {
        self.heard.zip(self.detection_time()).map(|(heard, time)| heard + time)
    }

    /// The detection time has passed without a packet. A side that had announced AdminDown
    /// keeps counting as AdminDown: its silence is no failure (RFC 5882, section 4.2).
    fn expire_detection(&mut self) {
        if matches!(self.state, SessionState::Init | SessionState::Up) {
            self.enter_state(SessionState::Down, Diagnostic::EXPIRED);
        }
        self.heard = None;
        let is_on_purpose = self.remote.state == SessionState::AdminDown;
        self.remote =
            RemoteSide::unknown(if is_on_purpose { SessionState::AdminDown } else { SessionState::Down });
    }

    /// Section 6.8.16. The AdminDown packets keep the previous interval, but are all sent within a
    /// second: an agent that ends must not wait for a slow session.
    fn begin_admin_down(&mut self) {
        if self.admin_down.is_some() {
            return;
        }
        // If no packet ever came, there is no remote system to signal AdminDown to.
        let left = if self.can_send() && self.remote.discriminator != 0 {
            self.profile.multiplier.max(MIN_ADMIN_DOWN_PACKETS)
        } else {
            0
        };
        let interval = self.interval.unwrap_or(SLOW).min(ADMIN_DOWN_TIME / u32::from(left.max(1)));
        self.admin_down = Some(AdminDownRepeats { left, interval });
        self.heard = None;
        (self.state, self.diagnostic) = (SessionState::AdminDown, Diagnostic::ADMIN_DOWN);
    }

    /// Updates the intervals that our packets announce; true if a Poll Sequence begins
    /// (section 6.8.3).
    fn update_announced(&mut self) -> bool {
        let wanted = wanted_intervals(&self.profile, self.state);
        if self.state != SessionState::Up {
            self.is_polling = false;
            (self.announced, self.settled) = (wanted, wanted);
            return false;
        }
        // Only one Poll Sequence at a time: else it would be open which of them a Final ends.
        let is_new = !self.is_polling && self.announced != wanted;
        if is_new {
            self.is_polling = true;
            self.announced = wanted;
        }
        is_new
    }

    /// A passive side sends only after it has received.
    fn can_send(&self) -> bool {
        !self.has_ended() && (!self.profile.passive || self.remote.discriminator != 0)
    }

    /// The interval between packets; None: no packets for now (section 6.8.7).
    fn wanted_interval(&self) -> Option<Duration> {
        if let Some(repeats) = self.admin_down {
            return (repeats.left > 0).then_some(repeats.interval);
        }
        let is_demand =
            self.remote.is_demand && self.state == SessionState::Up && self.remote.state == SessionState::Up;
        if !self.can_send() || is_demand && !self.is_polling || self.remote.receive.is_zero() {
            return None;
        }
        // A shorter interval holds at once, a longer one only after the Poll Sequence.
        let transmit = self.announced.transmit.min(self.settled.transmit);
        Some(transmit.max(self.remote.receive))
    }

    /// Computes anew when the next packet is due if the interval has changed.
    fn reschedule(&mut self, now: Instant) {
        let interval = self.wanted_interval();
        if interval != self.interval {
            self.interval = interval;
            let sent = self.sent;
            self.due = interval
                .map(|interval| sent.map_or(now, |sent| (sent + self.apply_jitter(interval)).max(now)));
        }
    }

    /// 75 to 100 % of the interval, or 75 to 90 % with a Detect Mult of 1 (section 6.8.7).
    fn apply_jitter(&mut self, interval: Duration) -> Duration {
        let spread = if self.profile.multiplier <= 1 { 150 } else { 250 };
        interval * (750 + self.random.below(spread + 1) as u32) / 1000
    }

    fn next_packet(&mut self, now: Instant) -> ControlPacket {
        let packet = self.build_packet();
        self.sent = Some(now);
        if let Some(repeats) = &mut self.admin_down {
            repeats.left = repeats.left.saturating_sub(1);
        }
        self.interval = self.wanted_interval();
        self.due = self.interval.map(|interval| now + self.apply_jitter(interval));
        packet
    }

    fn build_packet(&self) -> ControlPacket {
        ControlPacket {
            diagnostic: self.diagnostic,
            state: self.state,
            is_poll: self.is_polling,
            is_final: false,
            is_demand: false,
            multiplier: self.profile.multiplier.max(1),
            mine: self.mine,
            yours: self.remote.discriminator,
            transmit: self.announced.transmit,
            receive: self.announced.receive,
        }
    }
}

fn wanted_intervals(profile: &Profile, state: SessionState) -> Intervals {
    let least = if state == SessionState::Up { FASTEST } else { SLOW };
    Intervals { transmit: profile.transmit.max(least), receive: profile.receive }
}

#[cfg(test)]
mod tests;
