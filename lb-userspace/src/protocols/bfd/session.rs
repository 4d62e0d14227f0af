//! One session in asynchronous mode (RFC 5880, section 6). Sans IO: packets
//! and the time come in, packets to send go out.
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
    Profile, State, Status,
    wire::{Diagnostic, Packet},
};
use crate::hash::Random;

/// The least Desired Min TX Interval of a session that is not up (section 6.8.3).
const SLOW: Duration = Duration::from_secs(1);
/// The least of one that is: whatever a profile says, nobody is flooded.
const FASTEST: Duration = Duration::from_millis(10);
/// For all goodbyes.
const FAREWELL: Duration = Duration::from_secs(1);
/// Goodbyes, at least: one may be lost.
const GOODBYES: u8 = 3;

/// What happens to a session.
#[derive(Clone, Copy, Debug)]
pub enum Input {
    /// From the other side.
    Packet(Packet),
    /// The deadline has come.
    Timer,
    /// Other timers are wanted from now on.
    Profile(Profile),
    /// The session is wanted no longer: tell the other side, and end.
    Stop,
}

pub struct Session {
    profile: Profile,
    /// Our discriminator.
    mine: u32,
    state: State,
    diagnostic: Diagnostic,
    downs: u64,
    remote: Remote,
    /// When the last packet came that is not too old yet.
    heard: Option<Instant>,
    /// What our packets say.
    announced: Timers,
    /// What they said before the Poll Sequence, if there is one.
    settled: Timers,
    is_polling: bool,
    sent: Option<Instant>,
    /// When the next packet is due, and the interval that this comes from.
    due: Option<Instant>,
    interval: Option<Duration>,
    goodbyes: Option<Goodbyes>,
    random: Random,
}

/// What the other side has said.
#[derive(Clone, Copy)]
struct Remote {
    /// 0: not known.
    discriminator: u32,
    state: State,
    multiplier: u8,
    transmit: Duration,
    receive: Duration,
    is_demand: bool,
}

impl Remote {
    /// Section 6.8.1.
    fn unknown(state: State) -> Self {
        let least = Duration::from_micros(1);
        Self { discriminator: 0, state, multiplier: 1, transmit: least, receive: least, is_demand: false }
    }
}

/// Desired Min TX and Required Min RX Interval.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Timers {
    transmit: Duration,
    receive: Duration,
}

#[derive(Clone, Copy)]
struct Goodbyes {
    left: u8,
    interval: Duration,
}

impl Session {
    /// `discriminator` is not zero, and no other session's.
    pub fn new(discriminator: u32, profile: Profile, now: Instant) -> Self {
        let timers = wanted(&profile, State::Down);
        let mut session = Self {
            profile,
            mine: discriminator,
            state: State::Down,
            diagnostic: Diagnostic::NONE,
            downs: 0,
            remote: Remote::unknown(State::Down),
            heard: None,
            announced: timers,
            settled: timers,
            is_polling: false,
            sent: None,
            due: None,
            interval: None,
            goodbyes: None,
            random: Random::new(discriminator.into()),
        };
        session.schedule(now);
        session
    }

    /// The packet that is to be sent at once, if any.
    pub fn process(&mut self, input: Input, now: Instant) -> Option<Packet> {
        let before = self.state;
        let mut asks_for_final = false;
        match input {
            Input::Packet(_) if self.state == State::AdminDown => {}
            Input::Packet(packet) => {
                self.receive(&packet, now);
                asks_for_final = packet.is_poll;
            }
            Input::Timer if self.expiry().is_some_and(|at| at <= now) => self.expire(),
            Input::Timer => {}
            Input::Profile(profile) => self.profile = profile,
            Input::Stop => self.stop(),
        }
        let has_news = self.announce() || self.state != before;
        self.schedule(now);
        if asks_for_final {
            // Without a Poll bit: if there is one to send, then after this.
            self.due = if has_news { Some(now) } else { self.due };
            return Some(Packet { is_poll: false, is_final: true, ..self.packet() });
        }
        let is_due = self.due.is_some_and(|at| at <= now);
        (is_due || has_news && self.may_speak()).then(|| self.send(now))
    }

    /// When to process `Timer`.
    pub fn next_deadline(&self) -> Option<Instant> {
        [self.due, self.expiry()].into_iter().flatten().min()
    }

    pub fn status(&self) -> Status {
        let heard = self.heard.is_some();
        Status { state: self.state, remote: self.remote.state, downs: self.downs, heard }
    }

    /// Why the state is what it is.
    pub fn diagnostic(&self) -> Diagnostic {
        self.diagnostic
    }

    /// Stopped, and all has been said.
    pub fn has_ended(&self) -> bool {
        self.goodbyes.is_some_and(|goodbyes| goodbyes.left == 0)
    }

    /// What must pass without a packet for the session to go down (section
    /// 6.8.4). None: nothing has been heard that could cease.
    pub fn detection_time(&self) -> Option<Duration> {
        // During a Poll Sequence the other side may still go by the older one.
        let receive = self.announced.receive.max(self.settled.receive);
        self.heard.map(|_| receive.max(self.remote.transmit) * self.remote.multiplier.into())
    }

    /// Section 6.8.6.
    fn receive(&mut self, packet: &Packet, now: Instant) {
        self.heard = Some(now);
        self.remote = Remote {
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
            (State::Init | State::Up, State::AdminDown) | (State::Up, State::Down) => {
                self.change(State::Down, Diagnostic::NEIGHBOUR_DOWN);
            }
            (State::Down, State::Down) => self.change(State::Init, Diagnostic::NONE),
            (State::Down, State::Init) | (State::Init, State::Init | State::Up) => {
                self.change(State::Up, Diagnostic::NONE);
            }
            _ => {}
        }
    }

    fn change(&mut self, state: State, diagnostic: Diagnostic) {
        self.downs += u64::from(self.state == State::Up && state == State::Down);
        (self.state, self.diagnostic) = (state, diagnostic);
    }

    fn expiry(&self) -> Option<Instant> {
        self.heard.zip(self.detection_time()).map(|(heard, time)| heard + time)
    }

    /// Whoever went down on purpose is not held to have failed when it falls
    /// silent (RFC 5882, section 4.2).
    fn expire(&mut self) {
        if matches!(self.state, State::Init | State::Up) {
            self.change(State::Down, Diagnostic::EXPIRED);
        }
        self.heard = None;
        let is_on_purpose = self.remote.state == State::AdminDown;
        self.remote = Remote::unknown(if is_on_purpose { State::AdminDown } else { State::Down });
    }

    /// Section 6.8.16. At the interval of before, but all within a second: an
    /// agent that ends must not wait for a slow session.
    fn stop(&mut self) {
        if self.goodbyes.is_some() {
            return;
        }
        // To whom, if nobody was ever heard?
        let left = if self.may_speak() && self.remote.discriminator != 0 {
            self.profile.multiplier.max(GOODBYES)
        } else {
            0
        };
        let interval = self.interval.unwrap_or(SLOW).min(FAREWELL / u32::from(left.max(1)));
        self.goodbyes = Some(Goodbyes { left, interval });
        self.heard = None;
        (self.state, self.diagnostic) = (State::AdminDown, Diagnostic::ADMIN_DOWN);
    }

    /// Has what our packets say become what it should be: true if they say
    /// something new (section 6.8.3).
    fn announce(&mut self) -> bool {
        let wanted = wanted(&self.profile, self.state);
        if self.state != State::Up {
            self.is_polling = false;
            (self.announced, self.settled) = (wanted, wanted);
            return false;
        }
        // One Poll Sequence at a time: its end must mean something.
        let is_new = !self.is_polling && self.announced != wanted;
        if is_new {
            self.is_polling = true;
            self.announced = wanted;
        }
        is_new
    }

    /// A passive side has to be spoken to first.
    fn may_speak(&self) -> bool {
        !self.has_ended() && (!self.profile.passive || self.remote.discriminator != 0)
    }

    /// From one packet to the next; none: no packets for now (section 6.8.7).
    fn wanted_interval(&self) -> Option<Duration> {
        if let Some(goodbyes) = self.goodbyes {
            return (goodbyes.left > 0).then_some(goodbyes.interval);
        }
        let is_demand = self.remote.is_demand && self.state == State::Up && self.remote.state == State::Up;
        if !self.may_speak() || is_demand && !self.is_polling || self.remote.receive.is_zero() {
            return None;
        }
        // Faster at once, slower only when the other side knows.
        let transmit = self.announced.transmit.min(self.settled.transmit);
        Some(transmit.max(self.remote.receive))
    }

    /// When the next packet is due, if that has changed.
    fn schedule(&mut self, now: Instant) {
        let interval = self.wanted_interval();
        if interval != self.interval {
            self.interval = interval;
            let sent = self.sent;
            self.due =
                interval.map(|interval| sent.map_or(now, |sent| (sent + self.jittered(interval)).max(now)));
        }
    }

    /// 75 to 100 %, or 75 to 90 % if one lost packet is enough (section 6.8.7).
    fn jittered(&mut self, interval: Duration) -> Duration {
        let spread = if self.profile.multiplier <= 1 { 150 } else { 250 };
        interval * (750 + self.random.below(spread + 1) as u32) / 1000
    }

    fn send(&mut self, now: Instant) -> Packet {
        let packet = self.packet();
        self.sent = Some(now);
        if let Some(goodbyes) = &mut self.goodbyes {
            goodbyes.left = goodbyes.left.saturating_sub(1);
        }
        self.interval = self.wanted_interval();
        self.due = self.interval.map(|interval| now + self.jittered(interval));
        packet
    }

    fn packet(&self) -> Packet {
        Packet {
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

fn wanted(profile: &Profile, state: State) -> Timers {
    let least = if state == State::Up { FASTEST } else { SLOW };
    Timers { transmit: profile.transmit.max(least), receive: profile.receive }
}

#[cfg(test)]
mod tests;
