//! One connection of `tcp-hold`: greeted, then line by line.

use std::{
    io::{ErrorKind, Read, Write},
    time::{Duration, Instant},
};

use mio::net::TcpStream;

/// How long a greeting or an echo may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a connection waits for.
#[derive(Clone, PartialEq, Eq, Debug)]
enum State {
    Greeting { since: Instant },
    Pause { until: Instant },
    Echo { since: Instant },
    Broken { why: String },
}

/// A connection and its conversation.
pub struct Connection {
    stream: TcpStream,
    state: State,
    /// Who answered.
    pod: Option<String>,
    /// What came in of a line that is not complete yet.
    input: Vec<u8>,
    /// The line that was sent last.
    line: String,
    pub echoes: u64,
    pub slowest: Duration,
    interval: Duration,
}

impl Connection {
    pub fn new(stream: TcpStream, interval: Duration, now: Instant) -> Self {
        Self {
            stream,
            state: State::Greeting { since: now },
            pod: None,
            input: Vec::new(),
            line: String::new(),
            echoes: 0,
            slowest: Duration::ZERO,
            interval,
        }
    }

    pub fn pod(&self) -> Option<&str> {
        self.pod.as_deref()
    }

    /// It is neither greeted nor broken yet.
    pub fn is_opening(&self) -> bool {
        matches!(self.state, State::Greeting { .. })
    }

    pub fn broken(&self) -> Option<&str> {
        match &self.state {
            State::Broken { why } => Some(why),
            _ => None,
        }
    }

    /// Something came in, or an error.
    pub fn readable(&mut self, now: Instant) {
        let mut buffer = [0; 512];
        while self.broken().is_none() {
            match self.stream.read(&mut buffer) {
                Ok(0) => self.fail("closed by the server"),
                Ok(length) => self.take(&buffer[..length], now),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected) => {
                    return;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => (),
                Err(error) => self.fail(&error.to_string()),
            }
        }
    }

    /// Time has passed: `token` makes lines differ between connections.
    pub fn tick(&mut self, token: usize, now: Instant) {
        match self.state {
            State::Greeting { since } if now - since > PATIENCE => self.fail("no greeting"),
            State::Echo { since } if now - since > PATIENCE => self.fail("no echo"),
            State::Pause { until } if now >= until => self.send(token, now),
            _ => (),
        }
    }

    fn send(&mut self, token: usize, now: Instant) {
        self.line = format!("{token} {}\n", self.echoes);
        // One short line is under way at most, so the socket always has room for all of it.
        match self.stream.write_all(self.line.as_bytes()) {
            Ok(()) => self.state = State::Echo { since: now },
            Err(error) => self.fail(&error.to_string()),
        }
    }

    fn take(&mut self, bytes: &[u8], now: Instant) {
        self.input.extend_from_slice(bytes);
        while let Some(end) = self.input.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.input.drain(..=end).collect();
            self.line_came(&String::from_utf8_lossy(&line), now);
        }
    }

    fn line_came(&mut self, line: &str, now: Instant) {
        match self.state {
            State::Greeting { .. } => {
                self.pod = Some(line.trim_end().to_owned());
                self.state = State::Pause { until: now + self.interval };
            }
            State::Echo { since } if line == self.line => {
                self.echoes += 1;
                self.slowest = self.slowest.max(now - since);
                self.state = State::Pause { until: now + self.interval };
            }
            _ => self.fail(&format!("unexpected answer {line:?}")),
        }
    }

    fn fail(&mut self, why: &str) {
        let (pod, echoes) = (self.pod().unwrap_or("nobody"), self.echoes);
        let why = format!("{why} (greeted by {pod}, {echoes} echoes)");
        self.state = State::Broken { why };
    }
}
